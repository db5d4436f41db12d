"""A board that is on the network: asked who it is, and updated over the air. ESPHome's own API server and uploader, on
loopback.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from firmware.boards.entry import BoardEntry
from firmware.build import Firmware, api_key
from firmware.credentials import new_api_key
from firmware.flashing import FlashOptions, flash_board, runs_firmware
from firmware.native_api import WrongBoard, ask, make_target
from firmware.project import host_mac_address
from firmware.virtual.program import VirtualProgram
from wakeword.errors import BoardRefused, InfrastructureError

ASK_SECONDS = 60.0
"""Of a busy machine."""


@pytest.fixture
def entry(program: VirtualProgram, host_firmware: Firmware) -> BoardEntry:
    """The virtual board, entered as a real one is."""
    return BoardEntry(
        name="desk",
        kind="serial",
        target="host",
        mac=host_mac_address(host_firmware.name),
        address="127.0.0.1",
        api_port=program.api_port,
        ota_port=program.ota_port,
    )


def flashable(firmware: Firmware) -> Firmware:
    """As if it had an image for the serial port too, which is not looked at here."""
    return replace(firmware, factory_image=firmware.program)


def target(entry: BoardEntry, key: str, **changes: str | int) -> tuple[str, int, str, str, str | None]:
    values = {"address": entry.address, "api_port": entry.api_port, "mac": entry.mac} | changes
    return (
        str(values["address"]),
        int(str(values["api_port"])),
        key,
        entry.name,
        None if values["mac"] is None else str(values["mac"]),
    )


def test_a_board_tells_who_it_is_and_what_it_runs(
    entry: BoardEntry, host_firmware: Firmware, two_models_firmware: Firmware
) -> None:
    running = asyncio.run(ask(make_target(*target(entry, api_key(host_firmware.folder))), ASK_SECONDS))
    assert (running.name, running.mac, running.esphome_version) == (
        host_firmware.name,
        entry.mac,
        host_firmware.esphome_version,
    )
    assert [model.sha256 for model in running.identity.models] == [model.sha256 for model in host_firmware.models]
    assert runs_firmware(running, host_firmware)
    assert not runs_firmware(running, two_models_firmware)
    # The same models, built at another time.
    assert not runs_firmware(replace(running, built="2020-01-01 00:00:00 +0000"), host_firmware)
    assert not runs_firmware(replace(running, built=""), host_firmware)
    assert not runs_firmware(replace(running, name="other"), host_firmware)


def test_another_board_a_wrong_key_and_no_board_are_three_things(entry: BoardEntry, host_firmware: Firmware) -> None:
    key = api_key(host_firmware.folder)
    with pytest.raises(WrongBoard, match="the board there has the MAC"):
        asyncio.run(ask(make_target(*target(entry, key, mac="A0:85:E3:12:34:56")), ASK_SECONDS))
    with pytest.raises(WrongBoard, match="the board there is named 'mww-host'"):
        asyncio.run(ask(make_target(*target(entry, key)), ASK_SECONDS, expected_name="other"))
    wrong = new_api_key()
    with pytest.raises(BoardRefused, match="refuses the API key") as refused:
        asyncio.run(ask(make_target(*target(entry, wrong)), ASK_SECONDS))
    assert not isinstance(refused.value, WrongBoard)
    assert wrong not in str(refused.value)
    with pytest.raises(InfrastructureError, match="no connection") as missing:
        asyncio.run(ask(make_target(*target(entry, key, api_port=1)), ASK_SECONDS))
    assert not isinstance(missing.value, BoardRefused)


def test_a_board_that_runs_it_is_left_alone_and_one_that_does_not_is_updated(
    entry: BoardEntry, host_firmware: Firmware, two_models_firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = flash_board(entry, flashable(host_firmware))
    assert (there.way, there.where, there.mac) == ("already there", "127.0.0.1", entry.mac)
    # The board has the old firmware's key until it restarts.
    monkeypatch.setenv("MWW_API_KEY", api_key(host_firmware.folder))
    lines: list[str] = []
    updated = flash_board(entry, flashable(two_models_firmware), FlashOptions(via="network"), report=lines.append)
    assert (updated.way, updated.mac) == ("network", entry.mac)
    assert updated.running is not None
    assert [model.sha256 for model in updated.running.identity.models] == [
        model.sha256 for model in two_models_firmware.models
    ]
    assert there.running is not None
    assert updated.running.identity.stamp.boot_id != there.running.identity.stamp.boot_id
    assert any(line.startswith("sending") for line in lines)
    key = api_key(two_models_firmware.folder)
    assert key not in updated.log.read_text() + there.log.read_text()


def test_another_board_behind_the_address_is_not_touched(entry: BoardEntry, host_firmware: Firmware) -> None:
    other = entry.model_copy(update={"mac": "A0:85:E3:12:34:56"})
    with pytest.raises(BoardRefused, match="the board there has the MAC"):
        flash_board(other, flashable(host_firmware))


def test_a_board_with_another_key_is_flashed_over_its_port(
    entry: BoardEntry, host_firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MWW_API_KEY", new_api_key())
    with pytest.raises(BoardRefused, match="refuses the API key"):
        flash_board(entry, flashable(host_firmware), FlashOptions(via="network"))
    lines: list[str] = []
    monkeypatch.setattr("firmware.serial.ports.usb_ports", list)
    with pytest.raises(
        InfrastructureError,
        match=(
            r"no USB port has the serial number .*no USB serial port is here.*; nor over the air: .*refuses the API key"
        ),
    ):
        flash_board(entry, flashable(host_firmware), report=lines.append)
    assert any(line.startswith("not over the air: ") and "refuses the API key" in line for line in lines)
