"""Training negatives that a model accepts, cut from the features that training draws from anyway: no audio is decoded again.

`trainer.mining` finds them in audio and keeps them as clips; here they serve one iteration and are forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.mixednet.sliding import SlidingModel

MARGIN_SLICES = 10
"""Before and after an accepted window, so that training may shift it."""
MOST_WINDOWS = 2000


def accepted_windows(
    sliding: SlidingModel, clips: Sequence[NDArray[np.int8]], stride: int, slices: int, level: float, limit: int = MOST_WINDOWS
) -> list[NDArray[np.int8]]:
    """At most `limit` windows, int8 `[about slices + 20, 40]`, whose probability is above `level`, the most confident first.

    `sliding` has the weights, a window has `slices`. No window overlaps another; of equal probabilities the earlier one counts.
    """
    found: list[tuple[float, int, int]] = []
    for index, clip in enumerate(clips):
        if len(clip) >= slices:
            found += [(-probability, index, position) for probability, position in _peaks(sliding.run(clip), -(-slices // stride), level, limit)]
            found = sorted(found)[:limit]
    return [_cut(clips[index], position * stride, slices) for _, index, position in found]


def _peaks(probabilities: NDArray[np.float32], reach: int, level: float, limit: int) -> list[tuple[float, int]]:
    """The highest probabilities above `level` and their positions, at least `reach` positions from one another."""
    candidates = np.flatnonzero(probabilities > level)
    free = np.ones(len(probabilities), np.bool_)
    peaks: list[tuple[float, int]] = []
    for position in candidates[np.argsort(-probabilities[candidates], kind="stable")].tolist():
        if len(peaks) == limit:
            break
        if free[position]:
            peaks.append((float(probabilities[position]), position))
            free[max(0, position - reach + 1) : position + reach] = False
    return peaks


def _cut(clip: NDArray[np.int8], first: int, slices: int) -> NDArray[np.int8]:
    return np.array(clip[max(0, first - MARGIN_SLICES) : first + slices + MARGIN_SLICES])
