"""The real `mww-studio` in a process of its own, on a free port of this machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, urlsplit

from studio.jobs.desk import JobDesk
from studio.jobs.records import JobStep
from studio.workspace import Workspace
from wakeword.errors import MwwError

PROGRAM = Path(sys.executable).parent / "mww-studio"
SOON_S = 60
_LOCK_FREED_S = 1.0
_CHANGES = 0x2 | 0x8 | 0x80 | 0x100 | 0x200
"""inotify(7): IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_DELETE."""
LOOK = JobStep(title="Look", command=("mww-verify", "--help"))
"""A command that ends at once."""


DEAF = JobStep(
    title="Deaf",
    command=(
        sys.executable,
        "-c",
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()",
    ),
)
"""A command that does not end when it is told to."""


def serving(official_models: Path) -> JobStep:
    """A command that goes on until it is told to end."""
    model = str(official_models / "alexa.json")
    return JobStep(title="Serve", command=("mww-judge", "serve", model, "--wyoming", "127.0.0.1:0", "--http", "off"))


@dataclass(frozen=True)
class StudioServer:
    """A studio that answers."""

    process: subprocess.Popen[str]
    workspace: Workspace
    address: str
    """To open first: with the token, where it has one."""

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.address).query)["token"][0]

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    def kill(self) -> None:
        """SIGKILL, as when memory runs out."""
        self.process.kill()
        self.process.wait(SOON_S)


@contextmanager
def studio_server(folder: Path, port: int = 0, *arguments: str) -> Iterator[StudioServer]:
    """A studio of a workspace while the block runs; its jobs go on after it, so `end_jobs` follows."""
    process = subprocess.Popen(
        [PROGRAM, "--workspace", folder, "--port", str(port), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield StudioServer(process, Workspace(folder), _printed_address(process.stdout))
    finally:
        process.terminate()
        process.wait(SOON_S)
        if process.stdout is not None:
            process.stdout.close()


def _printed_address(output: IO[str]) -> str:
    said = ""
    while select.select([output], [], [], SOON_S)[0]:
        line = output.readline()
        said += line
        if not line:
            break
        if address := re.search(r"http://\S+", line):
            return address[0]
    raise AssertionError(f"mww-studio printed no address: {said}")


def end_jobs(workspace: Workspace, at_once: bool = False) -> None:
    """Stop what a test has begun, and wait until it has ended; `at_once` also what does not end when it is told to."""
    asked: set[str] = set()

    def have_ended() -> bool:
        alive = [job for job in workspace.desk.jobs() if job.alive]
        # A job that has just been begun has said no pid yet, and cannot be stopped before.
        for job in alive:
            if job.state.pid and (job.name not in asked or (at_once and job.state.stopping)):
                asked.add(job.name)
                with contextlib.suppress(MwwError):
                    workspace.desk.stop(job.name)
        return not alive

    wait_until(workspace.desk, have_ended, "all jobs have ended")


def wait_until(desk: JobDesk, met: Callable[[], object], what: str, seconds: float = SOON_S) -> None:
    """Until `met()` is true: asked whenever a file of a job is written, put in place, or closed by who held it."""
    desk.folder.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    watcher = libc.inotify_init1(os.O_CLOEXEC)
    end = time.monotonic() + seconds
    try:
        while True:
            for folder in (desk.folder, *desk.folder.glob("[0-9]*")):
                libc.inotify_add_watch(watcher, os.fsencode(folder), _CHANGES)
            if met():
                return
            left = end - time.monotonic()
            assert left > 0, f"not within {seconds} s: {what}"
            # The kernel tells that a lock's file was closed a moment before it frees the lock.
            if select.select([watcher], [], [], min(left, _LOCK_FREED_S))[0]:
                os.read(watcher, 65536)
    finally:
        os.close(watcher)
