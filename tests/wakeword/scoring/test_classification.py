"""Classic metrics against published examples, brute force and laws that hold for any scores."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wakeword.scoring.classification import (
    THRESHOLDS,
    Confusion,
    average_precision,
    confusion,
    cross_entropy,
    equal_error_rate,
    partial_auc,
    precision_recall_curve,
    roc_auc,
    roc_curve,
    threshold_counts,
    true_positive_rate_at,
    validate,
)

Windows = tuple[NDArray[np.bool_], NDArray[np.float64]]

# The example of scikit-learn's documentation (roc_auc_score: 0.75, average_precision_score: 0.83).
TRUTH, SCORES = np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])


@st.composite
def scored_windows(draw: st.DrawFn) -> Windows:
    """Windows of both kinds; scores in sixteenths, so that ties are common."""
    rows = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 16)), min_size=2, max_size=40))
    truth = np.array([row[0] for row in rows])
    assume(truth.any() and not truth.all())
    return truth, np.array([row[1] for row in rows]) / 16


def rank_probability(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Over all pairs: the wake word scores higher, ties half."""
    pairs = list(itertools.product(scores[truth], scores[~truth]))
    return float(np.mean([(positive > negative) + (positive == negative) / 2 for positive, negative in pairs]))


def test_published_example() -> None:
    roc = roc_curve(TRUTH, SCORES)
    np.testing.assert_allclose(roc.false_positive_rates, [0, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(roc.true_positive_rates, [0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(roc.lowest_accepted, [np.inf, 0.8, 0.4, 0.35, 0.1])
    assert roc_auc(roc) == pytest.approx(0.75)
    assert average_precision(precision_recall_curve(TRUTH, SCORES)) == pytest.approx(0.8333333)


def test_rates_by_hand() -> None:
    counts = Confusion(true_positives=6, false_positives=2, true_negatives=10, false_negatives=2)
    assert (counts.accuracy, counts.precision, counts.recall, counts.f1) == (0.8, 0.75, 0.75, 0.75)
    assert (counts + counts).windows == 40
    assert math.isnan(confusion(TRUTH, SCORES, 0.9).precision)
    assert confusion(TRUTH, SCORES, 0.35) == Confusion(1, 1, 1, 1)  # a score at the threshold is not above it


def test_the_equal_error_lies_on_the_line_between_points() -> None:
    # Points (0, 0), (1/4, 1/2), (1, 1): on the first line misses equal false positives where x = 1 - 2x, on the second
    # where 1 - y = (2/3)(1 - x).
    truth = np.array([True, True, False, True, True, False, False, False])
    scores = np.array([0.9] * 3 + [0.1] * 5)
    found = equal_error_rate(roc_curve(truth, scores))
    assert found.rate == pytest.approx(0.4)
    assert found.threshold == pytest.approx(0.9 + 0.2 * (0.1 - 0.9))


@pytest.mark.parametrize(
    ("scores", "rate", "area"), [([0, 0, 1, 1], 0, 1), ([1, 1, 0, 0], 1, 0), ([1, 1, 1, 1], 0.5, 0.5)]
)
def test_perfect_inverted_and_blind(scores: list[float], rate: float, area: float) -> None:
    roc = roc_curve(TRUTH, np.array(scores, np.float64))
    assert equal_error_rate(roc).rate == pytest.approx(rate)
    assert roc_auc(roc) == pytest.approx(area)
    assert partial_auc(roc) == pytest.approx(
        1 if area == 1 else 0.5 if area == 0.5 else (1 - 0.005 / (0.1 - 0.005)) / 2
    )


def test_the_partial_area_is_cut_on_the_line() -> None:
    # One line from (0, 0.5) to (1, 1): up to 0.1 an area of 0.1 * (0.5 + 0.55) / 2 = 0.0525.
    truth = np.array([True, False, False, True])
    roc = roc_curve(truth, np.array([0.9, 0.1, 0.1, 0.1]))
    assert true_positive_rate_at(roc, 0.1) == pytest.approx(0.55)
    assert partial_auc(roc, 0.1) == pytest.approx((1 + (0.0525 - 0.005) / (0.1 - 0.005)) / 2)


@given(scored_windows())
def test_the_area_is_the_probability_of_the_right_order(windows: Windows) -> None:
    area = roc_auc(roc_curve(*windows))
    assert area == pytest.approx(rank_probability(*windows))
    assert partial_auc(roc_curve(*windows), 1.0) == pytest.approx(area)
    truth, scores = windows
    assert roc_auc(roc_curve(~truth, -scores)) == pytest.approx(area)


@given(scored_windows(), st.floats(0.01, 1))
def test_the_partial_area_is_that_of_the_interpolated_curve(windows: Windows, highest: float) -> None:
    roc = roc_curve(*windows)
    middles = (np.arange(2000) + 0.5) / 2000 * highest
    area = float(np.mean([true_positive_rate_at(roc, float(rate)) for rate in middles[::10]])) * highest
    expected = (1 + (area - highest**2 / 2) / (highest - highest**2 / 2)) / 2
    assert partial_auc(roc, highest) == pytest.approx(expected, abs=0.02)


@given(scored_windows())
def test_only_the_order_of_scores_matters(windows: Windows) -> None:
    truth, scores = windows
    squeezed = np.exp(scores) / 3
    plain, other = roc_curve(truth, scores), roc_curve(truth, squeezed)
    assert (roc_auc(plain), equal_error_rate(plain).rate) == pytest.approx(
        (roc_auc(other), equal_error_rate(other).rate)
    )
    mixed = np.random.default_rng(0).permutation(len(truth))
    assert average_precision(precision_recall_curve(truth, scores)) == pytest.approx(
        average_precision(precision_recall_curve(truth[mixed], scores[mixed]))
    )


@given(scored_windows())
def test_the_equal_error_is_on_the_curve(windows: Windows) -> None:
    roc = roc_curve(*windows)
    # Walk along the polyline in small steps and see where both kinds of error are nearest to one another.
    places = np.linspace(0, len(roc.lowest_accepted) - 1, 20_001)
    points = np.arange(len(roc.lowest_accepted))
    false, missed = (
        np.interp(places, points, roc.false_positive_rates),
        1 - np.interp(places, points, roc.true_positive_rates),
    )
    assert equal_error_rate(roc).rate == pytest.approx(false[np.argmin(np.abs(false - missed))], abs=0.005)


@given(scored_windows())
def test_thresholds_count_as_one_by_one(windows: Windows) -> None:
    truth, scores = windows
    counts = threshold_counts(truth, scores)
    assert len(THRESHOLDS) == len(counts.thresholds) == 101
    for index in range(0, 101, 7):
        assert counts.at(index) == confusion(truth, scores, THRESHOLDS[index])


@given(scored_windows())
def test_average_precision_is_the_mean_over_wake_words_found(windows: Windows) -> None:
    truth, scores = windows
    precisions = [(truth & (scores >= score)).sum() / (scores >= score).sum() for score in scores[truth]]
    assert average_precision(precision_recall_curve(truth, scores)) == pytest.approx(np.mean(precisions))


def test_what_cannot_be_scored_is_refused() -> None:
    for truth, scores, message in (
        (np.array([True, True]), np.array([0.1, 0.2]), "both kinds"),
        (np.zeros(0, bool), np.zeros(0), "both kinds"),
        (np.array([True, False]), np.array([0.1, np.nan]), "not finite"),
        (np.array([True, False]), np.array([0.1]), "must be bool"),
    ):
        with pytest.raises(ValueError, match=message):
            validate(truth, scores)
    with pytest.raises(ValueError, match="no rate"):
        true_positive_rate_at(roc_curve(TRUTH, SCORES), 1.5)
    with pytest.raises(ValueError, match="is none"):
        partial_auc(roc_curve(TRUTH, SCORES), 0)


def test_cross_entropy_is_the_likelihood_and_never_infinite() -> None:
    truth = np.array([True, False, True])
    assert cross_entropy(truth, np.array([0.5, 0.25, 1.0])) == pytest.approx((np.log(2) - np.log(0.75)) / 3, abs=1e-6)
    assert cross_entropy(truth, np.array([0.0, 1.0, 0.0], np.float32)) == pytest.approx(-np.log(1e-7), rel=1e-3)
