"""Loss, accuracy, recall and precision over the training batches, from four numbers a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wakeword.scoring.classification import share


@dataclass(frozen=True)
class BatchScores:
    """Sums over steps. A step gives `[loss, accepted wake words, accepted, wake words]`, at a probability of one half;
    sums of sums add up.
    """

    steps: int = 0
    samples: int = 0
    loss_sum: float = 0.0
    true_accepts: float = 0.0
    accepts: float = 0.0
    positives: float = 0.0

    @classmethod
    def of(cls, steps: Sequence[Any], batch_size: int) -> BatchScores:
        """The scores of so many steps' tensors; waits for those that are still being computed."""
        sums = np.sum([step.numpy() for step in steps], axis=0, dtype=np.float64)
        return cls(len(steps), len(steps) * batch_size, *map(float, sums))

    def __add__(self, other: BatchScores) -> BatchScores:
        return BatchScores(
            self.steps + other.steps,
            self.samples + other.samples,
            self.loss_sum + other.loss_sum,
            self.true_accepts + other.true_accepts,
            self.accepts + other.accepts,
            self.positives + other.positives,
        )

    @property
    def loss(self) -> float:
        """Mean weighted loss of a step; NaN without steps, as all of these without what they are a share of."""
        return share(self.loss_sum, self.steps)

    @property
    def accuracy(self) -> float:
        """Share of windows judged rightly."""
        wrong = self.accepts + self.positives - 2 * self.true_accepts
        return share(self.samples - wrong, self.samples)

    @property
    def recall(self) -> float:
        """Share of the wake words that were accepted."""
        return share(self.true_accepts, self.positives)

    @property
    def precision(self) -> float:
        """Share of the accepted windows that held the wake word."""
        return share(self.true_accepts, self.accepts)

    def figures(self) -> dict[str, float]:
        """All four by name."""
        return {"loss": self.loss, "accuracy": self.accuracy, "recall": self.recall, "precision": self.precision}
