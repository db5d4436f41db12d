"""A real board as a session sees it; ESPHome's own API server on loopback answers for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from firmware import native_api
from firmware.answers import BENCH_MICROPHONE, OWN_MICROPHONE
from firmware.boards.board import Board, ForeignFirmware
from firmware.boards.entry import BoardEntry
from firmware.boards.kinds.serial import SerialBoard
from firmware.build import Firmware, api_key
from firmware.native_api import make_target
from firmware.project import host_mac_address
from firmware.virtual.program import VirtualProgram
from harness.air.player import AirPlayer, open_player
from harness.air.settings import AirSettings
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError

KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="


@pytest.fixture
def entry(host_firmware: Firmware) -> Iterator[BoardEntry]:
    assert host_firmware.program is not None
    program = VirtualProgram(host_firmware.program)
    program.start()
    yield BoardEntry(
        name="desk",
        kind="serial",
        target="host",
        mac=host_mac_address("mww-host"),
        address="127.0.0.1",
        api_port=program.api_port,
    )
    program.remove()


def test_it_is_healthy_when_it_is_itself(entry: BoardEntry, host_firmware: Firmware) -> None:
    board: Board = SerialBoard(entry, host_firmware)
    assert entry.mac is not None
    assert board.target == make_target(
        "127.0.0.1", entry.api_port, api_key(host_firmware.folder), "mww-host", entry.mac
    )
    assert (board.feed(), board.probabilities("0" * 64)) == (None, None)

    async def session() -> None:
        await board.start()
        await board.health()
        await board.stop()
        await board.health()  # a real board goes on running

    asyncio.run(session())


def test_another_board_another_target_and_a_wrong_key_are_refused(
    entry: BoardEntry, host_firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BoardRefused, match="the board there has the MAC"):
        asyncio.run(SerialBoard(entry.model_copy(update={"mac": "A0:85:E3:12:34:56"}), host_firmware).health())
    with pytest.raises(BoardRefused, match="runs firmware for host, not esp32-s3-box-3"):
        asyncio.run(SerialBoard(entry.model_copy(update={"target": "esp32-s3-box-3"}), host_firmware).health())
    monkeypatch.setenv("MWW_API_KEY", KEY)
    with pytest.raises(BoardRefused, match="refuses the API key"):
        asyncio.run(SerialBoard(entry, host_firmware).health())


@pytest.mark.parametrize("digital", [False, True])
def test_a_board_that_listens_to_the_other_microphone_is_refused(
    entry: BoardEntry, host_firmware: Firmware, monkeypatch: pytest.MonkeyPatch, digital: bool
) -> None:
    """The answer of the program, as an ESP32-S3 gives it, which has a microphone of its own."""
    asked, target = native_api.ask, "esp32-s3-box-3"

    async def ask(where: native_api.Target, timeout: float) -> native_api.Running:
        running = await asked(where, timeout)
        assert running.identity.microphone == BENCH_MICROPHONE
        microphone = OWN_MICROPHONE if digital else BENCH_MICROPHONE
        return replace(running, identity=replace(running.identity, target=target, microphone=microphone))

    monkeypatch.setattr(native_api, "ask", ask)
    one = entry.model_copy(update={"target": target, "device_name": "mww-host"})
    way = "air" if digital else "digital"
    with pytest.raises(ForeignFirmware, match=f"which hears by --source {way} alone"):
        asyncio.run(SerialBoard(one, host_firmware, digital=digital).health())


def test_a_board_that_is_away_is_not_healthy(host_firmware: Firmware) -> None:
    away = BoardEntry(
        name="desk", kind="serial", target="host", mac="A0:85:E3:12:34:56", address="127.0.0.1", api_port=1
    )
    with pytest.raises(InfrastructureError, match="check power, network and address"):
        asyncio.run(SerialBoard(away, host_firmware).health())


def test_its_key_and_name_come_from_the_environment_or_its_firmware(
    host_firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MWW_API_KEY", raising=False)
    plain = BoardEntry(name="desk", kind="serial", target="esp32-s3-box-3", mac="A0:85:E3:12:34:56")
    with pytest.raises(ConfigError, match="its API key is not known; set MWW_API_KEY"):
        SerialBoard(plain, None)
    assert SerialBoard(plain, host_firmware).target.key == api_key(host_firmware.folder)
    monkeypatch.setenv("MWW_API_KEY", KEY)
    target = SerialBoard(plain, None).target
    assert (target.key, target.name, target.address) == (KEY, "mww-esp32-s3-box-3", "mww-esp32-s3-box-3.local")


def test_it_needs_a_loudspeaker(entry: BoardEntry, host_firmware: Firmware) -> None:
    with pytest.raises(ConfigError, match="sound reaches it through a loudspeaker; give --speaker"):
        open_player(SerialBoard(entry, host_firmware), None)
    assert isinstance(open_player(SerialBoard(entry, host_firmware), AirSettings(speaker="KH 80")), AirPlayer)


def test_flashing_gives_it_the_new_firmwares_name_and_key(entry: BoardEntry, host_firmware: Firmware) -> None:
    """The firmware that it runs is found on it: what flashing does is shown in tests/firmware."""
    board = SerialBoard(entry.model_copy(update={"device_name": "old"}), host_firmware)
    said: list[str] = []
    asyncio.run(board.flash(replace(host_firmware, factory_image=host_firmware.program), said.append))
    assert (board.target.name, board.target.key) == ("mww-host", api_key(host_firmware.folder))
    assert said == [f"asking for the board at 127.0.0.1:{entry.api_port}"]
