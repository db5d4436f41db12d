"""What a search knows of its trials, and what follows from it: the best one, and those that none beats at less."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from trainer.search.budget import ModelCost
from trainer.search.space import Drawn
from trainer.training.scores import ValidationScores

BASE = "base"
"""The name of the trial that is the configuration itself."""


class Outcome(StrEnum):
    """How a trial ended, or that it has not."""

    RUNNING = "running"
    DONE = "done"
    PRUNED = "pruned"
    """Given up at an evaluation: it was among the worst third of the trials that had ended."""
    FAILED = "failed"
    OVER_BUDGET = "over budget"
    """Never trained."""
    REFUSED = "refused"
    """Never trained: what was drawn does not go together."""
    LOST = "lost"
    """Never trained: killed while its settings were drawn."""


NEVER_TRAINED = frozenset({Outcome.OVER_BUDGET, Outcome.REFUSED, Outcome.LOST})
"""They do not count as trials."""


@dataclass(frozen=True)
class SeedRun:
    """One training of a trial: the best checkpoint, by validation."""

    seed: int
    folder: str
    """In the folder of the trials."""
    weights: str
    """Of the best checkpoint, in that folder: those of the fine-tuning where the run ends with one."""
    step: int
    figure: float
    """See `trainer.training.scores.figure`."""
    scores: ValidationScores
    seconds: float


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the study has it."""

    name: str
    """`base`, or the number as its folder has it."""
    outcome: Outcome
    drawn: Drawn
    cost: ModelCost | None = None
    runs: tuple[SeedRun, ...] = ()
    """One a seed, for a trial that is done."""
    said: str = ""
    """Why it was pruned, refused or failed."""

    @property
    def figure(self) -> float:
        """Over its seeds, see `figure_over`; only of a trial that is done."""
        return figure_over(self.runs)

    @property
    def recall(self) -> float:
        """Mean over its seeds."""
        return fmean(run.scores.recall for run in self.runs)

    @property
    def false_accepts_per_hour(self) -> float:
        """Mean over its seeds."""
        return fmean(run.scores.false_accepts_per_hour for run in self.runs)

    @property
    def seconds(self) -> float:
        """Of all its trainings."""
        return sum(run.seconds for run in self.runs)

    @property
    def best_run(self) -> SeedRun:
        """The seed whose validation figure is the highest: the one that is exported."""
        return max(self.runs, key=lambda run: (run.figure, run.scores.recall))


def figure_over(runs: Sequence[SeedRun]) -> float:
    """The mean over the seeds of a trial. Where one of them is above the target of false accepts so is the trial, and
    its figure is the mean of their penalties alone: the recall of another seed makes up for no false accept.
    """
    figures = [run.figure for run in runs]
    return fmean(figures if min(figures) >= 0 else [min(one, 0.0) for one in figures])


def done(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Those that were trained to their end."""
    return [record for record in records if record.outcome is Outcome.DONE]


def best_of(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The one with the highest figure; of equals the one that finds more, then the one with the smaller arena. None
    where no trial is done.
    """

    def rank(record: TrialRecord) -> tuple[float, float, int]:
        return record.figure, record.recall, -(record.cost.arena if record.cost else 0)

    return max(done(records), key=rank, default=None)


def pareto_front(records: Iterable[TrialRecord], cost_of: Callable[[ModelCost], float]) -> list[TrialRecord]:
    """The trials of which no other has as high a figure at as little cost, by rising cost. Of equals one stays."""
    front: list[TrialRecord] = []
    costed = [(cost_of(record.cost), record) for record in done(records) if record.cost is not None]
    for _, record in sorted(costed, key=lambda one: (one[0], -one[1].figure)):
        if not front or record.figure > front[-1].figure:
            front.append(record)
    return front


def summary(records: Sequence[TrialRecord]) -> str:
    """How many trials came to which end, in words."""
    counts = [(outcome, sum(record.outcome is outcome for record in records)) for outcome in Outcome]
    return ", ".join(f"{count} {outcome}" for outcome, count in counts if count)
