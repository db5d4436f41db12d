"""Progress of long work, on stderr: a bar on a terminal; where the output is kept, a line after some seconds and from
then on one a minute.

`PlainLines` is the one mechanism for what is kept. It speaks from a thread of its own: work that reports nothing for a
while is heard of too. Whoever starts a command and watches it gives it a file that always holds its newest line
(`FILE_VARIABLE`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

from wakeword.time_left import TimeLeft, in_words

FIRST_LINE_S = 15.0
"""Seconds without a line after which the first one says where the work stands."""
EACH_LINE_S = 60.0
"""Seconds between the lines that follow."""
FILE_VARIABLE = "MWW_PROGRESS_FILE"
"""Environment variable: a file that is overwritten with where the work stands, each time that it says so."""
FILE_BYTES = 400
"""Length of that file, filled up with spaces: one write of one length, so that no reader finds half a line."""


class PlainLines:
    """Says now and then where work stands. A context manager: nothing is said when it has ended, nor where `say` is
    None.
    """

    def __init__(self, say: Callable[[str], None] | None) -> None:
        """`say` prints a line; None on a terminal, where a bar shows the same."""
        self._say = say
        self._line = ""
        self._began = self._said = time.monotonic()
        self._lines = 0
        self._file: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._speak, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._began = self._said = time.monotonic()
        if self._say is not None:
            self._thread.start()
            if file := os.environ.get(FILE_VARIABLE):
                with suppress(OSError):  # nobody's work is lost for want of an onlooker
                    self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._say is not None:
            self._thread.join()
        if self._file is not None:
            self._show("")
            os.close(self._file)
            self._file = None

    def stands(self, line: str) -> None:
        """Where the work stands now; said when the next line is due. Empty: nothing is known but that it goes on."""
        self._line = line
        self._show(line)

    def _show(self, line: str) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, line.encode()[: FILE_BYTES - 1].ljust(FILE_BYTES - 1) + b"\n", 0)

    def told(self) -> None:
        """Somebody else printed a line: the next one is due later."""
        self._said = time.monotonic()

    def _speak(self) -> None:
        assert self._say is not None
        while not self._ended.wait(
            max(self._said + (EACH_LINE_S if self._lines else FIRST_LINE_S) - time.monotonic(), 0)
        ):
            now = time.monotonic()
            if now < self._said + (EACH_LINE_S if self._lines else FIRST_LINE_S):
                continue
            self._lines += 1
            self._said = now
            self._say(f"{self._line or 'still at work'} ({in_words(now - self._began)} so far)")


def stderr() -> Console:
    """The console on which progress is shown."""
    return Console(stderr=True)


def plain_lines(console: Console) -> PlainLines:
    """Lines on a console that keeps what is printed; none on a terminal."""

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    return PlainLines(None if console.is_terminal else say)


@contextmanager
def shown(*columns: ProgressColumn) -> Iterator[tuple[Progress, PlainLines]]:
    """Bars of these columns on a terminal, gone when the block ends; and what stands for them where the
    output is kept."""
    console = stderr()
    with (
        plain_lines(console) as plain,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars,
    ):
        yield bars, plain


@contextmanager
def working(description: str) -> Iterator[None]:
    """Work of a length that nobody knows: a spinner on a terminal."""
    with shown(SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()) as (bars, plain):
        bars.add_task(description, total=None)
        plain.stands(description)
        yield


class Advance(Protocol):
    """Takes the seconds of audio finished since its last call, and what else is to be said."""

    def __call__(self, seconds: float, note: str = "") -> None:
        """`note` stands behind the minutes."""
        ...


@contextmanager
def audio_progress(description: str, total_seconds: float, start: str = "") -> Iterator[Advance]:
    """Yield what takes the audio that is finished; `start` is what is done until it is called."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[where]}", markup=False),
        TimeElapsedColumn(),
        TimeLeft(),
    )
    with shown(*columns) as (bars, plain):
        task = bars.add_task(description, total=total_seconds, where=start)
        done = 0.0

        def advance(seconds: float, note: str = "") -> None:
            nonlocal done
            done += seconds
            where = f"{done / 60:.1f} of {total_seconds / 60:.1f} min of audio" + (f", {note}" if note else "")
            bars.update(task, completed=done, where=where)
            plain.stands(f"{description}: {where}")

        if start:
            plain.stands(f"{description}: {start}")
        else:
            advance(0.0)
        yield advance
