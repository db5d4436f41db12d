"""Locks between real processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware.boards.entry import BoardEntry
from firmware.boards.lock import board_holder, hold_board, lock_folder, room_holder
from tests.lock_holders import holding
from wakeword.errors import InfrastructureError
from wakeword.locks import Holder

DESK = BoardEntry(name="desk", kind="serial", mac="A0:85:E3:12:34:56", room="office")
SHELF = BoardEntry(name="shelf", kind="serial", mac="A0:85:E3:12:34:57", room="office")
KITCHEN = BoardEntry(name="other", kind="serial", mac="A0:85:E3:12:34:58", room="kitchen")

HOLDER = """
import subprocess, sys
from firmware.boards.entry import BoardEntry
from firmware.boards.lock import hold_board
sys.argv = ["/usr/bin/mww-bench", "measure", "--board", "desk"]
with hold_board(BoardEntry.model_validate_json(sys.stdin.readline())):
    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))
    return tmp_path / "locks"


@contextmanager
def holder(entry: BoardEntry) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds a board, and a program that it has started."""
    with holding(HOLDER, entry.model_dump_json()) as (process, child):
        try:
            yield process, int(child)
        finally:
            os.kill(int(child), 9)


def test_a_board_in_use_is_refused_with_its_holder() -> None:
    with holder(DESK) as (process, _):
        with (
            pytest.raises(
                InfrastructureError,
                match=rf"^board 'desk' is in use by pid {process.pid} \(mww-bench measure --board desk\)",
            ),
            hold_board(DESK),
        ):
            pass
        assert board_holder(DESK) == room_holder("office") == Holder(process.pid, "mww-bench measure --board desk")


def test_another_board_in_the_same_room_is_refused_and_let_go_again() -> None:
    with holder(DESK) as (process, _):
        with (
            pytest.raises(InfrastructureError, match=rf"^room 'office' is in use by pid {process.pid}"),
            hold_board(SHELF),
        ):
            pass
        assert board_holder(SHELF) is None
        with hold_board(KITCHEN):
            pass


def test_who_makes_no_sound_needs_no_room() -> None:
    with hold_board(DESK), hold_board(SHELF, room=False):
        assert board_holder(SHELF) is not None
    with holder(DESK), pytest.raises(InfrastructureError, match="board 'desk' is in use"), hold_board(DESK, room=False):
        pass


def test_a_killed_holder_holds_nothing_even_if_its_programs_live_on() -> None:
    with holder(DESK) as (process, child):
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        assert board_holder(DESK) is None
        with hold_board(DESK):
            assert board_holder(DESK) is not None


def test_a_lock_is_free_after_its_block_and_after_an_error() -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), hold_board(DESK):
            raise RuntimeError
    assert board_holder(DESK) is None
    assert room_holder("office") is None


def test_two_names_of_one_board_are_one_lock() -> None:
    again = DESK.model_copy(update={"name": "bench", "room": None})
    with hold_board(DESK), pytest.raises(InfrastructureError, match="board 'bench' is in use"), hold_board(again):
        pass


def test_a_holder_that_has_not_written_its_name_yet_is_another_process(locks: Path) -> None:
    with hold_board(DESK):
        for file in locks.glob("*.lock"):
            file.write_bytes(b"{")
        assert str(board_holder(DESK)) == "another process"


def test_who_only_looks_does_not_disturb() -> None:
    with hold_board(DESK):
        pass
    assert [board_holder(DESK) for _ in range(3)] == [None] * 3
    with hold_board(DESK):
        pass


def test_the_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MWW_LOCK_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert lock_folder() == Path("/somewhere/mww/locks")
