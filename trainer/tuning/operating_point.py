"""Choosing cutoff and sliding window together, on validation data.

A longer window smooths single peaks away and answers later; which is better is the model's and the data's. For each
window the cutoff is chosen as the export does (`wakeword.scoring.operating_point`), then the windows compete. What is
chosen here is measured on data that was not used to choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.data.split import Split
from trainer.inference.splits import SimulatedSplit
from wakeword.contract import PROBABILITY_MAX
from wakeword.errors import ConfigError
from wakeword.scoring.det import average_viable_recall
from wakeword.scoring.operating_point import CutoffChoice

WINDOWS = tuple(range(1, 11))
PREFERRED_WINDOW = 5
HALF = PROBABILITY_MAX // 2
"""The cutoff above which the model itself thinks the wake word more likely than not."""


@dataclass(frozen=True)
class Targets:
    """What a model shall reach. Raises `ConfigError` for values that no model can have."""

    false_accepts_per_hour: float
    recall: float
    """Share of utterances, 0 to 1."""

    def __post_init__(self) -> None:
        if not self.false_accepts_per_hour > 0:
            raise ConfigError(
                f"--target-fah is {self.false_accepts_per_hour:g}; give false accepts an hour above 0: no data shows"
                " that there are none"
            )
        if not 0 < self.recall <= 1:
            raise ConfigError(f"--target-recall is {self.recall:g}; give a share of utterances above 0 and up to 1")


@dataclass(frozen=True)
class PointChoice:
    """A sliding window with its cutoff, and what validation says of them."""

    window: int
    choice: CutoffChoice
    reaches_recall: bool
    average_viable_recall: float
    """With this window."""
    missed_at_half: int
    """Utterances not found at a cutoff of one half."""
    false_accepts_at_half: int

    @property
    def recall(self) -> float:
        """Share of utterances found."""
        return self.choice.detected / self.choice.utterances

    @property
    def false_accepts_per_hour(self) -> float:
        """On validation data."""
        return self.choice.false_accepts / self.choice.hours

    @property
    def reaches_targets(self) -> bool:
        """Both of them."""
        return self.choice.reaches_target and self.reaches_recall


def choose_point(
    validation: SimulatedSplit, targets: Targets, windows: Sequence[int] = WINDOWS, preferred: int = PREFERRED_WINDOW
) -> PointChoice:
    """The best window and cutoff: first those within the target of false accepts an hour, then the most utterances,
    then the fewest false accepts.

    Of equals the window nearest to `preferred` is taken, then the shorter one. Raises `ValueError` for another split
    than validation or without windows.
    """
    if validation.split is not Split.VAL:
        raise ValueError(f"{validation.split} data must not choose")
    if not windows:
        raise ValueError("no sliding window to choose from")

    def rank(point: PointChoice) -> tuple[bool, int, int, int, int]:
        choice = point.choice
        # Without the target of false accepts, fewer of them come before more utterances.
        missed = choice.utterances - choice.detected
        order = (missed, choice.false_accepts) if choice.reaches_target else (choice.false_accepts, missed)
        return not choice.reaches_target, *order, abs(point.window - preferred), point.window

    return min((_point(validation, window, targets) for window in windows), key=rank)


def _point(validation: SimulatedSplit, window: int, targets: Targets) -> PointChoice:
    curve, choice = validation.curve(window), validation.choice(window, targets.false_accepts_per_hour, targets.recall)
    return PointChoice(
        window=window,
        choice=choice,
        reaches_recall=choice.detected / choice.utterances >= targets.recall,
        average_viable_recall=average_viable_recall(curve),
        missed_at_half=curve.utterances - int(curve.detected[HALF]),
        false_accepts_at_half=int(curve.false_accepts[HALF]),
    )
