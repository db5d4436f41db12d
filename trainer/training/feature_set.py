"""What the model learns from: clips as the device's int8 features, and how to draw from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, get_args, overload

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.errors import ConfigError

TruncationStrategy = Literal["random", "truncate_start", "truncate_end", "split", "fixed_right_cutoff"]
END_SHIFT_SLICES = 10


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
            return [self[one] for one in range(*index.indices(len(self)))]
        start = int(self.starts[index])
        return self.rows[start : start + int(self.lengths[index])]


@dataclass(frozen=True)
class FeatureSet:
    """Clips of one kind.

    - `random`: any window of the clip; a clip is drawn in proportion to its length, so every slice of audio is as likely as
      any other. For negatives.
    - `truncate_start`: the window ends with the clip, less a shift of 0 to `end_shift_slices - 1` slices; every clip is as
      likely as any other. For wake words, whose clips end about 200 ms after the word: with ten slices of shift the model
      learns to fire about 105 to 205 ms after it.
    - `truncate_end`: the window begins with the clip. For what happens at the onset of sound.
    - `fixed_right_cutoff`: the window ends `right_cutoff_slices` before the clip does: one moment after the word.
    - `split`: one of the windows that lie side by side from the clip's end to its beginning (the first of them reaches into its neighbour where
      they do not divide the clip). For ambient recordings.

    With `random` and `split` longer clips are drawn more often, with the others all are as likely.
    A clip shorter than the window is preceded by silence (-128), which no device hears in the middle of a stream: compute
    features with enough sound before the word that clips are at least as long as the training window.
    Raises `ConfigError` when there is nothing to draw from or a weight is negative.
    """

    name: str
    truth: bool
    """Whether the window holds the wake word."""
    clips: Sequence[NDArray[np.int8]]
    """Device features `[slices, 40]` a clip, of any length above 0."""
    sampling_weight: float = 1.0
    """Share of a batch, relative to the other sets."""
    penalty_weight: float = 1.0
    """Weight of a sample's loss, multiplied by the class weight of its phase."""
    truncation_strategy: TruncationStrategy = "random"
    end_shift_slices: int = END_SHIFT_SLICES
    """Number of shifts that `truncate_start` draws from: 10 is 100 ms; 1 keeps the clip's end."""
    right_cutoff_slices: int = 0
    """Slices at the end that `fixed_right_cutoff` leaves out."""
    hard: bool = False
    """Whether the negatives of this set have the class weight of hard negatives."""

    def __post_init__(self) -> None:
        where = f"feature set {self.name!r}"
        if not self.clips:
            raise ConfigError(f"{where} has no clips; give it recordings or leave the set out")
        for clip in [self.clips.rows] if isinstance(self.clips, ClipRows) else self.clips:
            if clip.dtype != np.int8 or clip.ndim != 2 or clip.shape[1] != contract.FEATURE_CHANNELS or not len(clip):
                raise ConfigError(f"{where} has a clip of {clip.dtype} {list(clip.shape)}; clips are int8 [slices, {contract.FEATURE_CHANNELS}]")
        if self.sampling_weight < 0 or self.penalty_weight < 0:
            raise ConfigError(f"{where}: sampling_weight {self.sampling_weight} and penalty_weight {self.penalty_weight} must not be negative")
        if self.truncation_strategy not in get_args(TruncationStrategy):
            raise ConfigError(f"{where}: truncation_strategy is {self.truncation_strategy!r}; give one of {', '.join(get_args(TruncationStrategy))}")
        if self.end_shift_slices < 1:
            raise ConfigError(f"{where}: end_shift_slices is {self.end_shift_slices}; give 1 (no shift) or more")
        if self.right_cutoff_slices < 0:
            raise ConfigError(f"{where}: right_cutoff_slices is {self.right_cutoff_slices}; give 0 or more")
        if self.hard and self.truth:
            raise ConfigError(f"{where}: holds wake words and is marked hard, which negatives can be; choose one of the two")
