"""Progress of the trainer's commands, on stderr: bars on a terminal; where the output is kept a line a stage, and one a
minute within it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from wakeword.progress import plain_lines, stderr
from wakeword.time_left import TimeLeft


class Terminal:
    """Shows what a command does. A context manager: the bars are gone when it ends, the lines stay."""

    def __init__(self, console: Console | None = None) -> None:
        """`console` None is stderr."""
        self._console = console or stderr()
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeLeft(),
        )
        self._bars = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._plain = plain_lines(self._console)

    def __enter__(self) -> Self:
        self._plain.__enter__()
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()
        self._plain.__exit__(kind, error, traceback)

    def told(self, message: str) -> None:
        """A line that stays."""
        self._print(message)

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
