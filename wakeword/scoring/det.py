"""Detection error trade-off: recall and false accepts over all cutoffs, from one pass of stored probabilities.

Conventions: cutoffs are the device's uint8 values 0-255; counts are kept, rates are taken last, so curves of several corpora
add up. The hold-off after a detection depends on the cutoff and is decided anew for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import PROBABILITY_MAX
from wakeword.detector import count_detections

CUTOFFS = range(PROBABILITY_MAX + 1)


@dataclass(frozen=True)
class Stream:
    """Stored probabilities of one stream since boot: uint8 `[slices // stride]`."""

    probabilities: NDArray[np.uint8]
    stride: int
    slices: int


@dataclass(frozen=True)
class DetCurve:
    """Counts at each cutoff; index `c` is the uint8 cutoff."""

    cutoffs: NDArray[np.int64]
    detected: NDArray[np.int64]
    """Utterances with at least one detection, `[256]`."""
    false_accepts: NDArray[np.int64]
    """Detections in the negative streams, `[256]`."""
    utterances: int
    hours: float

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of utterances detected, `[256]`; NaN without utterances."""
        return self.detected / self.utterances if self.utterances else np.full(len(self.cutoffs), np.nan)

    @property
    def false_accepts_per_hour(self) -> NDArray[np.float64]:
        """False accepts an hour, `[256]`; NaN without hours."""
        return self.false_accepts / self.hours if self.hours else np.full(len(self.cutoffs), np.nan)


def det_curve(positive_streams: Sequence[Stream], negative_streams: Sequence[Stream], window: int, negative_hours: float) -> DetCurve:
    """Count utterances detected and false accepts at every cutoff.

    Each positive stream is one utterance, hit by at least one detection. `negative_hours` is the recorded time of the
    negative streams without padding.
    """
    detected = np.zeros(len(CUTOFFS), np.int64)
    for stream in positive_streams:
        detected += _counts(stream, window) > 0
    false_accepts = np.zeros(len(CUTOFFS), np.int64)
    for stream in negative_streams:
        false_accepts += _counts(stream, window)
    return DetCurve(np.array(CUTOFFS), detected, false_accepts, len(positive_streams), negative_hours)


def _counts(stream: Stream, window: int) -> NDArray[np.int64]:
    return count_detections(stream.probabilities, stream.stride, stream.slices, CUTOFFS, [window])[:, 0]


def average_viable_recall(curve: DetCurve, highest_rate: float = 2.0) -> float:
    """Area under recall over false accepts an hour from 0 to 2, divided by 2, as microWakeWord defines it.

    At each rate the best recall of all cutoffs at or under it counts, so the curve is a staircase and the area exact.
    """
    rates, recalls = curve.false_accepts_per_hour, curve.recall
    viable = rates <= highest_rate
    if not viable.any() or not curve.utterances:
        return 0.0
    order = np.lexsort((-recalls[viable], rates[viable]))
    x = np.append(rates[viable][order], highest_rate)
    best = np.maximum.accumulate(recalls[viable][order])
    return float(np.sum(np.diff(x) * best) / highest_rate)
