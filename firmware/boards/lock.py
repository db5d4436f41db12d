"""One session at a time for a board, and for a room."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from firmware.boards.entry import BoardEntry
from wakeword.files import cache_folder
from wakeword.locks import Holder, hold, holder

LOCK_VARIABLE = "MWW_LOCK_DIR"
REMEDY = "choose another board"


def lock_folder() -> Path:
    """`$MWW_LOCK_DIR`, else `mww/locks` in the user's cache folder: unlike a session's runtime folder, it is the same
    for a shell and for cron.
    """
    given = os.environ.get(LOCK_VARIABLE)
    if given:
        return Path(given)
    return cache_folder("locks")


@contextmanager
def hold_board(entry: BoardEntry, *, room: bool = True) -> Iterator[None]:
    """Hold a board while the block runs, and its room if it has one and `room` is wanted: what makes no sound disturbs
    nobody there.

    Raises `InfrastructureError`, naming the holder, when another process has one of them, and `OSError` when the folder
    cannot be written.
    """
    with ExitStack() as stack:
        stack.enter_context(hold(_board_file(entry), f"board {entry.name!r} is", REMEDY))
        if room and entry.room is not None:
            stack.enter_context(hold(_room_file(entry.room), f"room {entry.room!r} is", REMEDY))
        yield


def check_free(entry: BoardEntry) -> None:
    """Raise `InfrastructureError`, which names the holder, where another process has the board or its room now."""
    with hold_board(entry):
        pass


def board_holder(entry: BoardEntry) -> Holder | None:
    """Who holds the board; None if nobody does."""
    return holder(_board_file(entry))


def room_holder(room: str) -> Holder | None:
    """Who holds the room; None if nobody does."""
    return holder(_room_file(room))


def _board_file(entry: BoardEntry) -> Path:
    """Two inventories may call one board by two names; its MAC address or serial number is one."""
    return lock_folder() / f"board-{_slug(entry.mac or entry.usb_serial or entry.name)}.lock"


def _room_file(room: str) -> Path:
    return lock_folder() / f"room-{_slug(room)}.lock"


def _slug(name: str) -> str:
    """A file name that differs where names differ in more than case and signs such as blanks."""
    return re.sub(r"[^\w.-]+", "-", name.casefold())
