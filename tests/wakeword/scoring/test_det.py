"""The DET curve is the detector at every cutoff."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wakeword.contract import slice_count
from wakeword.detector import detect
from wakeword.presentation import CLIPS, SESSION, STREAM, Presentation
from wakeword.scoring.det import (
    DetCurve,
    Stream,
    average_viable_recall,
    cutoff_at_no_false_accepts,
    det_curve,
    recall_at_no_false_accepts,
)
from wakeword.scoring.matching import Span, Truth

STRIDE = 3


def noisy_stream(seed: int, slices: int) -> Stream:
    rng = np.random.default_rng(seed)
    probabilities = (rng.random(slices // STRIDE) ** 6 * 255).astype(np.uint8)
    return Stream(probabilities, STRIDE, slices)


def laid_out(presentation: Presentation, samples: list[int], *, wake: bool) -> tuple[int, Truth]:
    """Slices of a stream of recordings of such lengths, and what is true of it."""
    spans = [
        Span(start / 16_000, (start + length) / 16_000)
        for start, length in zip(presentation.starts(samples), samples, strict=True)
    ]
    return slice_count(presentation.silence(len(samples)) + sum(samples)), presentation.truth(spans, wake=wake)


def risen(slices: int, rises: list[float], level: int = 250) -> Stream:
    """Probabilities that rise for 120 ms at so many seconds."""
    probabilities = np.zeros(slices // STRIDE, np.uint8)
    for rise in rises:
        first = round(rise * 100 / STRIDE)
        probabilities[first : first + 4] = level
    return Stream(probabilities, STRIDE, slices)


def test_each_cutoff_is_decided_anew() -> None:
    slices, word = laid_out(CLIPS, [40_000], wake=True)
    length, others = laid_out(STREAM, [16_000 * 90], wake=False)
    positives, negative = [noisy_stream(seed, slices) for seed in range(4)], noisy_stream(9, length)
    curve = det_curve([*((stream, word) for stream in positives), (negative, others)], window=2)
    for cutoff in (1, 60, 130, 200, 254):
        found = [
            word.outcome([one.seconds for one in detect(s.probabilities, s.stride, s.slices, cutoff, 2)]).found
            for s in positives
        ]
        assert curve.detected[cutoff] == sum(found)
        assert curve.false_accepts[cutoff] == len(detect(negative.probabilities, STRIDE, negative.slices, cutoff, 2))
    assert curve.utterances == 4
    assert curve.hours == pytest.approx(90 / 3600)
    assert curve.false_accepts_per_hour[60] == pytest.approx(curve.false_accepts[60] / 0.025)


def test_in_a_session_a_second_detection_and_one_in_the_pause_are_false_accepts() -> None:
    slices, truth = laid_out(SESSION, [24_000] * 4, wake=True)  # words at 1.5-3, 6.5-8, 11.5-13, 16.5-18
    curve = det_curve([(risen(slices, [2.9, 6.6, 7.9, 14.5, 18.3]), truth)], window=4)
    assert (curve.detected[100], curve.false_accepts[100], curve.utterances) == (3, 2, 4)
    assert curve.hours == pytest.approx((1.5 + 4 * (1.5 + 3.5)) / 3600)


@pytest.mark.parametrize("presentation", [CLIPS, STREAM])
def test_words_alone_or_without_pauses_tell_no_rate(presentation: Presentation) -> None:
    slices, truth = laid_out(presentation, [48_000], wake=True)
    curve = det_curve([(risen(slices, [1.2, 2.9]), truth)], window=4)
    assert (curve.detected[100], curve.false_accepts[100], curve.hours) == (1, 0, 0)


def test_false_accepts_of_words_and_others_add_up() -> None:
    words, (slices, others) = laid_out(SESSION, [16_000], wake=True), laid_out(STREAM, [48_000, 48_000], wake=False)
    # One of the two lies in the silence between the recordings: it counts, the silence does not.
    curve = det_curve([(risen(words[0], [2.0]), words[1]), (risen(slices, [2.0, 3.2]), others)], window=4)
    assert (curve.detected[100], curve.false_accepts[100]) == (1, 2)
    assert curve.hours == pytest.approx((6 + 6) / 3600)


def test_every_cutoff_of_a_long_session_is_as_the_matcher_says() -> None:
    rng = np.random.default_rng(2)
    slices, truth = laid_out(SESSION, rng.integers(8_000, 30_000, 150).tolist(), wake=True)
    loudness = np.repeat(rng.integers(0, 256, slices // STRIDE // 8 + 1), 8)[: slices // STRIDE]
    stream = Stream(loudness.astype(np.uint8), STRIDE, slices)
    curve = det_curve([(stream, truth)], window=4)
    for cutoff in range(1, 255, 23):
        expected = truth.outcome([one.seconds for one in detect(stream.probabilities, STRIDE, slices, cutoff, 4)])
        assert (curve.detected[cutoff], curve.false_accepts[cutoff]) == (expected.found, expected.false_accepts)
    assert 0 < curve.detected[150] < 150


def test_void_time_is_in_no_figure_of_a_curve() -> None:
    slices, truth = laid_out(SESSION, [24_000] * 4, wake=True)
    void = replace(truth, voids=(Span(7.0, 7.5), Span(14.2, 14.9)))
    curve = det_curve([(risen(slices, [2.9, 6.6, 7.9, 14.5, 18.3]), void)], window=4)
    assert (curve.detected[100], curve.false_accepts[100], curve.utterances) == (2, 0, 3)
    assert curve.hours == pytest.approx((1.5 + 4 * (1.5 + 3.5) - 1.2) / 3600)


def test_average_viable_recall_is_the_area_up_to_two_an_hour() -> None:
    cutoffs = np.arange(3)
    curve = DetCurve(
        cutoffs, detected=np.array([10, 8, 5]), false_accepts=np.array([3, 1, 0]), utterances=10, hours=1.0
    )
    # 0.5 from 0 to 1 an hour, 0.8 from 1 to 2; the cutoff at 3 an hour is not viable.
    assert average_viable_recall(curve) == pytest.approx((0.5 + 0.8) / 2)


def test_no_viable_cutoff_has_no_area() -> None:
    curve = DetCurve(np.arange(1), np.array([10]), np.array([9]), utterances=10, hours=1.0)
    assert average_viable_recall(curve) == 0.0


def test_recall_without_false_accepts_is_the_best_of_the_cutoffs_that_have_none() -> None:
    cutoffs = np.arange(256)
    detected = np.where(cutoffs < 100, 9, 6)
    detected[0] = 0
    curve = DetCurve(cutoffs, detected, np.where((cutoffs > 0) & (cutoffs < 120), 1, 0), 10, 1.0)
    assert recall_at_no_false_accepts(curve) == 0.6
    lowest = cutoff_at_no_false_accepts(curve)
    assert lowest is not None
    assert (curve.recall[lowest], curve.false_accepts[lowest]) == (0.6, 0)
    assert all(curve.false_accepts[1:lowest] > 0)
    always = DetCurve(cutoffs, detected, np.where(cutoffs > 0, 1, 0), 10, 1.0)
    assert recall_at_no_false_accepts(always) == 0.0
    assert cutoff_at_no_false_accepts(always) is None
