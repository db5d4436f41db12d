"""Windows of training negatives that a model is surest of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.config.batch_settings import END_SHIFT_SLICES
from trainer.data.clip_rows import ClipRows
from trainer.tuning.accepted import accepted_windows
from wakeword.corpus.feature_cache import CachedStream

STRIDE, SLICES = 3, 30


@dataclass
class Loudest:
    """The probability of an inference is its last slice's first value, of 100."""

    stride: int = STRIDE

    def probabilities(self, features: CachedStream) -> NDArray[np.float32]:
        levels: NDArray[np.float32] = features.read()[STRIDE - 1 :: STRIDE, 0].astype(np.float32)
        return levels / np.float32(100)


def clip(length: int, peaks: dict[int, int]) -> NDArray[np.int8]:
    """A clip with values at the ends of inferences."""
    features = np.zeros((length, 40), np.int8)
    for inference, value in peaks.items():
        features[(inference + 1) * STRIDE - 1] = value
    return features


def found(clips: list[NDArray[np.int8]], level: float, limit: int = 100) -> ClipRows:
    return accepted_windows(Loudest(), ClipRows.of(clips), SLICES, level, limit)


def test_the_surest_first_and_none_overlapping() -> None:
    clips = [clip(400, {29: 80, 34: 90, 69: 60, 109: 40}), clip(SLICES - 1, {}), clip(200, {14: 85})]
    windows = found(clips, 0.5)
    assert [int(window[:, 0].max()) for window in windows] == [90, 85, 60]
    np.testing.assert_array_equal(
        windows[0], clips[0][35 * STRIDE - SLICES - END_SHIFT_SLICES : 35 * STRIDE + END_SHIFT_SLICES]
    )
    assert [int(window[:, 0].max()) for window in found(clips, 0.5, limit=2)] == [90, 85]
    assert [int(window[:, 0].max()) for window in found(clips, 0.3)] == [90, 85, 60, 40]
    assert len(found(clips, 0.9)) == 0


def test_windows_at_the_ends_of_a_clip_are_cut_there_and_not_copied() -> None:
    (only,) = found([clip(SLICES, {9: 70})], 0.5)
    assert only.shape == (SLICES, 40)
    rows = ClipRows.of([clip(SLICES * 10, {9: 70, SLICES * 10 // STRIDE - 1: 60})])
    windows = accepted_windows(Loudest(), rows, SLICES, 0.5)
    assert [len(window) for window in windows] == [SLICES + END_SHIFT_SLICES, SLICES + END_SHIFT_SLICES]
    assert windows.rows is rows.rows


def test_what_a_model_answers_before_its_first_whole_window_is_no_negative() -> None:
    """Ten inferences fill the window; before that a device detects nothing."""
    assert len(found([clip(400, {0: 99, 8: 98}), clip(SLICES - 1, {0: 97})], 0.5)) == 0
    assert len(found([clip(400, {9: 99})], 0.5)) == 1


def test_without_clips_nothing_is_accepted() -> None:
    """Published feature sets may be all the negatives; nothing is mined from those."""
    assert len(found([], 0.5)) == 0


@pytest.mark.parametrize("apart", [9, 10])
def test_windows_may_touch_but_not_overlap(apart: int) -> None:
    assert len(found([clip(300, {39: 90, 39 + apart: 80})], 0.5)) == (2 if apart * STRIDE >= SLICES else 1)
