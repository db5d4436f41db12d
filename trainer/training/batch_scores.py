"""Loss, accuracy, recall, precision and gradients over the training batches, from five numbers a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakeword.scoring.classification import share

_NUMBERS = 5
"""That a step gives."""


@dataclass(frozen=True)
class BatchScores:
    """Sums over steps. A step gives `[loss, accepted wake words, accepted, wake words, norm of the gradient]`, at a
    probability of one half; sums of sums add up. A step whose loss or norm is not finite was skipped, and is counted as
    such alone.
    """

    steps: int = 0
    samples: int = 0
    loss_sum: float = 0.0
    true_accepts: float = 0.0
    accepts: float = 0.0
    positives: float = 0.0
    skipped: int = 0
    gradient_norms: Sequence[float] = ()
    """Of each step, in order."""

    @classmethod
    def of(cls, steps: Sequence[Any], batch_size: int) -> BatchScores:
        """The scores of steps' tensors, each of one step or of several; waits for those that are still being
        computed.
        """
        of_steps = rows_of(steps)
        done = of_steps[are_finite(steps)]
        loss, true_accepts, accepts, positives = map(float, done[:, :4].sum(axis=0))
        return cls(
            len(done),
            len(done) * batch_size,
            loss,
            true_accepts,
            accepts,
            positives,
            skipped=len(of_steps) - len(done),
            gradient_norms=tuple(done[:, 4].tolist()),
        )

    def __add__(self, other: BatchScores) -> BatchScores:
        return BatchScores(
            self.steps + other.steps,
            self.samples + other.samples,
            self.loss_sum + other.loss_sum,
            self.true_accepts + other.true_accepts,
            self.accepts + other.accepts,
            self.positives + other.positives,
            self.skipped + other.skipped,
            (*self.gradient_norms, *other.gradient_norms),
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

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return share(2 * self.true_accepts, self.accepts + self.positives)

    @property
    def gradient(self) -> tuple[float, float]:
        """Median and largest norm of the steps' gradients, before any limit."""
        norms = self.gradient_norms
        return (float(np.median(norms)), max(norms)) if norms else (float("nan"), float("nan"))

    def figures(self) -> dict[str, float]:
        """All of them by name."""
        median, largest = self.gradient
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "recall": self.recall,
            "precision": self.precision,
            "f1": self.f1,
            "gradient_norm_median": median,
            "gradient_norm_largest": largest,
            "skipped_steps": self.skipped,
        }


def are_finite(steps: Sequence[Any]) -> list[bool]:
    """Of each step, whether it was done: its loss and the norm of its gradient are finite. Tensors as in
    `BatchScores.of`.
    """
    of_steps = rows_of(steps)
    return [bool(finite) for finite in np.isfinite(of_steps[:, 0] + of_steps[:, 4])]


def rows_of(steps: Sequence[Any]) -> NDArray[np.float64]:
    """What steps gave, `[steps, 5]`, of tensors of one step, `[5]`, or of several, `[steps, 5]`."""
    rows = [np.asarray(step, np.float64).reshape(-1, _NUMBERS) for step in steps]
    return np.concatenate(rows) if rows else np.zeros((0, _NUMBERS))
