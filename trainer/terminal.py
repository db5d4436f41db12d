"""Progress of the trainer's commands, on stderr: bars on a terminal; where the output is kept a line a stage, and one a minute within it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from trainer.training.progress import MiningReport, StepReport
from trainer.training.scores import Checkpoint
from wakeword.progress import plain_lines, stderr
from wakeword.time_left import TimeLeft

_COLUMNS = ("   step", "recall", "false accepts/h", "average viable recall", "recall at no false accepts")


class Terminal:
    """Shows what a command does. A context manager: the bars are gone when it ends, the lines stay.

    Evaluations are rows of a table on a terminal, and lines that name their figures where the output is kept.
    """

    def __init__(self, console: Console | None = None) -> None:
        """`console` None is stderr."""
        self._console = console or stderr()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeLeft())
        self._bars = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._steps: TaskID | None = None
        self._plain = plain_lines(self._console)
        self._headed = False

    def __enter__(self) -> Self:
        self._plain.__enter__()
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._bars.stop()
        self._plain.__exit__(kind, error, traceback)

    def told(self, message: str) -> None:
        """A line that stays."""
        self._print(message)
        self._headed = False  # below another line the table needs its head again

    def _print(self, message: str, style: str | None = None) -> None:
        self._console.print(message, style=style, markup=False, highlight=False, soft_wrap=True)
        self._plain.told()

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
            self._bars.update(task, completed=done, total=total)
            if done == total:
                self._bars.remove_task(task)
                task = None
                self._plain.stands("")
                self.told(f"{stage}: {total} in {time.monotonic() - began:.0f} s")
            else:
                self._plain.stands(f"{stage}: {done} of {total}")

        return count

    def resumed(self, step: int, best: Checkpoint | None) -> None:
        """The run goes on after so many steps."""
        self.told(f"going on after step {step}" + (f", best so far: step {best.step}" if best else ""))

    def extended(self, before: int, steps: int) -> None:
        """It was planned with another number of steps in all."""
        self.told(f"{steps} steps in all; {before} were planned before")

    def stepped(self, report: StepReport) -> None:
        """Steps were done."""
        line = f"phase {report.phase}/{report.phases}, loss {report.loss:.3f}, learning rate {report.learning_rate:g}"
        if self._steps is None:
            self._steps = self._bars.add_task(line, total=report.steps, completed=report.step, left_s=None)
        self._bars.update(self._steps, completed=report.step, description=line, left_s=report.remaining_s)
        self._plain.stands(f"step {report.step} of {report.steps}, {line}{report.to_go}")

    def evaluated(self, checkpoint: Checkpoint, best: bool) -> None:
        """An evaluation ended."""
        if not self._console.is_terminal:
            self.told(checkpoint.line(best))
            return
        if not self._headed:
            self._print("  ".join(_COLUMNS), "bold")
            self._headed = True
        scores = checkpoint.scores
        values = (
            f"{checkpoint.step}",
            f"{scores.recall:.1%}",
            f"{scores.false_accepts_per_hour:.2f}",
            f"{scores.average_viable_recall:.3f}",
            f"{scores.recall_at_no_faph:.1%}",
        )
        row = "  ".join(value.rjust(len(column)) for value, column in zip(values, _COLUMNS, strict=True))
        self._print(f"{row}{'  best' if best else ''}", "green" if best else None)

    def mined(self, report: MiningReport) -> None:
        """Hard negatives were mined."""
        self.told(str(report))
