"""Detection error trade-off: recall and false accepts over all cutoffs, from one pass of stored probabilities.

Conventions: cutoffs are the device's uint8 values 0-255; counts are kept, rates are taken last, so curves of several
corpora add up. The hold-off after a detection depends on the cutoff and is decided anew for each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import PROBABILITY_MAX, STEP_MS
from wakeword.detector import detections_by_cutoff
from wakeword.scoring.matching import Truth

CUTOFFS = range(PROBABILITY_MAX + 1)


class ProbabilityStream(Protocol):
    """What a model gave for one stream since boot."""

    @property
    def probabilities(self) -> NDArray[np.uint8]:
        """uint8 `[slices // stride]`."""
        ...

    @property
    def stride(self) -> int:
        """Slices an inference."""
        ...

    @property
    def slices(self) -> int:
        """Feature slices of the whole stream."""
        ...

    @property
    def step_ms(self) -> int:
        """Milliseconds from slice to slice."""
        ...


@dataclass(frozen=True)
class Stream:
    """Probabilities of one stream, and nothing else of it."""

    probabilities: NDArray[np.uint8]
    stride: int
    slices: int
    step_ms: int = STEP_MS


@dataclass(frozen=True)
class DetCurve:
    """Counts at each cutoff; index `c` is the uint8 cutoff."""

    cutoffs: NDArray[np.int64]
    detected: NDArray[np.int64]
    """Utterances found, `[256]`."""
    false_accepts: NDArray[np.int64]
    """Detections that find none, in streams that tell a rate, `[256]`."""
    utterances: int
    hours: float
    """Of those streams, the time that counts."""

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of utterances detected, `[256]`; NaN without utterances."""
        return self.detected / self.utterances if self.utterances else np.full(len(self.cutoffs), np.nan)

    @property
    def false_accepts_per_hour(self) -> NDArray[np.float64]:
        """False accepts an hour, `[256]`; NaN without hours."""
        return self.false_accepts / self.hours if self.hours else np.full(len(self.cutoffs), np.nan)


def det_curve(streams: Iterable[tuple[ProbabilityStream, Truth]], window: int) -> DetCurve:
    """Decide each stream at every cutoff with one sliding window, match what is detected with what is true of it, and
    add up.
    """
    detected, false_accepts = np.zeros(len(CUTOFFS), np.int64), np.zeros(len(CUTOFFS), np.int64)
    utterances, seconds = 0, 0.0
    for stream, truth in streams:
        silent = truth.outcome(())
        utterances += silent.utterances
        seconds += silent.scored_seconds if truth.rated else 0.0
        swept = detections_by_cutoff(
            stream.probabilities, stream.stride, stream.slices, CUTOFFS, window, stream.step_ms
        )
        for cutoff, detections in zip(CUTOFFS, swept, strict=True):
            if detections:
                outcome = truth.outcome([one.seconds for one in detections])
                detected[cutoff] += outcome.found
                false_accepts[cutoff] += outcome.false_accepts if truth.rated else 0
    return DetCurve(np.array(CUTOFFS), detected, false_accepts, utterances, seconds / 3600)


def average_viable_recall(curve: DetCurve, highest_rate: float = 2.0) -> float:
    """Area under recall over false accepts an hour from 0 to 2, divided by 2, as microWakeWord's figure but exact.

    At each rate the best recall of all cutoffs at or under it counts, so the curve is a staircase and the area exact.
    microWakeWord draws straight lines between cutoffs, and so gives more where the negatives are short.
    """
    rates, recalls = curve.false_accepts_per_hour, curve.recall
    viable = rates <= highest_rate
    if not viable.any() or not curve.utterances:
        return 0.0
    order = np.lexsort((-recalls[viable], rates[viable]))
    x = np.append(rates[viable][order], highest_rate)
    best = np.maximum.accumulate(recalls[viable][order])
    return float(np.sum(np.diff(x) * best) / highest_rate)


def recall_at_no_false_accepts(curve: DetCurve) -> float:
    """The highest recall of all cutoffs without a single false accept, 0 where there is none."""
    none = _without_false_accepts(curve)
    return float(curve.recall[none].max()) if none.any() and curve.utterances else 0.0


def cutoff_at_no_false_accepts(curve: DetCurve) -> int | None:
    """The lowest uint8 cutoff without a single false accept that has that recall; None where there is none."""
    none = _without_false_accepts(curve)
    if not none.any() or not curve.utterances:
        return None
    return int(curve.cutoffs[none & (curve.recall == curve.recall[none].max())][0])


def _without_false_accepts(curve: DetCurve) -> NDArray[np.bool_]:
    # At cutoff 0 the device never detects.
    return np.asarray((curve.false_accepts == 0) & (curve.cutoffs > 0))
