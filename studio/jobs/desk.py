"""The jobs of a workspace: placed, listed, stopped, and gone on with."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from studio.jobs.records import (
    JOB_FILE,
    LOG_FILE,
    RUNNER_FILE,
    Ahead,
    JobOrder,
    JobPhase,
    JobState,
    JobStep,
    lock_name,
    now,
    process_began,
    read_order,
    read_state,
    write_state,
)
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.files import write_atomically
from wakeword.locks import ATTEMPTS, try_lock, wait_for
from wakeword.records import write_record

TRAINING = "training"
"""The lane of what needs all cores for long: one at a time, the others wait."""
LOG_TAIL = 64 * 1024
"""Bytes of a log that are given at once."""
_CONTINUED = bytes(range(0x80, 0xC0))
"""Bytes of UTF-8 with which no letter begins."""
_NAME = re.compile(r"\d{4,9}")
_NEWEST_FILE = "newest"
"""Beside the jobs: the highest number that was given to one. No number is given twice: a page may still show the job
that had it."""
_END_ATTEMPTS = 100
"""Looks at the lock of a job that has just said how it ended, `PAUSE_S` apart: its process ends right after that."""
_held = threading.local()
""".folders: the desks that this thread holds already."""


@dataclass(frozen=True)
class StudioJob:
    """A job as it stands now."""

    folder: Path
    order: JobOrder
    state: JobState
    alive: bool
    """Whether its process runs, or waits for its turn."""

    @property
    def name(self) -> str:
        """What its folder and its page are called."""
        return self.folder.name

    @cached_property
    def phase(self) -> JobPhase:
        """Where it stands."""
        over = self.state.phase not in (JobPhase.QUEUED, JobPhase.RUNNING)
        return self.state.phase if self.alive or over else JobPhase.KILLED

    @property
    def step(self) -> int:
        """Number of the step that is at work or was last, from 1; 0 for one that waits."""
        return len(self.state.steps)

    @property
    def seconds(self) -> float | None:
        """From its beginning to its end, or until now; None for one that has not begun."""
        if self.state.began is None:
            return None
        last: datetime | None = self.state.steps[-1].ended
        return ((last if last is not None and not self.alive else now()) - self.state.began).total_seconds()

    @property
    def can_go_on(self) -> bool:
        """Whether it ended before its work was done."""
        return self.phase in (JobPhase.FAILED, JobPhase.STOPPED, JobPhase.KILLED)

    @property
    def complaint(self) -> str:
        """The last line of what the process that ran the commands said as it failed itself; "" where it did not."""
        try:
            said = (self.folder / RUNNER_FILE).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""
        return said.rpartition("\n")[2]


class JobDesk:
    """The jobs in a folder. Any number of servers, one after the other, find the same ones."""

    def __init__(self, folder: Path, workplace: Path) -> None:
        """`folder` holds the jobs' folders, commands run in `workplace`."""
        self.folder = folder
        self.workplace = workplace

    def place(self, title: str, kind: str, steps: Sequence[JobStep], lane: str = "", folder: str = "") -> StudioJob:
        """Begin a job, or line it up behind those of its lane. `folder`, within the workspace, is where what it makes
        lies. Raises `OSError` when the disk is full.
        """
        order = JobOrder(title=title, kind=kind, lane=lane, folder=folder, steps=tuple(steps), created=now())
        with self.undisturbed():
            place = self.folder / f"{self._next_number():04d}"
            place.mkdir()
            # A folder is a job's from the moment that it holds this file.
            write_state(place, JobState())
            write_record(order, place / JOB_FILE)
            self._start(place, order, JobState())
        return self.job(place.name)

    def go_on(self, name: str) -> StudioJob:
        """Go on with a job at the step that was not done. Raises `ConfigError` for one that is at work or done, and
        `InfrastructureError` for one of which a command is still at work.
        """
        with self.undisturbed():
            job = self.job(name)
            if not job.can_go_on:
                raise ConfigError(f"job {name} is {job.phase}; only one that ended before its work was done goes on")
            if _is_held(job.folder / lock_name(job.state.start), _END_ATTEMPTS):
                raise InfrastructureError(
                    f"job {name} is {job.phase}, but a command of it is still at work; wait for it"
                )
            done = tuple(step for step in job.state.steps if step.exit_code == 0)
            self._start(job.folder, job.order, JobState(start=job.state.start, steps=done))
        return self.job(name)

    def stop(self, name: str) -> None:
        """Ask a job to end; its command saves what it has. Asked again, the command is ended at once. Raises
        `ConfigError` for one that has ended.
        """
        job = self.job(name)
        if not job.alive:
            raise ConfigError(f"job {name} has ended: {job.phase}")
        pid = job.state.pid
        if not pid or process_began(pid) != job.state.pid_began:
            raise InfrastructureError(f"job {name} is just beginning or ending; look again in a moment")
        os.kill(pid, signal.SIGTERM)

    def remove(self, name: str) -> None:
        """Forget a job that has ended: its command, its state and its log. What it made stays. Raises `ConfigError` for
        one that is at work.
        """
        with self.undisturbed():
            if name not in {one.name for one in self._folders()}:
                raise _unknown(name)
            # A job that nobody can read any more is removed too: its locks alone are asked.
            attempts = _END_ATTEMPTS if _says_it_ended(self.folder / name) else ATTEMPTS
            if any(_is_held(one, attempts) for one in (self.folder / name).glob(lock_name("*"))):
                raise ConfigError(f"job {name} is still at work, or waits; stop it first")
            # Without it the folder is no job's any more, whatever becomes of the rest.
            (self.folder / name / JOB_FILE).unlink()
            shutil.rmtree(self.folder / name)

    def job(self, name: str) -> StudioJob:
        """A job by its name. Raises `ConfigError` where there is none."""
        folder = self.folder / name
        if not _NAME.fullmatch(name) or not (folder / JOB_FILE).is_file():
            raise _unknown(name)
        order = read_order(folder)
        while True:
            state = read_state(folder)
            # The lock is asked before the state is read: who ends between the two has written how.
            over = state.phase not in (JobPhase.QUEUED, JobPhase.RUNNING)
            alive = not over and _is_held(folder / lock_name(state.start))
            again = read_state(folder)
            if again.start == state.start:
                return StudioJob(folder, order, again, alive)

    def jobs(self) -> list[StudioJob]:
        """All jobs, the newest first; without those that were removed meanwhile, and those of `damaged`."""
        found = []
        for folder in reversed(self._folders()):
            with suppress(ConfigError):
                found.append(self.job(folder.name))
        return found

    def damaged(self) -> dict[str, str]:
        """What is wrong with each job that nobody can read any more, by its name."""
        faults = {}
        for folder in self._folders():
            try:
                self.job(folder.name)
            except ConfigError as error:
                if (folder / JOB_FILE).is_file():  # else it was removed meanwhile
                    faults[folder.name] = str(error)
        return faults

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Look at the jobs and begin one while the block runs, and no other page or process begins one between the two.
        Blocks may lie within each other.
        """
        mine = _held.__dict__.setdefault("folders", set[Path]())
        if self.folder in mine:
            yield
            return
        with wait_for(self.folder / "lock", lambda: None):
            mine.add(self.folder)
            try:
                yield
            finally:
                mine.remove(self.folder)

    def log(self, name: str, start: int | None = None) -> tuple[str, int]:
        """What a job printed from a byte of its log on, and the byte at which that ends; None begins `LOG_TAIL` bytes
        before the end. A letter that is half written, or half cut off, is left out.
        """
        job = self.job(name)
        path = job.folder / LOG_FILE
        if not path.is_file():
            return "", 0
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            first = max(size - LOG_TAIL, 0)
            at = first if start is None else max(min(start, size), first)
            log.seek(at)
            content = log.read(LOG_TAIL)
        end = at + len(content)
        if at and at == first:
            content = content.lstrip(_CONTINUED)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(content, final=not job.alive)
        return text, end - len(decoder.getstate()[0])

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        found = [one for one in self.folder.iterdir() if _NAME.fullmatch(one.name) and (one / JOB_FILE).is_file()]
        return sorted(found, key=lambda one: int(one.name))

    def _next_number(self) -> int:
        """A number that no job has or had. The caller holds the desk."""
        file = self.folder / _NEWEST_FILE
        # Also those of folders in which a job was just begun, or removed, when the power went.
        taken = [int(one.name) for one in self.folder.iterdir() if _NAME.fullmatch(one.name)]
        with suppress(OSError, ValueError):
            taken.append(int(file.read_text(encoding="ascii")[:9]))
        number = max(taken, default=0) + 1
        write_atomically(file, f"{number}\n")
        return number

    def _start(self, folder: Path, order: JobOrder, state: JobState) -> None:
        """Start the process of a job, with the job's lock in its hands. The caller holds the desk's."""
        state = state.model_copy(update={"start": state.start + 1})
        descriptor = os.open(folder / lock_name(state.start), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            ahead = () if not order.lane else tuple(self._in_lane(order.lane, folder.name))
            write_state(folder, state.model_copy(update={"after": ahead}))
            (folder / lock_name(state.start - 1)).unlink(missing_ok=True)
            with (folder / RUNNER_FILE).open("wb") as complaints:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "studio.jobs.runner", str(folder.absolute()), str(descriptor)],
                    cwd=self.workplace,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    pass_fds=(descriptor,),
                    start_new_session=True,
                )
        finally:
            os.close(descriptor)
        threading.Thread(target=process.wait, name=f"job {folder.name}", daemon=True).start()

    def _in_lane(self, lane: str, but: str) -> list[Ahead]:
        """Jobs of a lane that are at work or wait, in their order."""
        found = [one for one in self.jobs() if one.order.lane == lane and one.alive and one.name != but]
        return [Ahead(name=one.name, start=one.state.start) for one in sorted(found, key=lambda one: one.name)]


def _unknown(name: str) -> ConfigError:
    return ConfigError(f"there is no job {name}; see the list of jobs")


def _says_it_ended(folder: Path) -> bool:
    """Whether the job of a folder has said how it ended; its process ends right after that."""
    try:
        return read_state(folder).phase not in (JobPhase.QUEUED, JobPhase.RUNNING)
    except ConfigError:
        return False


def _is_held(path: Path, attempts: int = 1) -> bool:
    """Whether somebody holds a lock file, and goes on to while it is looked at so often."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, attempts, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)
