"""How well a model tells words from everything else, by a figure that does not saturate: the recall that is expected at
a rate of false accepts.

Counts saturate: with clips that every model finds and negatives that none accepts, all models have 100 % and none. The
float probabilities behind them still differ. Each word has a peak, the highest average of its sliding window, in
log-odds; so have stretches of the negatives. The tail of those (`tail.py`) says at which level false accepts are as
rare as the target. The words' peaks of a condition are taken for normal, so their mean and deviation say which share
lies above that level: Phi(z) with z = (mean - level) / deviation. Of several conditions the mean z is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.detector import first_decisive
from wakeword.scoring.matching import TOLERANCE_SECONDS, Span
from wakeword.scoring.tail import tail_of

STRETCH_SECONDS = 2.0
"""Peaks of false accepts are taken in stretches of this length: longer than the hold-off, so that one sound is seldom
two peaks."""
LEAST_DEVIATION = 0.5
"""Few words may have the same peak by chance."""
_LOWEST, _HIGHEST = 1e-9, 1 - 2.0**-24
"""float32 knows nothing nearer to 1."""


def average_log_odds(probabilities: NDArray[np.float32], stride: int, window: int) -> NDArray[np.float64]:
    """Log-odds of the sliding average at each inference of a stream since boot, float64 `[n]`, from probabilities 0-1
    `[n]`.

    Inferences that can take part in no detection have the lowest value.
    """
    sums = np.concatenate([np.zeros(min(window, len(probabilities))), np.cumsum(probabilities, dtype=np.float64)])
    averages = (
        np.clip((sums[-len(probabilities) :] - sums[: len(probabilities)]) / window, _LOWEST, _HIGHEST)
        if len(probabilities)
        else sums
    )
    averages[: first_decisive(stride, window)] = _LOWEST
    return np.asarray(np.log(averages) - np.log1p(-averages))


def word_peaks(levels: NDArray[np.float64], stride: int, words: Sequence[Span]) -> NDArray[np.float64]:
    """The highest level of each word, float64 `[len(words)]`: where a detection would find it (`matching.py`)."""
    ends = _ends(len(levels), stride)
    first = np.searchsorted(ends, [word.start for word in words])
    last = np.searchsorted(ends, [word.end + TOLERANCE_SECONDS for word in words], side="right")
    return np.array([levels[start:stop].max(initial=np.log(_LOWEST)) for start, stop in zip(first, last, strict=True)])


def other_peaks(levels: NDArray[np.float64], stride: int, words: Sequence[Span] = ()) -> NDArray[np.float64]:
    """The highest level of each stretch of a stream besides its words, float64 `[stretches]`."""
    ends, others = _ends(len(levels), stride), levels.copy()
    for word in words:
        others[
            np.searchsorted(ends, word.start) : np.searchsorted(ends, word.end + TOLERANCE_SECONDS, side="right")
        ] = np.log(_LOWEST)
    starts = np.arange(0, len(others), max(1, round(STRETCH_SECONDS * 1000 / (stride * contract.STEP_MS))))
    return np.maximum.reduceat(others, starts) if len(others) else others


def expected_recall(
    words: Sequence[NDArray[np.float64]], others: NDArray[np.float64], hours: float, false_accepts_per_hour: float
) -> float:
    """The recall expected at a rate of false accepts, 0 to 1, of sets of word peaks (a condition each) of equal weight.

    `others` are the peaks of negatives, of so many hours. 0 without words or negatives.
    """
    if not hours > 0 or not len(others) or not any(map(len, words)):
        return 0.0
    level = tail_of(others, hours).level(max(false_accepts_per_hour, 1e-3))
    scores = [
        (float(np.mean(peaks)) - level) / max(float(np.std(peaks)), LEAST_DEVIATION) for peaks in words if len(peaks)
    ]
    return NormalDist().cdf(sum(scores) / len(scores))


def _ends(count: int, stride: int) -> NDArray[np.float64]:
    """When each inference of a stream is there, seconds."""
    return (
        contract.WINDOW_SAMPLES + ((np.arange(count) + 1) * stride - 1) * contract.STEP_SAMPLES
    ) / contract.SAMPLE_RATE_HZ
