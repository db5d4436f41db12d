"""Windows of training negatives that a model is surest of."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.tuning.accepted import MARGIN_SLICES, accepted_windows

STRIDE, SLICES = 3, 30


class Loudest:
    """The probability of a window is its last slice's first value, of 100."""

    def run(self, features: NDArray[np.int8]) -> NDArray[np.float32]:
        positions = max(0, (len(features) - SLICES) // STRIDE + 1)
        levels: NDArray[np.float32] = features[SLICES - 1 + STRIDE * np.arange(positions), 0].astype(np.float32)
        return levels / np.float32(100)


def clip(length: int, peaks: dict[int, int]) -> NDArray[np.int8]:
    """A clip with values at positions of windows."""
    features = np.zeros((length, 40), np.int8)
    for position, value in peaks.items():
        features[position * STRIDE + SLICES - 1] = value
    return features


def found(clips: list[NDArray[np.int8]], level: float, limit: int = 100) -> list[NDArray[np.int8]]:
    return accepted_windows(cast("Any", Loudest()), clips, STRIDE, SLICES, level, limit)


def test_the_surest_first_and_none_overlapping() -> None:
    clips = [clip(400, {20: 80, 25: 90, 60: 60, 100: 40}), clip(SLICES - 1, {}), clip(200, {5: 85})]
    windows = found(clips, 0.5)
    assert [int(window[:, 0].max()) for window in windows] == [90, 85, 60]
    np.testing.assert_array_equal(windows[0], clips[0][25 * STRIDE - MARGIN_SLICES : 25 * STRIDE + SLICES + MARGIN_SLICES])
    assert [int(window[:, 0].max()) for window in found(clips, 0.5, limit=2)] == [90, 85]
    assert [int(window[:, 0].max()) for window in found(clips, 0.3)] == [90, 85, 60, 40]
    assert found(clips, 0.9) == []


def test_windows_at_the_ends_of_a_clip_are_cut_there() -> None:
    (only,) = found([clip(SLICES, {0: 70})], 0.5)
    assert only.shape == (SLICES, 40)
    only[:] = 0
    first, last = found([clip(SLICES * 10, {0: 70, (SLICES * 9) // STRIDE: 60})], 0.5)
    assert (len(first), len(last)) == (SLICES + MARGIN_SLICES, SLICES + MARGIN_SLICES)


@pytest.mark.parametrize("apart", [9, 10])
def test_windows_may_touch_but_not_overlap(apart: int) -> None:
    assert len(found([clip(300, {30: 90, 30 + apart: 80})], 0.5)) == (2 if apart * STRIDE >= SLICES else 1)
