"""What batches are drawn from: clips of one kind, how often each is drawn, and where a window of it may end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from trainer.config.batch_settings import END_SHIFT_SLICES, TruncationStrategy
from trainer.data.clip_rows import ClipRows
from wakeword import contract
from wakeword.errors import ConfigError


@dataclass(frozen=True)
class FeatureSet:
    """Clips of one kind.

    - `random`: any window of the clip; a clip is drawn in proportion to its length, so every slice of audio is as
      likely as any other. For negatives.
    - `truncate_start`: the window ends with the clip, less a shift of 0 to `end_shift_slices - 1` slices; every clip is
      as likely as any other. For wake words, whose clips end about 200 ms after the word: with ten slices of shift the
      model learns to fire about 105 to 205 ms after it.
    - `truncate_end`: the window begins with the clip. For what happens at the onset of sound.
    - `fixed_right_cutoff`: the window ends `right_cutoff_slices` before the clip does: one moment after the word.
    - `split`: one of the windows that lie side by side from the clip's end to its beginning (the first of them reaches
      into its neighbour where they do not divide the clip). For ambient recordings.

    With `random` and `split` longer clips are drawn more often, with the others all are as likely. A clip shorter than
    the window is preceded by silence (-128), which no device hears in the middle of a stream: compute features with
    enough sound before the word that clips are at least as long as the training window. Raises `ConfigError` when there
    is nothing to draw from or a weight is negative.
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
                raise ConfigError(
                    f"{where} has a clip of {clip.dtype} {list(clip.shape)}; clips are int8 [slices,"
                    f" {contract.FEATURE_CHANNELS}]"
                )
        if self.sampling_weight < 0 or self.penalty_weight < 0:
            raise ConfigError(
                f"{where}: sampling_weight {self.sampling_weight} and penalty_weight {self.penalty_weight} must not be"
                " negative"
            )
        if self.truncation_strategy not in get_args(TruncationStrategy):
            raise ConfigError(
                f"{where}: truncation_strategy is {self.truncation_strategy!r}; give one of"
                f" {', '.join(get_args(TruncationStrategy))}"
            )
        if self.end_shift_slices < 1:
            raise ConfigError(f"{where}: end_shift_slices is {self.end_shift_slices}; give 1 (no shift) or more")
        if self.right_cutoff_slices < 0:
            raise ConfigError(f"{where}: right_cutoff_slices is {self.right_cutoff_slices}; give 0 or more")
        if self.hard and self.truth:
            raise ConfigError(
                f"{where}: holds wake words and is marked hard, which negatives can be; choose one of the two"
            )


def places_of(
    feature_set: FeatureSet, lengths: NDArray[np.int64], slices: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where a window may end, `[clips]` each: slices before the clip's end at the first place, from one place to the
    next, number of places.
    """
    none, one = np.zeros_like(lengths), np.ones_like(lengths)
    spare = np.maximum(lengths - slices, 0)
    match feature_set.truncation_strategy:
        case "random":
            return none, one, spare + 1
        case "truncate_start":
            return none, one, np.minimum(feature_set.end_shift_slices, lengths)
        case "truncate_end":
            return spare, one, one
        case "fixed_right_cutoff":
            return np.minimum(feature_set.right_cutoff_slices, lengths - 1), one, one
        case "split":
            return none, one * slices, -(-lengths // slices)


def clip_shares(feature_set: FeatureSet, lengths: NDArray[np.int64], slices: int) -> NDArray[np.float64]:
    """The set's sampling weight, shared out between its clips."""
    shares = np.ones(len(lengths))
    if feature_set.truncation_strategy == "random":
        shares = lengths.astype(np.float64)
    elif feature_set.truncation_strategy == "split":
        shares = np.ceil(lengths / slices)
    return feature_set.sampling_weight * shares / shares.sum()
