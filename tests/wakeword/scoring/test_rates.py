"""Intervals against published values."""

from __future__ import annotations

import pytest

from wakeword.scoring.rates import clopper_pearson, garwood, hours_to_claim


@pytest.mark.parametrize(
    ("events", "hours", "low", "high"),
    [(0, 10, 0, 0.37), (3, 24, 0.026, 0.365), (10, 10, 0.48, 1.84)],
)
def test_garwood_reference_values(events: int, hours: float, low: float, high: float) -> None:
    interval = garwood(events, hours)
    assert interval.low == pytest.approx(low, abs=0.005)
    assert interval.high == pytest.approx(high, abs=0.005)


@pytest.mark.parametrize(("successes", "trials", "low", "high"), [(3, 30, 0.021, 0.265), (25, 500, 0.033, 0.073), (0, 10, 0, 0.308), (10, 10, 0.692, 1)])
def test_clopper_pearson_reference_values(successes: int, trials: int, low: float, high: float) -> None:
    interval = clopper_pearson(successes, trials)
    assert interval.low == pytest.approx(low, abs=0.001)
    assert interval.high == pytest.approx(high, abs=0.001)


def test_six_hours_without_an_event_claim_half_an_event_an_hour() -> None:
    assert hours_to_claim(0.5) == pytest.approx(5.99, abs=0.01)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (0, 0), (3, 2), (-1, 5)])
def test_what_is_no_proportion_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        clopper_pearson(successes, trials)


@pytest.mark.parametrize(("events", "hours"), [(-1, 1.0), (0, 0.0), (1, -2.0)])
def test_what_is_no_rate_is_refused(events: int, hours: float) -> None:
    with pytest.raises(ValueError, match="no rate"):
        garwood(events, hours)
