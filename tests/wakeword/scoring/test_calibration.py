"""Calibration against published examples and laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wakeword.scoring.calibration import (
    base_rate,
    brier_score,
    brier_skill,
    calibration_curve,
    calibration_error,
    fit_temperature,
    log_odds,
    negative_log_likelihood,
)
from wakeword.scoring.rates import clopper_pearson

Windows = tuple[NDArray[np.bool_], NDArray[np.float64]]

rows = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60)


def windows(drawn: list[tuple[bool, float]]) -> Windows:
    return np.array([row[0] for row in drawn]), np.array([row[1] for row in drawn])


def test_published_brier_score() -> None:
    # The example of scikit-learn's documentation of brier_score_loss.
    assert brier_score(np.array([False, True, True, False]), np.array([0.1, 0.9, 0.8, 0.3])) == pytest.approx(0.0375)


def test_published_calibration_curve() -> None:
    # The example of scikit-learn's documentation of calibration_curve: 3 bins, [0, 0.5, 1] against [0.2, 0.525, 0.85].
    truth = np.array([False] * 4 + [True] * 5)
    curve = calibration_curve(truth, np.array([0.1, 0.2, 0.3, 0.4, 0.65, 0.7, 0.8, 0.9, 1.0]), bins=3)
    assert [part.frequency for part in curve] == pytest.approx([0, 0.5, 1])
    assert [part.mean_probability for part in curve] == pytest.approx([0.2, 0.525, 0.85])
    assert [(part.windows, part.positives) for part in curve] == [(3, 0), (2, 1), (4, 4)]
    assert curve[1].interval == clopper_pearson(1, 2)
    error = calibration_error(curve)
    assert (error.expected, error.largest) == pytest.approx(((3 * 0.2 + 2 * 0.025 + 4 * 0.15) / 9, 0.2))


def test_skill_is_measured_against_the_base_rate() -> None:
    truth = np.array([True, False, False, False])
    assert brier_skill(truth, np.full(4, 0.25)) == pytest.approx(0)
    assert brier_skill(truth, truth.astype(float)) == 1
    assert math.isnan(brier_skill(np.array([True]), np.array([0.5])))


def test_a_truthful_model_is_within_its_intervals() -> None:
    random = np.random.default_rng(4)
    probabilities = random.beta(0.3, 0.3, 20_000)
    truth = random.random(20_000) < probabilities
    curve = calibration_curve(truth, probabilities, binning="mass")
    assert sum(part.interval.low <= part.mean_probability <= part.interval.high for part in curve) >= 8
    assert calibration_error(curve).expected < 0.01
    assert brier_score(truth, probabilities) == pytest.approx(
        float(np.mean(probabilities * (1 - probabilities))), abs=0.005
    )
    overconfident = np.where(probabilities > 0.5, (1 + probabilities) / 2, probabilities / 2)
    assert calibration_error(calibration_curve(truth, overconfident)).expected > 0.05


@pytest.mark.parametrize("binning", ["width", "mass"])
@given(drawn=rows, bins=st.integers(1, 12))
def test_bins_hold_every_window_once_and_in_order(drawn: list[tuple[bool, float]], bins: int, binning: str) -> None:
    truth, probabilities = windows(drawn)
    curve = calibration_curve(truth, probabilities, bins, "width" if binning == "width" else "mass")
    assert len(curve) <= bins
    assert sum(part.windows for part in curve) == len(truth)
    assert sum(part.positives for part in curve) == truth.sum()
    assert sum(part.mean_probability * part.windows for part in curve) == pytest.approx(float(probabilities.sum()))
    for part in curve:
        assert part.low - 1e-12 <= part.mean_probability <= part.high + 1e-12
        assert part.interval.low <= part.frequency <= part.interval.high
    assert all(left.high <= right.low for left, right in itertools.pairwise(curve))


@given(drawn=rows)
def test_the_score_is_within_its_bounds_and_splits_into_reliability_and_refinement(
    drawn: list[tuple[bool, float]],
) -> None:
    truth, probabilities = windows(drawn)
    assert 0 <= brier_score(truth, probabilities) <= 1
    # Murphy (1973): with one probability a bin the score is reliability - resolution + uncertainty.
    rounded = np.round(probabilities * 8) / 8
    parts = [(rounded == value) for value in np.unique(rounded)]
    base = base_rate(truth)
    reliability = sum(part.sum() * (rounded[part][0] - truth[part].mean()) ** 2 for part in parts) / len(truth)
    resolution = sum(part.sum() * (truth[part].mean() - base) ** 2 for part in parts) / len(truth)
    assert brier_score(truth, rounded) == pytest.approx(reliability - resolution + base * (1 - base), abs=1e-9)


def test_equal_mass_bins_are_equal_where_probabilities_differ() -> None:
    curve = calibration_curve(np.zeros(100, bool), np.linspace(0, 0.2, 100), 10, "mass")
    assert [part.windows for part in curve] == [10] * 10
    assert len(calibration_curve(np.zeros(100, bool), np.full(100, 0.5), 10, "mass")) == 1


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="not all in 0-1"):
        brier_score(np.array([True]), np.array([1.2]))
    with pytest.raises(ValueError, match="hold nothing"):
        calibration_curve(np.array([True]), np.array([1.0]), 0)
    with pytest.raises(ValueError, match="both kinds"):
        brier_score(np.zeros(0, bool), np.zeros(0))
    with pytest.raises(ValueError, match="no error"):
        calibration_error(())


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_of_a_model_that_is_too_sure_is_found(factor: float) -> None:
    """Truth is drawn with the probabilities of some log-odds; the model says `factor` times those."""
    rng = np.random.default_rng(5)
    logits = rng.normal(-1, 2, 40_000)
    truth = rng.random(len(logits)) < 1 / (1 + np.exp(-logits))
    assert fit_temperature(truth, factor * logits) == pytest.approx(factor, rel=0.03)
    error = {
        divided: calibration_error(calibration_curve(truth, 1 / (1 + np.exp(-factor * logits / divided)))).expected
        for divided in (1.0, factor)
    }
    assert error[factor] < 0.01
    assert factor == 1 or error[1.0] > 5 * error[factor]


@given(st.lists(st.tuples(st.booleans(), st.floats(-6, 6)), min_size=4, max_size=40))
def test_no_other_temperature_is_likelier(drawn: list[tuple[bool, float]]) -> None:
    truth, logits = (
        np.array([True, False, *(row[0] for row in drawn)]),
        np.array([1.0, 2.0, *(row[1] for row in drawn)]),
    )
    fitted = fit_temperature(truth, logits)
    least = negative_log_likelihood(truth, logits, fitted)
    assert all(least <= negative_log_likelihood(truth, logits, other) + 1e-6 for other in np.geomspace(0.05, 20, 60))


def test_likelihood_is_that_of_the_probabilities() -> None:
    truth, logits = np.array([True, False]), np.array([0.0, np.log(3)])
    assert negative_log_likelihood(truth, logits) == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert negative_log_likelihood(truth, np.array([1e4, -1e4])) == 0


def test_log_odds_of_the_devices_first_and_last_step_are_finite() -> None:
    levels = np.arange(256) / 255
    logits = log_odds(levels)
    assert np.all(np.diff(logits) > 0)
    assert logits[255] == pytest.approx(np.log(509)) == -logits[0]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[1:-1])), levels[1:-1])


def test_a_temperature_needs_both_kinds_of_windows() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        fit_temperature(np.array([True, True]), np.array([0.5, 1.0]))
