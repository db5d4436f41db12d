"""What the training loop asks of whoever mines hard negatives for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trainer.data.drawn_sets import FeatureSet


@dataclass(frozen=True)
class MinedSets:
    """What batches are drawn from once hard negatives were mined."""

    sets: Sequence[FeatureSet]
    """All sets of the run, those that were mined too."""
    total: int
    """Hard negatives that were mined so far."""
    digest: str
    """Names what was mined; the same wherever a run was interrupted."""
    new: int = 0
    """Of the last mining."""
    recordings: int = 0
    """Recordings that the new ones are from."""
    highest: float = 0.0
    """The surest wrong probability of the new ones, 0 to 1."""


class HardNegatives(Protocol):
    """Mines what the model in training wrongly accepts.

    What is mined at a step depends on the model and on what was mined before. It is on disk before `mine` returns, and
    so before the run's state tells of it.
    """

    @property
    def interval(self) -> int:
        """Evaluations from one mining to the next."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of everything, besides the model, that decides what is mined."""
        ...

    def restore(self, step: int) -> MinedSets:
        """What an earlier session had mined up to this step, 0 for a new run. Anything later is forgotten: it will be
        mined again.

        Raises `ConfigError` when the folder of mined clips cannot be read or is not this run's.
        """
        ...

    def mine(self, model: Any, step: int) -> MinedSets:
        """Let a `keras.Model` of `build_model` hear the negatives that train it, and add what it accepts.

        Raises `ConfigError` and `OSError` when a recording cannot be read, and `OSError` when the disk is full.
        """
        ...
