"""Clips of the device's int8 features in one array, in memory or mapped from a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import FEATURE_CHANNELS


@dataclass(frozen=True, eq=False)
class ClipRows(Sequence[NDArray[np.int8]]):
    """Clips of one array, in memory or mapped from a file."""

    rows: NDArray[np.int8]
    """`[slices of all clips, 40]`."""
    lengths: NDArray[np.int64]
    """Slices of each clip, `[clips]`."""
    first_rows: NDArray[np.int64] | None = None
    """The first row of each clip, `[clips]`. None: they lie one after another and are the whole array."""

    @classmethod
    def of(cls, clips: Sequence[NDArray[np.int8]]) -> Self | ClipRows:
        """Clips copied into one array, unless they lie in one already."""
        if isinstance(clips, ClipRows):
            return clips
        if not clips:
            return cls(np.zeros((0, FEATURE_CHANNELS), np.int8), np.zeros(0, np.int64))
        return cls(np.concatenate(clips), np.array([len(clip) for clip in clips], np.int64))

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The first row of each clip, `[clips]`."""
        if self.first_rows is not None:
            return self.first_rows
        starts: NDArray[np.int64] = np.cumsum(self.lengths) - self.lengths
        return starts

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.int8]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.int8]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.int8] | list[NDArray[np.int8]]:
        if isinstance(index, slice):
            return [self[clip] for clip in range(*index.indices(len(self)))]
        start = int(self.starts[index])
        return self.rows[start : start + int(self.lengths[index])]

    def parts(self, places: Iterable[tuple[int, int, int]]) -> ClipRows:
        """Parts of clips where they lie, nothing is copied. A place is a clip, the first slice and one past the last; a
        part is cut at its clip's ends.
        """
        clips, firsts, stops = np.array(list(places), np.int64).reshape(-1, 3).T
        firsts, stops = np.maximum(firsts, 0), np.minimum(stops, self.lengths[clips])
        return ClipRows(self.rows, stops - firsts, self.starts[clips] + firsts)
