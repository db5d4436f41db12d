"""A kind of board is one file: the inventory, a session's plan and flashing know it by what it registers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.boards import kinds
from firmware.boards.entry import VIRTUAL_BOARD, BoardEntry
from firmware.boards.inventory import find_board, read_inventory
from firmware.boards.registry import board_kinds, kind_of
from firmware.flashing import check_board
from harness.air.settings import AirOptions, air_settings
from wakeword.errors import ConfigError

MODULE = """
from firmware.boards.board import BoardKind
from firmware.boards.kinds.serial import SerialBoard

def lack(entry):
    return "" if entry.address else "no address is given; add it"

KIND = BoardKind("network", "on-device", fed=False, open=SerialBoard, lack=lack)
"""


@pytest.fixture
def network_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module more in the package of kinds."""
    (tmp_path / "network.py").write_text(MODULE)
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(tmp_path)])
    board_kinds.cache_clear()
    yield
    board_kinds.cache_clear()
    sys.modules.pop("firmware.boards.kinds.network", None)


def test_the_kinds_that_there_are() -> None:
    facts = {name: (kind.source, kind.fed, kind.runs_here) for name, kind in board_kinds().items()}
    assert facts == {"serial": ("on-device", False, False), "virtual": ("virtual board", True, True)}


@pytest.mark.usefixtures("network_boards")
def test_a_copied_kind_that_keeps_its_name_does_not_take_the_others_place(tmp_path: Path) -> None:
    (tmp_path / "network.py").write_text(MODULE.replace('"network"', '"serial"'))
    with pytest.raises(ValueError, match="two modules register one kind"):
        board_kinds()


@pytest.mark.usefixtures("network_boards")
def test_a_module_more_is_a_kind_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "boards.yaml"
    path.write_text("boards: [{name: desk, kind: network, address: desk.local, speaker: KH 80}]")
    entry = find_board("desk", path)
    check_board(entry)
    air = air_settings(entry, AirOptions())
    assert air is not None
    assert air.speaker == "KH 80"
    monkeypatch.setenv("MWW_API_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=")
    assert kind_of(entry).open(entry, None).target.address == "desk.local"
    path.write_text("boards: [{name: desk, kind: network}]")
    with pytest.raises(ConfigError, match="board 'desk': no address is given; add it"):
        read_inventory(path)


def test_an_unknown_kind_is_refused_wherever_it_comes_from() -> None:
    with pytest.raises(
        ConfigError, match="board 'desk': kind is 'robot': it must be one of 'serial', 'virtual'; correct it"
    ):
        kind_of(BoardEntry(name="desk", kind="robot"))
    with pytest.raises(ConfigError, match="there is nothing to flash"):
        check_board(VIRTUAL_BOARD)
