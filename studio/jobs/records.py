"""What a job is and how far it is, as files in its folder.

The folder of a job holds `job.json` (what is to be done; never changed), `state.json` (how far it is), `log.txt` (what
its commands print), `lock.N`, which is held from its N-th start on as long as somebody works on it or waits to, and
`runner.txt`, empty unless the process that runs the commands failed itself.
"""

from __future__ import annotations

import functools
import shlex
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from wakeword.records import Record, read_record, write_record

JOB_FILE, STATE_FILE, LOG_FILE, RUNNER_FILE = "job.json", "state.json", "log.txt", "runner.txt"
PROGRESS_FILE = "progress.txt"
"""The newest line of the command that is at work."""
_KEPT = 1024
"""Records of jobs that are kept in memory."""
_DAMAGED = "the job's folder is damaged: remove it, what the job made lies elsewhere"


class JobStep(Record):
    """A command of a job."""

    title: str
    command: tuple[str, ...]
    """As a user would type it in the workspace: the program's name without a folder."""
    resumed: tuple[str, ...] = ()
    """What is added to the command where `begun` is there."""
    begun: str = ""
    """A file, from the workspace, that the command writes once what it does can be gone on with."""

    @property
    def line(self) -> str:
        """The command in one line, for a shell."""
        return shlex.join(self.command)

    def command_in(self, workplace: Path) -> tuple[str, ...]:
        """The command that begins the step, or goes on with it."""
        return (*self.command, *self.resumed) if self.begun and (workplace / self.begun).is_file() else self.command


class JobOrder(Record):
    """What is to be done."""

    schema_version: Literal[1] = 1
    title: str
    kind: str
    """What sort of work it is, for the page that shows it: `chain`, `train`, `generate`, ..."""
    lane: str = ""
    """Of the jobs of a lane one runs at a time, in their order; "" is no lane."""
    folder: str = ""
    """Where what it makes lies, within the workspace; "" where it makes none."""
    steps: tuple[JobStep, ...]
    created: datetime


class JobPhase(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """A command ended with an exit code that is not 0."""
    STOPPED = "stopped"
    """Somebody stopped it."""
    KILLED = "killed"
    """Its process is gone and told nothing: killed, or the machine was switched off."""


class BegunStep(Record):
    """A step that was begun, and how it ended."""

    began: datetime
    ended: datetime | None = None
    exit_code: int | None = None
    """Negative: the signal that ended it."""


class Ahead(Record):
    """A job that another one waits for. One that was stopped and goes on lines up again: it is ahead no more."""

    name: str
    start: int

    @property
    def lock(self) -> str:
        """Its lock, in the folder of all jobs."""
        return f"{self.name}/{lock_name(self.start)}"


class JobState(Record):
    """How far a job is. Its times are of its last start, those of steps of the last time that each was run."""

    schema_version: Literal[1] = 1
    phase: JobPhase = JobPhase.QUEUED
    start: int = 0
    """How often it was started."""
    stopping: bool = False
    """Whether it was asked to end, and its command has not yet."""
    after: tuple[Ahead, ...] = ()
    """Jobs of its lane that it waits for."""
    pid: int = 0
    """Of the process that runs its steps; 0 before it has said so."""
    pid_began: int = 0
    """When that process began, in ticks of the kernel: a pid alone may be another's after a restart."""
    steps: tuple[BegunStep, ...] = ()
    """One for each step that was begun."""

    @property
    def began(self) -> datetime | None:
        """When its first step began; None for one that waits."""
        return self.steps[0].began if self.steps else None


def lock_name(start: int | Literal["*"]) -> str:
    """The lock of a job that was started so often; "*": a pattern for all of them."""
    return f"lock.{start}"


def now() -> datetime:
    """The time, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def read_order(folder: Path) -> JobOrder:
    """What the job of a folder is to do. Raises `ConfigError`."""
    return _order(folder / JOB_FILE, _version(folder / JOB_FILE))


def read_state(folder: Path) -> JobState:
    """How far the job of a folder was when somebody last said so. Raises `ConfigError`."""
    return _state(folder / STATE_FILE, _version(folder / STATE_FILE))


def _version(file: Path) -> tuple[int, int]:
    """Another one for each content: files are written under another name and renamed."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


@functools.lru_cache(maxsize=_KEPT)
def _order(file: Path, _: tuple[int, int]) -> JobOrder:
    """Pages ask for all jobs each second, and most of them ended long ago."""
    return read_record(file, JobOrder, "a job", _DAMAGED, _DAMAGED)


@functools.lru_cache(maxsize=_KEPT)
def _state(file: Path, _: tuple[int, int]) -> JobState:
    return read_record(file, JobState, "a job's state", _DAMAGED, _DAMAGED)


def write_state(folder: Path, state: JobState) -> None:
    """Say how far a job is. Raises `OSError` when the disk is full."""
    write_record(state, folder / STATE_FILE)


def process_began(pid: int) -> int:
    """When a process began, in ticks of the kernel since the machine did (field 22 of proc(5)); 0: it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The program's name stands in parentheses and may hold spaces and parentheses.
    state, *numbers = fields.rpartition(")")[2].split()
    # One that has ended keeps its number until its parent has asked how.
    return 0 if state in ("Z", "X") else int(numbers[18])
