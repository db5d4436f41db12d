"""Intervals against published values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wakeword.scoring.rates import clopper_pearson, garwood


@pytest.mark.parametrize(
    ("events", "hours", "low", "high"),
    [(0, 10, 0, 0.37), (3, 24, 0.026, 0.365), (10, 10, 0.48, 1.84)],
)
def test_garwood_reference_values(events: int, hours: float, low: float, high: float) -> None:
    interval = garwood(events, hours)
    assert interval.low == pytest.approx(low, abs=0.005)
    assert interval.high == pytest.approx(high, abs=0.005)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(3, 30, 0.021, 0.265), (25, 500, 0.033, 0.073), (0, 10, 0, 0.308), (10, 10, 0.692, 1)],
)
def test_clopper_pearson_reference_values(successes: int, trials: int, low: float, high: float) -> None:
    interval = clopper_pearson(successes, trials)
    assert interval.low == pytest.approx(low, abs=0.001)
    assert interval.high == pytest.approx(high, abs=0.001)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (0, 0), (3, 2), (-1, 5)])
def test_what_is_no_proportion_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        clopper_pearson(successes, trials)


@pytest.mark.parametrize(("events", "hours"), [(-1, 1.0), (0, 0.0), (1, -2.0)])
def test_what_is_no_rate_is_refused(events: int, hours: float) -> None:
    with pytest.raises(ValueError, match="no rate"):
        garwood(events, hours)


@settings(deadline=None)  # the first example imports scipy.stats
@given(trials=st.integers(1, 5000), share=st.floats(0, 1))
def test_clopper_pearson_is_scipys(trials: int, share: float) -> None:
    from scipy.stats import binomtest

    successes = round(trials * share)
    expected = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    interval = clopper_pearson(successes, trials)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(events=st.integers(0, 5000), hours=st.floats(0.01, 1000))
def test_garwood_is_scipys_chi_square(events: int, hours: float) -> None:
    from scipy.stats import chi2

    interval = garwood(events, hours)
    low = chi2.ppf(0.025, 2 * events) / (2 * hours) if events else 0
    assert (interval.low, interval.high) == pytest.approx(
        (low, chi2.ppf(0.975, 2 * events + 2) / (2 * hours)), rel=1e-6, abs=1e-9
    )
