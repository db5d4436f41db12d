"""Progress of the trainer's commands, on stderr: bars on a terminal, plain lines where the output is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from trainer.training.progress import StepReport
from trainer.training.scores import Checkpoint

PLAIN_INTERVAL_S = 15.0
"""Seconds between two plain lines of one stage."""


class Terminal:
    """Shows what a command does. A context manager: the bars are gone when it ends, the lines stay."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._steps: TaskID | None = None
        self._said = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._bars.stop()

    def told(self, message: str) -> None:
        """A line that stays."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def counting(self, stage: str) -> Callable[[int, int], None]:
        """A counter of recordings; it may count several times over, each from 0."""
        task: TaskID | None = None
        began = 0.0

        def count(done: int, total: int) -> None:
            nonlocal task, began
            if not total:
                return
            if task is None:
                task, began = self._bars.add_task(stage), time.monotonic()
                self._said = began
            self._bars.update(task, completed=done, total=total)
            if done == total:
                self._bars.remove_task(task)
                task = None
                self.told(f"{stage}: {total} in {time.monotonic() - began:.0f} s")
            else:
                self._say_now_and_then(f"{stage}: {done} of {total}")

        return count

    def resumed(self, step: int, best: Checkpoint | None) -> None:
        """The run goes on after so many steps."""
        self.told(f"going on after step {step}" + (f", best so far: step {best.step}" if best else ""))

    def stepped(self, report: StepReport) -> None:
        """Steps were done."""
        line = f"phase {report.phase}/{report.phases}, loss {report.loss:.3f}, learning rate {report.learning_rate:g}"
        if self._steps is None:
            self._steps = self._bars.add_task(line, total=report.steps, completed=report.step)
        self._bars.update(self._steps, completed=report.step, description=line)
        self._say_now_and_then(f"step {report.step} of {report.steps}, {line}, {report.elapsed_s:.0f} s, about {report.remaining_s:.0f} s to go")

    def evaluated(self, checkpoint: Checkpoint, best: bool) -> None:
        """An evaluation ended."""
        scores = checkpoint.scores
        self.told(
            f"step {checkpoint.step}: recall {scores.recall:.1%}, {scores.false_accepts_per_hour:.2f} false accepts/h, "
            f"average viable recall {scores.average_viable_recall:.3f}{'  (best)' if best else ''}"
        )

    def _say_now_and_then(self, line: str) -> None:
        """Where no bar is shown, a line at intervals shows that the work goes on."""
        if self._console.is_terminal or time.monotonic() - self._said < PLAIN_INTERVAL_S:
            return
        self._said = time.monotonic()
        self.told(line)
