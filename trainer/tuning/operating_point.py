"""Choosing cutoff and sliding window together, on validation data.

A longer window smooths single peaks away and answers later; which is better is the model's and the data's. For each window the cutoff is
chosen as the export does (`wakeword.scoring.operating_point`), then the windows compete. What is chosen here is measured on data that chose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.data.split import Split
from trainer.evaluation.hearing import HeardSplit, curve_of
from wakeword.scoring.operating_point import CutoffChoice, choose_cutoff

WINDOWS = tuple(range(1, 11))


@dataclass(frozen=True)
class PointChoice:
    """A sliding window with its cutoff, and what validation says of them."""

    window: int
    choice: CutoffChoice
    reaches_recall: bool

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


def choose_point(validation: HeardSplit, target_fah: float, target_recall: float, windows: Sequence[int] = WINDOWS, preferred: int = 5) -> PointChoice:
    """The best window and cutoff: first those within the target of false accepts an hour, then the most utterances, then the fewest false accepts.

    Of equals the window nearest to `preferred` is taken, then the shorter one. Raises `ValueError` for another split than validation
    or without windows.
    """
    if validation.records.split is not Split.VAL:
        raise ValueError(f"{validation.records.split} data chooses nothing")
    if not windows:
        raise ValueError("no sliding window to choose from")
    points = []
    for window in windows:
        choice = choose_cutoff(curve_of(validation, window), target_fah)
        points.append(PointChoice(window, choice, choice.detected / choice.utterances >= target_recall))

    def rank(point: PointChoice) -> tuple[bool, int, int, int, int]:
        choice = point.choice
        # Without the target of false accepts, fewer of them come before more utterances.
        missed = choice.utterances - choice.detected
        order = (missed, choice.false_accepts) if choice.reaches_target else (choice.false_accepts, missed)
        return not choice.reaches_target, *order, abs(point.window - preferred), point.window

    return min(points, key=rank)
