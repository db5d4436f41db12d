"""The curve of a validation session against the one matcher, cutoff by cutoff."""

from __future__ import annotations

import time

import numpy as np
import pytest

from trainer.training.session import WORDS, recall_at_no_false_accepts, session_curve, word_spans
from wakeword.contract import slice_count, slice_end_seconds
from wakeword.detector import detect
from wakeword.scoring.det import DetCurve, Stream
from wakeword.scoring.matching import TOLERANCE_SECONDS, match

STRIDE, WINDOW = 3, 4


def words_stream(samples: list[int], rises: list[float], level: int = 250) -> Stream:
    """Probabilities that rise for 120 ms at so many seconds of the stream of wake words."""
    slices = slice_count(WORDS.lead_in + sum(samples) + len(samples) * WORDS.gap)
    probabilities = np.zeros(slices // STRIDE, np.uint8)
    for rise in rises:
        first = round(rise * 100 / STRIDE)
        probabilities[first : first + 4] = level
    return Stream(probabilities, STRIDE, slices)


SILENT = Stream(np.zeros(1000, np.uint8), STRIDE, 3000)


def test_a_second_detection_and_one_in_the_pause_are_false_accepts() -> None:
    samples = [24_000] * 4  # words at 1.5-3, 6.5-8, 11.5-13, 16.5-18
    stream = words_stream(samples, [2.9, 6.6, 7.9, 14.5, 18.3])
    curve = session_curve(stream, word_spans(samples), SILENT, WINDOW, negative_hours=1.0)
    assert (curve.detected[100], curve.false_accepts[100]) == (3, 2)
    assert curve.utterances == 4
    assert curve.hours == pytest.approx(1 + slice_end_seconds(stream.slices - 1) / 3600)


def test_false_accepts_of_both_streams_add_up() -> None:
    negatives = words_stream([48_000], [2.0, 4.0])
    curve = session_curve(words_stream([16_000], [2.0]), word_spans([16_000]), negatives, WINDOW, 1.0)
    assert (curve.detected[100], curve.false_accepts[100]) == (1, 2)


def test_every_cutoff_of_a_long_session_is_as_the_matcher_says_and_quick() -> None:
    rng = np.random.default_rng(2)
    samples = rng.integers(8_000, 30_000, 150).tolist()
    spans = word_spans(samples)
    stream = words_stream(samples, [])
    loudness = np.repeat(rng.integers(0, 256, len(stream.probabilities) // 8 + 1), 8)[: len(stream.probabilities)]
    stream = Stream(loudness.astype(np.uint8), STRIDE, stream.slices)
    began = time.perf_counter()
    curve = session_curve(stream, spans, SILENT, WINDOW, 0.0)
    assert time.perf_counter() - began < 20, "about half a second on an idle machine"
    for cutoff in range(1, 255, 23):
        moments = [slice_end_seconds(each.slice_index) for each in detect(stream.probabilities, STRIDE, stream.slices, cutoff, WINDOW)]
        expected = match(spans, moments, slice_end_seconds(stream.slices - 1), TOLERANCE_SECONDS)
        assert (curve.detected[cutoff], curve.false_accepts[cutoff]) == (expected.found, expected.false_accepts)
    assert 0 < curve.detected[150] < 150


def test_recall_without_false_accepts_is_the_best_of_the_cutoffs_that_have_none() -> None:
    cutoffs = np.arange(256)
    detected = np.where(cutoffs < 100, 9, 6)
    detected[0] = 0
    curve = DetCurve(cutoffs, detected, np.where((cutoffs > 0) & (cutoffs < 120), 1, 0), 10, 1.0)
    assert recall_at_no_false_accepts(curve) == 0.6
    always = DetCurve(cutoffs, detected, np.where(cutoffs > 0, 1, 0), 10, 1.0)
    assert recall_at_no_false_accepts(always) == 0.0
