"""The curve, its counts and the matcher at many cutoffs, against a reference that is slow and plain."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.wakeword.scoring import reference
from wakeword.contract import slice_count
from wakeword.presentation import SESSION, STREAM, Presentation
from wakeword.scoring.det import Stream, average_viable_recall, det_curve, recall_at_no_false_accepts
from wakeword.scoring.matching import Span, Truth, match

LEVELS = [0, 1, 2, 60, 127, 128, 129, 200, 253, 254, 255]


@dataclass(frozen=True)
class Heard:
    """One stream with what is true of it."""

    stream: Stream
    truth: Truth


def rising_and_falling(generator: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Runs of one level, of every length from one inference to more than a hold-off, with noise on some."""
    parts = [np.zeros(0, np.int64)]
    while sum(map(len, parts)) < count:
        run = np.full(generator.choice([1, 2, 5, 12, 40, 110]), generator.choice(LEVELS))
        parts.append(run + generator.integers(-3, 4, len(run)) * generator.integers(0, 2))
    return np.concatenate(parts)[:count].clip(0, 255).astype(np.uint8)


@st.composite
def heard(draw: st.DrawFn) -> Heard:
    """A session of words or a stream of other recordings, some of its time void."""
    wake, stride = draw(st.booleans()), draw(st.integers(1, 4))
    presentation: Presentation = SESSION if wake else STREAM
    samples = draw(st.lists(st.integers(3_000, 40_000), min_size=1, max_size=4))
    spans = [
        Span(start / 16_000, (start + length) / 16_000)
        for start, length in zip(presentation.starts(samples), samples, strict=True)
    ]
    slices = slice_count(presentation.silence(len(samples)) + sum(samples))
    probabilities = rising_and_falling(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), slices // stride)
    voids = draw(st.lists(st.tuples(st.integers(0, slices), st.integers(0, 150)), max_size=2))
    truth = presentation.truth(
        spans, wake=wake, voids=[Span(start / 100, (start + length) / 100) for start, length in voids]
    )
    return Heard(Stream(probabilities, stride, slices), truth)


@settings(max_examples=25)
@given(
    st.lists(heard(), min_size=1, max_size=3),
    st.integers(1, 10),
    st.lists(st.integers(0, 255), min_size=12, max_size=12),
)
def test_the_curve_counts_what_the_device_would_at_each_cutoff(
    streams: list[Heard], window: int, cutoffs: list[int]
) -> None:
    curve = det_curve([(one.stream, one.truth) for one in streams], window)
    for cutoff in {0, 1, 128, 254, 255, *cutoffs}:
        sums = reference.Counts()
        for one in streams:
            moments = reference.detected_at(
                one.stream.probabilities.tolist(), one.stream.stride, one.stream.slices, cutoff, window
            )
            counts = reference.count(moments, one.truth.utterances, one.truth.voids, rated=one.truth.rated)
            sums.found, sums.utterances = sums.found + counts.found, sums.utterances + counts.utterances
            sums.false_accepts += counts.false_accepts
        assert (curve.detected[cutoff], curve.utterances, curve.false_accepts[cutoff]) == (
            sums.found,
            sums.utterances,
            sums.false_accepts,
        ), cutoff
    assert curve.hours * 3600 == pytest.approx(sum(counted_seconds(one.truth) for one in streams))
    if curve.utterances and curve.hours:
        rates, recalls = curve.false_accepts_per_hour.tolist(), curve.recall.tolist()
        assert average_viable_recall(curve, 400.0) == pytest.approx(reference.area_of_recall(rates, recalls, 400.0))
        without = [
            recall for cutoff, (rate, recall) in enumerate(zip(rates, recalls, strict=True)) if cutoff and not rate
        ]
        assert recall_at_no_false_accepts(curve) == max(without, default=0.0)


def counted_seconds(truth: Truth) -> float:
    """The time that counts and is not void: between two neighbouring borders all of it or nothing."""
    if not truth.rated:
        return 0.0
    borders = sorted(border for span in (*truth.counted, *truth.voids) for border in (span.start, span.end))
    seconds = 0.0
    for start, end in pairwise(borders):
        middle = (start + end) / 2
        counts, void = (any(span.start < middle < span.end for span in spans) for spans in (truth.counted, truth.voids))
        seconds += end - start if counts and not void else 0.0
    return seconds


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=12),
    st.lists(st.integers(0, 80), max_size=16),
)
def test_the_matcher_finds_as_many_as_the_best_assignment(words: list[tuple[int, int]], moments: list[int]) -> None:
    utterances = [Span(start / 4, (start + length) / 4) for start, length in words]
    detections = [moment / 4 for moment in moments]
    components = match(utterances, detections, 60.0, reference.TOLERANCE)
    found = reference.most_found(utterances, detections)
    assert (components.found, components.false_accepts) == (found, len(detections) - found)
