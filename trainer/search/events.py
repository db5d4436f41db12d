"""What a search tells while it goes on: to a terminal, from the processes that train."""

from __future__ import annotations

from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Protocol

from rich.console import Console
from rich.progress import TaskID

from trainer.terminal import Terminal


class SearchEvents(Protocol):
    """Receives what trials do."""

    def told(self, message: str) -> None:
        """A line that stays."""
        ...

    def began(self, name: str) -> None:
        """A process has taken a trial."""
        ...

    def stands(self, name: str, line: str, done: int = 0, total: int = 0) -> None:
        """Where a trial stands."""
        ...

    def ended(self, name: str) -> None:
        """A process has let go of a trial."""
        ...


class RemoteEvents:
    """Sends all to the process that started this one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def told(self, message: str) -> None:
        """Send it."""
        self._send("told", message)

    def began(self, name: str) -> None:
        """Send it."""
        self._send("began", name)

    def stands(self, name: str, line: str, done: int = 0, total: int = 0) -> None:
        """Send it."""
        self._send("stands", name, line, done, total)

    def ended(self, name: str) -> None:
        """Send it."""
        self._send("ended", name)

    def _send(self, *message: object) -> None:
        # Who is not there any more needs no message; this process ends soon.
        with suppress(BrokenPipeError):
            self._connection.send(message)


class SearchTerminal(Terminal):
    """Trials at work are bars on a terminal, and one line a minute where the output is kept."""

    def __init__(self, console: Console | None = None) -> None:
        """`console` None is stderr."""
        super().__init__(console)
        self._at_work: dict[str, tuple[TaskID, str]] = {}

    def began(self, name: str) -> None:
        """A process has taken a trial."""
        self._at_work[name] = (self._bars.add_task(f"trial {name}", total=None), f"trial {name} begins")

    def stands(self, name: str, line: str, done: int = 0, total: int = 0) -> None:
        """Where a trial stands."""
        if name not in self._at_work:
            self.began(name)
        task, _ = self._at_work[name]
        self._bars.update(task, description=f"trial {name}: {line}", completed=done, total=total or None)
        where = f"trial {name}: {line}" + (f", step {done} of {total}" if total else "")
        self._at_work[name] = (task, where)
        self._say()

    def ended(self, name: str) -> None:
        """A process has let go of a trial."""
        if name in self._at_work:
            self._bars.remove_task(self._at_work.pop(name)[0])
            self._say()

    def _say(self) -> None:
        self._plain.stands("; ".join(said for _, said in self._at_work.values()))
