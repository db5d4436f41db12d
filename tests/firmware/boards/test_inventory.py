"""boards.yaml: facts of the station, checked; no secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.boards.entry import VIRTUAL_BOARD
from firmware.boards.inventory import find_board, inventory_path, read_inventory
from wakeword.errors import ConfigError

STATION = """
boards:
  - name: desk
    kind: serial
    target: esp32-s3-devkitc-1
    mac: a0-85-e3-12-34-56
    usb_serial: "0001234"
    address: desk.local
    room: office
    microphone: INMP441
    speaker: Genelec 8010
  - name: shelf
    kind: serial
    target: esp32-s3-box-3
    usb_serial: F412FA000001
    room: office
"""


@pytest.fixture
def station(tmp_path: Path) -> Path:
    path = tmp_path / "boards.yaml"
    path.write_text(STATION)
    return path


def test_the_virtual_board_is_there_without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MWW_BOARDS", raising=False)
    assert inventory_path(None) is None
    assert read_inventory(None) == {"virtual": VIRTUAL_BOARD}
    assert find_board("virtual", None).target == "host"


def test_boards_are_read_and_the_virtual_one_is_among_them(station: Path) -> None:
    boards = read_inventory(station)
    assert list(boards) == ["virtual", "desk", "shelf"]
    desk = boards["desk"]
    assert (desk.mac, desk.usb_serial, desk.api_port, desk.room) == ("A0:85:E3:12:34:56", "0001234", 6053, "office")
    with pytest.raises(ValueError, match="frozen"):
        desk.room = "kitchen"  # type: ignore[misc]


def test_the_inventory_is_found_here_or_where_the_environment_says(
    station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(station.parent)
    monkeypatch.delenv("MWW_BOARDS", raising=False)
    assert inventory_path(None) == Path("boards.yaml")
    monkeypatch.setenv("MWW_BOARDS", "/elsewhere.yaml")
    assert inventory_path(None) == Path("/elsewhere.yaml")
    assert inventory_path(station) == station


def test_the_virtual_board_may_have_a_room(tmp_path: Path) -> None:
    path = tmp_path / "boards.yaml"
    path.write_text("boards: [{name: virtual, kind: virtual, room: office}]")
    assert find_board("virtual", path).room == "office"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "boards: [{name: desk, kind: serial, mac: 'A0:85:E3:12:34:56', microfone: x}]",
            r"unknown key microfone; did you mean microphone\?",
        ),
        (
            "boards: [{name: desk, kind: serial, mac: 'A0:85:E3:12:34:56', zzz: x}]",
            "unknown key zzz; known are name, kind",
        ),
        ("boards: [{name: desk, kind: serial, mac: 'A0:85:E3:12:34:56', api_key: x}]", "no secrets; set MWW_API_KEY"),
        ("boards: [{name: desk, kind: serial, mac: 'A0:85:E3:12:34:56', wifi_password: x}]", "no secrets"),
        ("boards: [{name: desk, kind: wifi}]", r"kind is 'wifi': it must be one of 'serial', 'virtual'"),
        ("boards: [{name: desk, kind: 5}]", r"kind is 5: it must be one of 'serial', 'virtual'"),
        ("boards: [{name: desk, kind: [serial]}]", r"kind is \['serial'\]: it must be one of 'serial', 'virtual'"),
        ("boards: [{name: desk, kind: }]", r"kind is None: it must be one of 'serial', 'virtual'"),
        ("boards: [{name: desk, kind: serial}]", "neither mac nor usb_serial"),
        ("boards: [{name: desk, kind: serial, mac: 'A0:85:E3'}]", "six pairs of hex digits"),
        ("boards: [{name: desk, kind: serial, usb_serial: 1234}]", "usb_serial is 1234: .*put it into quotes"),
        ("boards: [{name: desk, kind: robot}]", "kind is 'robot'"),
        ("boards: [{name: desk}]", "kind is missing"),
        ("boards: [{kind: virtual}]", "name is missing"),
        ("boards: [{name: '../desk', kind: virtual}]", "name is '../desk'"),
        ("boards: [{name: desk, kind: virtual, api_port: 70000}]", "api_port is 70000"),
        ("boards: [{name: virtual, kind: serial, mac: 'A0:85:E3:12:34:56'}]", "that name is the virtual board's"),
        ("boards: [{name: a, kind: virtual}, {name: a, kind: virtual}]", "two boards are named 'a'"),
        (
            "boards: [{name: a, kind: virtual, mac: 'A0:85:E3:12:34:56'}, {name: b, kind: virtual, mac: A085E3123456}]",
            "the same mac",
        ),
        (
            "boards: [{name: desk, kind: serial, mac: 'A0:85:E3:12:34:56', port: /dev/ttyUSB0}]",
            "port is '/dev/ttyUSB0': a port of this machine moves",
        ),
        (
            "boards: [{name: desk, kind: serial, usb_serial: '1', port: 'rfc2217://pi:4000'}]",
            "known by its mac alone; add it",
        ),
        ("boards: [desk]", "board 1 is 'desk'"),
        ("boards: {desk: {kind: virtual}}", "one key 'boards' with a list"),
        ("desk: 1", "one key 'boards' with a list"),
        ("boards: [", "line 1: not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "boards.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_inventory(path)
    assert str(path) in str(caught.value)


def test_a_port_of_another_machine_is_an_address_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "boards.yaml"
    path.write_text("boards: [{name: far, kind: serial, mac: 'A0:85:E3:12:34:56', port: 'rfc2217://pi:4000'}]")
    assert find_board("far", path).port == "rfc2217://pi:4000"


def test_an_unknown_board_is_answered_with_the_nearest(station: Path) -> None:
    with pytest.raises(ConfigError, match=r"--board desc: no such board in .*; did you mean desk\?"):
        find_board("desc", station)
    with pytest.raises(ConfigError, match=r"no boards\.yaml here"):
        find_board("zzz", None)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_inventory(station.parent / "none.yaml")
