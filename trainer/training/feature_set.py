"""What the model learns from: clips as the device's int8 features, and how to draw from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.errors import ConfigError

TruncationStrategy = Literal["random", "truncate_start"]
END_SHIFT_SLICES = 10


@dataclass(frozen=True)
class FeatureSet:
    """Clips of one kind.

    - `random`: any window of the clip; a clip is drawn in proportion to its length, so every slice of audio is as likely as
      any other. For negatives.
    - `truncate_start`: the window ends with the clip, less a shift of 0 to `end_shift_slices - 1` slices; every clip is as
      likely as any other. For wake words, whose clips end about 200 ms after the word: with ten slices of shift the model
      learns to fire about 105 to 205 ms after it.

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

    def __post_init__(self) -> None:
        where = f"feature set {self.name!r}"
        if not self.clips:
            raise ConfigError(f"{where} has no clips; give it recordings or leave the set out")
        for clip in self.clips:
            if clip.dtype != np.int8 or clip.ndim != 2 or clip.shape[1] != contract.FEATURE_CHANNELS or not len(clip):
                raise ConfigError(f"{where} has a clip of {clip.dtype} {list(clip.shape)}; clips are int8 [slices, {contract.FEATURE_CHANNELS}]")
        if self.sampling_weight < 0 or self.penalty_weight < 0:
            raise ConfigError(f"{where}: sampling_weight {self.sampling_weight} and penalty_weight {self.penalty_weight} must not be negative")
        if self.truncation_strategy not in ("random", "truncate_start"):
            raise ConfigError(f"{where}: truncation_strategy is {self.truncation_strategy!r}; give random or truncate_start")
        if self.end_shift_slices < 1:
            raise ConfigError(f"{where}: end_shift_slices is {self.end_shift_slices}; give 1 (no shift) or more")
