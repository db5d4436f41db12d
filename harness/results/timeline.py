"""Probability timelines: what the model said while a recording was heard, as paths for a small inline SVG.

The paths live in a box of `WIDTH` x `HEIGHT` units that the page stretches to any width; ticks and marks are given in
per cent of the width, so that their text is never stretched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.results import wording
from harness.results.runs import RunStream
from harness.results.schema import DetectionRecord, ModelRecord
from wakeword.contract import PROBABILITY_MAX

WIDTH = 1000
HEIGHT = 100

_TICK_STEPS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_MAX_TICKS = 8


@dataclass(frozen=True)
class Mark:
    """A position on the time axis."""

    left: float
    """Per cent of the width."""
    text: str


@dataclass(frozen=True)
class Timeline:
    """A part of one stream, ready to draw. Seconds are counted from the start of the part's audio."""

    probability: str
    """SVG path of the probability at each inference."""
    average: str
    """SVG path of the sliding average that the device compares with the cutoff."""
    cutoff_y: float
    ticks: tuple[Mark, ...]
    detections: tuple[Mark, ...]
    silence: tuple[tuple[float, float], ...]
    """Left and width, in per cent, of parts without recorded sound: lead-in, tail, gaps."""
    description: str
    """The picture in words, for readers who do not see it."""


def draw(
    stream: RunStream, model: ModelRecord, begin: float, end: float, detections: Sequence[DetectionRecord] | None = None
) -> Timeline | None:
    """Draw the stream from `begin` to `end` (its own seconds); None where no inference lies there.

    The detections marked are the stream's own unless others are given.
    """
    averages = stream.averages(model.window)
    seconds = stream.inference_seconds()
    chosen = np.flatnonzero((seconds >= begin) & (seconds <= end))
    if not len(chosen):
        return None
    lefts = (seconds[chosen] - begin) / (end - begin)
    probabilities = stream.stream.probabilities[chosen] / PROBABILITY_MAX
    inside = [
        detection
        for detection in (stream.detections if detections is None else detections)
        if begin <= detection.seconds <= end
    ]
    peak, peak_average = float(probabilities.max()), float(averages[chosen].max())
    cutoff = model.cutoff_uint8 / PROBABILITY_MAX
    heard = ", ".join(f"{detection.seconds - begin:.2f} s" for detection in inside)
    return Timeline(
        probability=_path(lefts, probabilities),
        average=_path(lefts, averages[chosen]),
        cutoff_y=HEIGHT * (1 - cutoff),
        ticks=_ticks(end - begin),
        detections=tuple(
            Mark(100 * (detection.seconds - begin) / (end - begin), f"{detection.seconds - begin:.2f} s")
            for detection in inside
        ),
        silence=_silence(stream, begin, end),
        description=(
            f"Probability over {end - begin:.1f} s: highest {wording.probability(peak)}, highest sliding average "
            f"{wording.probability(peak_average)}, cutoff {wording.cutoff(model.cutoff)}, "
            + (f"detected at {heard}" if inside else "not detected")
        ),
    )


def _path(lefts: NDArray[np.float64], values: NDArray[np.float64]) -> str:
    points = [f"{WIDTH * x:.1f} {HEIGHT * (1 - y):.1f}" for x, y in zip(lefts.tolist(), values.tolist(), strict=True)]
    return "M" + "L".join(points)


def _ticks(seconds: float) -> tuple[Mark, ...]:
    step = next((step for step in _TICK_STEPS if seconds / step <= _MAX_TICKS), _TICK_STEPS[-1])
    count = int(seconds / step + 1e-9)
    return tuple(Mark(100 * index * step / seconds, f"{index * step:g}") for index in range(count + 1))


def _silence(stream: RunStream, begin: float, end: float) -> tuple[tuple[float, float], ...]:
    """The parts of the view that no recording covers."""
    parts: list[tuple[float, float]] = []
    covered = begin
    for file in stream.files:
        start, stop = file.stream_start, file.stream_start + file.seconds
        if stop <= begin or start >= end:
            continue
        if start > covered:
            parts.append((covered, start))
        covered = max(covered, stop)
    if covered < end:
        parts.append((covered, end))
    scale = 100 / (end - begin)
    return tuple(((start - begin) * scale, (stop - start) * scale) for start, stop in parts)
