"""One session at a time for a board, and for a room.

A lock is `flock` on a file: the kernel frees it when its owner ends, however it ends, so no dead owner holds a board. The file names the
owner, for the message to whom it refuses; what it says counts only while the lock is held. The files stay: removing one would let
two sessions lock two files of the same name.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware.boards.inventory import BoardEntry
from wakeword.errors import InfrastructureError

LOCK_VARIABLE = "MWW_LOCK_DIR"
ATTEMPTS, PAUSE_S = 5, 0.05
"""Whoever only looks at a lock holds it for a moment: that is no reason to refuse."""
LONGEST_COMMAND = 120
"""Characters of the owner's command that are shown."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock. `pid` is 0 in the moment before it has been written down."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})" if self.pid else "another process"


def lock_folder() -> Path:
    """`$MWW_LOCK_DIR`, else `mww/locks` in the user's cache folder: unlike a session's runtime folder, it is the same for a shell and for cron."""
    chosen = os.environ.get(LOCK_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mww" / "locks"


@contextmanager
def hold_board(entry: BoardEntry, *, room: bool = True) -> Iterator[None]:
    """Hold a board while the block runs, and its room if it has one and `room` is wanted: what makes no sound disturbs nobody there.

    Raises `InfrastructureError`, naming the holder, when another process has one of them, and `OSError` when the folder cannot be written.
    """
    with ExitStack() as stack:
        stack.enter_context(_hold(_board_file(entry), f"board {entry.name!r}"))
        if room and entry.room is not None:
            stack.enter_context(_hold(_room_file(entry.room), f"room {entry.room!r}"))
        yield


def board_holder(entry: BoardEntry) -> Holder | None:
    """Who holds the board; None if nobody does."""
    return _holder(_board_file(entry))


def room_holder(room: str) -> Holder | None:
    """Who holds the room; None if nobody does."""
    return _holder(_room_file(room))


def _board_file(entry: BoardEntry) -> Path:
    """Two inventories may call one board by two names; its MAC address or serial number is one."""
    return lock_folder() / f"board-{_slug(entry.mac or entry.usb_serial or entry.name)}.lock"


def _room_file(room: str) -> Path:
    return lock_folder() / f"room-{_slug(room)}.lock"


def _slug(name: str) -> str:
    """A file name that differs where names differ in more than case and signs such as blanks."""
    return re.sub(r"[^\w.-]+", "-", name.casefold())


@contextmanager
def _hold(path: Path, what: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened close-on-exec, as Python does: a program that the owner has started must not keep the lock when the owner is dead.
    with path.open("a+b") as file:
        if not _try_lock(file.fileno(), ATTEMPTS):
            raise InfrastructureError(f"{what} is in use by {_read(path)}; wait until it has ended, or choose another board")
        file.truncate(0)
        owner = {"pid": os.getpid(), "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:LONGEST_COMMAND]}
        file.write(json.dumps(owner).encode())
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _holder(path: Path) -> Holder | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try_lock(descriptor, 1, fcntl.LOCK_SH) else _read(path)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, attempts: int, kind: int = fcntl.LOCK_EX) -> bool:
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
