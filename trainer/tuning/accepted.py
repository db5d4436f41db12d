"""Training negatives that a model accepts, as parts of the features that training draws from anyway: no audio is
decoded again.

`trainer.mining` finds them in audio and keeps them as clips; here they serve one iteration and are forgotten.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.config.batch_settings import END_SHIFT_SLICES
from trainer.data.clip_rows import ClipRows
from trainer.inference.peaks import highest_apart
from wakeword.corpus.feature_cache import CachedStream

MOST_WINDOWS = 2000


class FloatProbabilities(Protocol):
    """What is asked of a float model."""

    stride: int

    def probabilities(self, features: CachedStream) -> NDArray[np.float32]:
        """One an inference since boot, float32 `[slices // stride]`."""
        ...


def accepted_windows(
    model: FloatProbabilities, clips: ClipRows, slices: int, level: float, limit: int = MOST_WINDOWS
) -> ClipRows:
    """At most `limit` windows of `slices` whose probability is above `level`, the most confident first, each with what
    training may shift it by.

    Windows lie within their clip. None overlaps another; of equal probabilities the earlier one counts. Nothing is
    copied.
    """
    found: list[tuple[float, int, int]] = []
    for number, clip in enumerate(clips):
        probabilities = model.probabilities(CachedStream.in_memory(clip))
        above = np.flatnonzero(probabilities > level)
        # Some models answer high while their window still reaches into what was before boot, where a device detects
        # nothing.
        above = above[(above + 1) * model.stride >= slices]
        apart = above[highest_apart(probabilities[above], above, above + -(-slices // model.stride), limit)]
        found += zip((-probabilities[apart]).tolist(), [number] * len(apart), apart.tolist(), strict=True)
        found = sorted(found)[:limit]
    ends = [(number, (inference + 1) * model.stride) for _, number, inference in found]
    return clips.parts((number, end - slices - END_SHIFT_SLICES, end + END_SHIFT_SLICES) for number, end in ends)
