"""One owner at a time: of a board, of a room, of a folder that a command writes to.

A lock is `flock` on a file: the kernel frees it when its owner ends, however it ends, so no dead owner holds anything.
The file names the owner, for the message to whom it refuses; what it says counts only while the lock is held.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wakeword.errors import ConfigError, InfrastructureError
from wakeword.files import check_writable

FOLDER_LOCK = ".lock"
"""In a folder, while a command writes to it."""
ATTEMPTS, PAUSE_S = 5, 0.05
"""Whoever only looks at a lock holds it for a moment: that is no reason to refuse."""
CREATIONS = 100
"""An owner that ends may remove the folder as often as this one makes it; a path that cannot be made is refused after
so many attempts."""
LONGEST_COMMAND = 120
"""Characters of the owner's command that are shown."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, or a serial port. `pid` is 0 in the moment before it has been written down."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})" if self.pid else "another process"


@contextmanager
def hold(path: Path, what: str, remedy: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs. It is created where it is missing, and stays.

    Raises `InfrastructureError`, "`what` in use by HOLDER; wait until it has ended, or `remedy`", when another process
    holds it, and `OSError` when the file cannot be made.
    """
    descriptor = _taken(path, what, remedy)
    try:
        yield
    finally:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


@contextmanager
def hold_folder(folder: Path, remedy: str) -> Iterator[None]:
    """Hold a folder that the block writes to; it is made where it is missing, and is gone again if it is empty in the
    end.

    Nothing of the lock is left after the block. Raises `ConfigError` when the folder cannot be one or cannot be
    written, and otherwise as `hold`.
    """
    path = folder / FOLDER_LOCK
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        descriptor = _taken(path, f"{folder}:", remedy)
    except OSError:
        if folder.is_file():
            raise ConfigError(f"{folder}: is a file; name a folder") from None
        check_writable(path)  # says which part of the path is to blame
        raise
    try:
        yield
    finally:
        # Removed before it is freed: `_taken` sees that the file which it has locked is no longer the one in the
        # folder.
        if _is_still(path, descriptor):
            path.unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # it holds something, as it should
            for one in made:
                one.rmdir()


def holder(path: Path) -> Holder | None:
    """Who holds a lock file; None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if try_lock(descriptor, 1, fcntl.LOCK_SH) else _read(path)
    finally:
        os.close(descriptor)


@contextmanager
def wait_for(path: Path, on_busy: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path`, which is created and stays. `on_busy` is called once when another process holds it,
    then this one waits.

    Raises `OSError` when the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if not try_lock(descriptor, 1):
            on_busy()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _taken(path: Path, what: str, remedy: str) -> int:
    """The descriptor of a lock file that is held from now on, with this process's name in it."""
    tries = CREATIONS
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Close-on-exec: a program that the owner has started must not keep the lock when the owner is dead.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except (FileExistsError, FileNotFoundError):
            tries -= 1
            if not tries:
                raise
            continue  # an owner has just removed the folder
        if not try_lock(descriptor):
            os.close(descriptor)
            raise InfrastructureError(f"{what} in use by {_read(path)}; wait until it has ended, or {remedy}")
        if _is_still(path, descriptor):
            break
        os.close(descriptor)
    owner = {"pid": os.getpid(), "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:LONGEST_COMMAND]}
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(owner).encode())
    return descriptor


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file that is locked is the one of this name, which its last owner may have removed meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def try_lock(descriptor: int, attempts: int = ATTEMPTS, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file or folder until its descriptor is closed. False where another process holds it."""
    for attempt in range(attempts):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < attempts:
                time.sleep(PAUSE_S)
        else:
            return True
    return False


def _read(path: Path) -> Holder:
    try:
        values = json.loads(path.read_bytes())
        return Holder(int(values["pid"]), str(values["command"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder(0, "")
