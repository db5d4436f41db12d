"""The expected recall: what it is made of lies where the detector looks, and it tells models apart that
counts do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakeword import contract
from wakeword.detector import detect, first_decisive, sliding_averages
from wakeword.scoring.matching import Span, match
from wakeword.scoring.separation import average_log_odds, expected_recall, other_peaks, word_peaks

STRIDE, WINDOW = 3, 5
LOWEST = float(np.log(1e-9) - np.log1p(-1e-9))


def probabilities(seed: int, count: int) -> np.typing.NDArray[np.float32]:
    return np.random.default_rng(seed).beta(0.3, 2, count).astype(np.float32)


@given(st.integers(0, 500), st.integers(1, 10), st.integers(0, 200))
def test_the_averages_are_the_devices(seed: int, window: int, count: int) -> None:
    levels = (probabilities(seed, count) * 255).astype(np.uint8)
    found = average_log_odds((levels / np.float32(255)).astype(np.float32), STRIDE, window)
    assert len(found) == count
    first = min(first_decisive(STRIDE, window), count)
    expected = np.clip(sliding_averages(levels, STRIDE, window)[first:], 1e-9, 1 - 2.0**-24)
    np.testing.assert_allclose(1 / (1 + np.exp(-found[first:])), expected, atol=1e-6)
    assert (found[:first] < -20).all()


def test_a_word_is_found_where_its_peak_is_above_the_cutoff() -> None:
    count = 2000
    given_ones = probabilities(1, count)
    levels = (given_ones * 255).astype(np.uint8)
    words = [Span(start, start + 0.6) for start in (5.0, 12.0, 20.0, 31.0, 44.0)]
    peaks = word_peaks(average_log_odds((levels / np.float32(255)).astype(np.float32), STRIDE, WINDOW), STRIDE, words)
    for cutoff in (60, 90, 120, 150):
        detections = [one.seconds for one in detect(levels, STRIDE, count * STRIDE, cutoff, WINDOW)]
        found = {utterance for utterance, _ in match(words, detections, 60.0, 0.75).matches}
        above = {number for number, peak in enumerate(peaks) if 1 / (1 + np.exp(-peak)) > cutoff / 255 + 1e-9}
        assert found <= above, "a detection without a peak"
        assert len(above - found) <= 2, "only a hold-off keeps a peak from being a detection"


def test_the_words_of_a_session_are_no_false_accepts() -> None:
    levels = np.full(1000, LOWEST)
    levels[400], levels[600] = 3.0, 1.0
    end = (contract.WINDOW_SAMPLES + (401 * STRIDE - 1) * contract.STEP_SAMPLES) / contract.SAMPLE_RATE_HZ
    word = Span(end - 0.5, end - 0.1)
    assert word_peaks(levels, STRIDE, [word]) == pytest.approx([3.0])
    assert other_peaks(levels, STRIDE, [word]).max() == pytest.approx(1.0)
    assert other_peaks(levels, STRIDE).max() == pytest.approx(3.0)


others = np.random.default_rng(0).exponential(1.5, 400).clip(max=8) - 6


def test_it_tells_models_apart_that_all_find_everything() -> None:
    spread = np.random.default_rng(1).normal(0, 0.3, 50)
    strong, weak = 6.0 + spread, 3.5 + spread
    assert weak.min() > others.max() and strong.min() > others.max()
    assert 1 > expected_recall([strong], others, 1.0, 0.5) > expected_recall([weak], others, 1.0, 0.5)


def test_conditions_weigh_alike_whatever_their_number_of_words() -> None:
    easy, hard = np.full(10, 8.0), np.full(90, 1.0)
    assert expected_recall([easy, hard], others, 1.0, 0.5) == pytest.approx(
        expected_recall([np.repeat(easy, 30), hard], others, 1.0, 0.5)
    )
    assert (
        expected_recall([hard], others, 1.0, 0.5)
        < expected_recall([easy, hard], others, 1.0, 0.5)
        < expected_recall([easy], others, 1.0, 0.5)
    )
    assert expected_recall([], others, 1.0, 0.5) == 0
    assert expected_recall([easy], others[:0], 1.0, 0.5) == 0
    assert expected_recall([easy], others, 0.0, 0.5) == 0


peaks = st.lists(st.floats(-10, 15), min_size=1, max_size=30).map(np.array)


@given(peaks, st.floats(0.01, 5), st.floats(0.01, 3))
def test_more_for_words_and_less_for_others_is_never_worse(
    words: np.typing.NDArray[np.float64], rate: float, more: float
) -> None:
    given_one = expected_recall([words], others, 1.0, rate)
    assert 0 <= given_one <= 1
    assert expected_recall([words + more], others, 1.0, rate) >= given_one
    assert expected_recall([words], others - more, 1.0, rate) >= given_one
    assert expected_recall([words], others, 1.0, rate * (1 + more)) >= given_one
