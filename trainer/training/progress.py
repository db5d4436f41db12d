"""What a run tells its caller while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from trainer.training.scores import Checkpoint
from wakeword.time_left import in_words


@dataclass(frozen=True)
class StepReport:
    """Where a run stands; sent about four times a second."""

    phase: int
    """From 1."""
    phases: int
    step: int
    """Steps done, of all phases."""
    steps: int
    elapsed_s: float
    """Of all sessions of the run, evaluations included."""
    remaining_s: float | None
    """Estimated from this session's pace; None before that says anything."""
    loss: float
    """Mean weighted loss since the last report."""
    learning_rate: float

    @property
    def to_go(self) -> str:
        """The end of a line: about how long the run still takes; nothing where that is not known."""
        return "" if self.remaining_s is None else f", about {in_words(self.remaining_s)} to go"


@dataclass(frozen=True)
class MiningReport:
    """What one mining of hard negatives found. Its text is the line for the user."""

    step: int
    new: int
    recordings: int
    """Recordings that the new ones are from."""
    highest: float
    """The surest wrong probability, 0 to 1."""
    total: int
    """Hard negatives that the run has mined so far."""

    def __str__(self) -> str:
        if not self.new:
            return f"step {self.step}: no new hard negatives, {self.total} in all"
        many = "hard negatives" if self.new > 1 else "hard negative"
        where = f"{self.recordings} recordings" if self.recordings > 1 else "1 recording"
        return f"step {self.step}: {self.new} {many} from {where}, highest {self.highest:.2f}, {self.total} in all"


def skipped_line(step: int) -> str:
    """What is told of a step that was not finite."""
    return f"step {step}: its loss or gradient is not finite, so it is skipped; a second one in a row ends the training"


class TrainingProgress(Protocol):
    """Receives the events of a run, in the thread that trains."""

    def told(self, message: str) -> None:
        """Something changes the run's course."""
        ...

    def resumed(self, step: int, best: Checkpoint | None) -> None:
        """The run goes on after so many steps of an earlier session."""
        ...

    def extended(self, before: int, steps: int) -> None:
        """It was begun with another number of steps in all."""
        ...

    def stepped(self, report: StepReport) -> None:
        """Steps were done."""
        ...

    def skipped(self, step: int) -> None:
        """The loss of a step, counted from 1, or its gradient was not finite: it changed nothing."""
        ...

    def evaluated(self, checkpoint: Checkpoint, best: bool) -> None:
        """An evaluation ended; `best` when its weights are now the best."""
        ...

    def mined(self, report: MiningReport) -> None:
        """Hard negatives were mined."""
        ...


class Silent:
    """Progress that nobody watches, of all stages of a run."""

    def told(self, message: str) -> None:
        """Ignore."""

    def counting(self, stage: str) -> Callable[[int, int], None]:  # noqa: ARG002 - nothing is counted
        """Ignore."""
        return lambda _done, _total: None

    def resumed(self, step: int, best: Checkpoint | None) -> None:
        """Ignore."""

    def extended(self, before: int, steps: int) -> None:
        """Ignore."""

    def stepped(self, report: StepReport) -> None:
        """Ignore."""

    def skipped(self, step: int) -> None:
        """Ignore."""

    def evaluated(self, checkpoint: Checkpoint, best: bool) -> None:
        """Ignore."""

    def mined(self, report: MiningReport) -> None:
        """Ignore."""
