"""What to try next, what counts as better, and when to stop: pure functions of what was tried so far.

Conventions: iteration 0 is the given model, which is always kept. Each later one starts from the best weights so far;
it is kept when validation ranks it higher, and else forgotten, so the best only ever gets better. Figures are those of
validation, at the cutoff and window chosen there.

The cycle: the answer to the best model's trouble first, then the same weights once more, then the opposite. A kept one
begins the cycle anew from its own weights and rate; a whole cycle without a gain halves the learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from trainer.tuning.operating_point import PointChoice, Targets

WEIGHT_STEP = 1.5
LARGEST_WEIGHT_CHANGE = 8.0
"""Negatives weigh at most so many times more, or less, than in the run."""
SHARE_STEP = 1.25
LARGEST_SHARE = 0.5
"""Of wake words in a batch, unless the run's own is larger."""
LOWEST_LEARNING_RATE = 1e-7


class Trouble(StrEnum):
    """What keeps a model from its targets."""

    NONE = "none"
    FALSE_ACCEPTS = "false accepts"
    MISSES = "misses"


class Move(StrEnum):
    """What an iteration does differently from the best one before it."""

    GIVEN = "given"
    """Nothing is trained: the model as it came."""
    STRICTER = "stricter"
    """Negatives weigh more, and training negatives that the model accepts are drawn again."""
    SAME = "same"
    """Weights as they are: other batches."""
    EASIER = "easier"
    """Negatives weigh less, and more of a batch are wake words."""


@dataclass(frozen=True)
class TuningRecipe:
    """How an iteration trains."""

    learning_rate: float
    negative_class_weight: float
    hard_negative_class_weight: float
    word_share: float
    """Of a batch, 0 to 1."""
    mine: bool = False
    """Whether training negatives that the model accepts are drawn as hard negatives."""


@dataclass(frozen=True)
class Iteration:
    """One iteration that ended."""

    number: int
    move: Move
    recipe: TuningRecipe
    point: PointChoice
    kept: bool
    mined: int = 0
    """Windows of training negatives that were drawn as hard ones."""
    loss: float | None = None
    """Mean weighted loss of its steps."""
    seconds: float = 0.0


@dataclass(frozen=True)
class TuningLimits:
    """How long to try. Raises `ValueError` for what is no number of iterations or steps."""

    max_iterations: int = 100
    patience: int = 10
    """Iterations in a row without a gain."""
    steps: int = 300
    """Of each iteration."""

    def __post_init__(self) -> None:
        if self.max_iterations < 0 or self.patience < 1 or self.steps < 1:
            raise ValueError(
                f"{self.max_iterations} iterations of {self.steps} steps with a patience of {self.patience} are no"
                " limits"
            )


def best_of(history: Sequence[Iteration]) -> Iteration:
    """The iteration whose weights are the best so far."""
    return next(iteration for iteration in reversed(history) if iteration.kept)


def is_gain(candidate: PointChoice, best: PointChoice) -> bool:
    """Whether a candidate replaces the best.

    As checkpoints compete (`trainer.training.scores`): within the target of false accepts beats above it; within it,
    the more utterances; above it, the fewer false accepts. Then the other of the two, then recall over 0 to 2 false
    accepts an hour, which moves where the counts of a small validation set stand still. Of equals the earlier one
    stays: what does not help is not worth the training.
    """
    return _rank(candidate) > _rank(best)


def _rank(point: PointChoice) -> tuple[bool, bool, float, float, float]:
    found, accepted, viable = point.choice.detected, -point.choice.false_accepts, round(point.average_viable_recall, 4)
    if point.choice.reaches_target:
        return True, point.reaches_recall, found, viable, accepted
    return False, False, accepted, found, viable


def trouble_of(point: PointChoice, targets: Targets) -> Trouble:
    """Which of the two the model does worse, against what its targets allow.

    At the chosen cutoff one is traded for the other, so its counts do not tell. At a cutoff of one half they do: there
    the model says what it takes for the wake word. What is allowed is at least one of each, as fewer cannot be counted.
    """
    if point.reaches_targets:
        return Trouble.NONE
    choice = point.choice
    misses = point.missed_at_half / max(1.0, (1 - targets.recall) * choice.utterances)
    accepts = point.false_accepts_at_half / max(1.0, targets.false_accepts_per_hour * choice.hours)
    return Trouble.MISSES if misses > accepts else Trouble.FALSE_ACCEPTS


def next_recipe(history: Sequence[Iteration], targets: Targets) -> tuple[Move, TuningRecipe]:
    """What the iteration after `history` does; the same history gives the same answer."""
    start, best = history[0].recipe, best_of(history)
    answer, opposite = Move.STRICTER, Move.EASIER
    if trouble_of(best.point, targets) is Trouble.MISSES:
        answer, opposite = opposite, answer
    cycle = (answer, Move.SAME, opposite)
    halvings, place = divmod(without_gain(history), len(cycle))
    recipe = replace(best.recipe, learning_rate=max(LOWEST_LEARNING_RATE, best.recipe.learning_rate / 2**halvings))
    return cycle[place], _changed(recipe, cycle[place], start)


def without_gain(history: Sequence[Iteration]) -> int:
    """Iterations since the last gain."""
    return history[-1].number - best_of(history).number


def ending(history: Sequence[Iteration], limits: TuningLimits) -> str | None:
    """Why there is no further iteration, in words; None when there is one."""
    if best_of(history).point.reaches_targets:
        return "both targets are reached on validation"
    if history[-1].number >= limits.max_iterations:
        return f"{limits.max_iterations} iterations are done (--max-iterations)"
    if (idle := without_gain(history)) >= limits.patience:
        return f"no gain in {idle} iterations (--patience {limits.patience})"
    return None


def _changed(recipe: TuningRecipe, move: Move, start: TuningRecipe) -> TuningRecipe:
    match move:
        case Move.STRICTER:
            return replace(_weighed(recipe, WEIGHT_STEP, start), mine=True)
        case Move.EASIER:
            share = max(start.word_share, min(LARGEST_SHARE, recipe.word_share * SHARE_STEP))
            return replace(_weighed(recipe, 1 / WEIGHT_STEP, start), word_share=share)
    return recipe


def _weighed(recipe: TuningRecipe, factor: float, start: TuningRecipe) -> TuningRecipe:
    def within(weight: float, given: float) -> float:
        return min(max(weight * factor, given / LARGEST_WEIGHT_CHANGE), given * LARGEST_WEIGHT_CHANGE)

    return replace(
        recipe,
        negative_class_weight=within(recipe.negative_class_weight, start.negative_class_weight),
        hard_negative_class_weight=within(recipe.hard_negative_class_weight, start.hard_negative_class_weight),
    )
