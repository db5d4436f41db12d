"""The tail of false accepts over log-odds: it finds the mean excess that made the peaks, and its bound falls
and holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakeword.scoring.det import DetCurve
from wakeword.scoring.tail import FITTED_PEAKS, PRIOR_EXCESS, PRIOR_PEAKS, fit_tail, log_odds

CUTOFFS = np.arange(256)


def curve(peaks: np.typing.NDArray[np.float64], hours: float) -> DetCurve:
    """False accepts with peaks of such log-odds."""
    counts = np.zeros(256, np.int64)
    counts[1:255] = [(peaks > level).sum() for level in log_odds(CUTOFFS[1:255])]
    return DetCurve(CUTOFFS, np.zeros(256, np.int64), counts, 10, hours)


def exponential(seed: int, count: int, excess: float, begins: float = -5.0) -> np.typing.NDArray[np.float64]:
    return begins + np.random.default_rng(seed).exponential(excess, count)


@pytest.mark.parametrize("excess", [0.5, 0.8, 1.5])
def test_the_mean_excess_of_many_peaks_is_found(excess: float) -> None:
    found = [fit_tail(curve(exponential(seed, 500, excess), 5.0)) for seed in range(40)]
    # Of twenty peaks and those of the prior.
    expected = (FITTED_PEAKS * excess + PRIOR_PEAKS * PRIOR_EXCESS) / (FITTED_PEAKS + PRIOR_PEAKS)
    assert np.mean([tail.mean_excess for tail in found]) == pytest.approx(expected, rel=0.1)
    assert all(tail.peaks >= FITTED_PEAKS for tail in found)


@pytest.mark.parametrize("excess", [0.5, 0.7, 1.0, 1.5, 2.0])
def test_the_bound_holds_as_often_as_it_says(excess: float) -> None:
    level = 1.0
    truth = 300 / 5.0 * float(np.exp(-(level + 5.0) / excess))
    below = [fit_tail(curve(exponential(seed, 300, excess), 5.0)).bound(level) >= truth for seed in range(200)]
    assert np.mean(below) >= 0.95


def test_without_a_peak_the_prior_and_the_hours_are_all() -> None:
    short, long = (fit_tail(curve(np.zeros(0), hours)) for hours in (0.5, 5.0))
    assert short.mean_excess == long.mean_excess == PRIOR_EXCESS
    assert short.bound(0.0) == pytest.approx(10 * long.bound(0.0))
    assert 0 < long.bound(0.0) < 1
    assert short.rate(0.0) == 0
    with pytest.raises(ValueError, match="without hours"):
        fit_tail(curve(np.zeros(0), 0.0))


@given(st.lists(st.floats(-8, 8), max_size=60), st.floats(0.1, 50), st.floats(-5, 5), st.floats(0, 3))
def test_the_bound_falls_with_the_level_and_lies_above_the_rate(
    peaks: list[float], hours: float, level: float, more: float
) -> None:
    tail = fit_tail(curve(np.array(peaks), hours))
    assert tail.bound(level) >= tail.bound(level + more)
    assert tail.bound(level) >= tail.rate(level)


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=60), st.floats(0.1, 50), st.floats(-5, 5))
def test_more_hours_without_more_peaks_lower_the_bound(peaks: list[float], hours: float, level: float) -> None:
    assert fit_tail(curve(np.array(peaks), 2 * hours)).bound(level) < fit_tail(curve(np.array(peaks), hours)).bound(
        level
    )
