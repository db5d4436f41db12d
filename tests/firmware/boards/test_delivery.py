"""Models that are delivered to the running virtual board over real TCP: what is measured is what was delivered, what is
refused says why, and nothing stays behind.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import numpy as np
import pytest

from firmware.boards.board import BoardGone
from firmware.boards.digital import LOSSLESS_PACE, DigitalPlayer
from firmware.boards.entry import BoardEntry
from firmware.boards.kinds.serial import SerialBoard
from firmware.boards.kinds.virtual import LOOPBACK
from firmware.boards.microphone_link import ModelDelivery
from firmware.build import Firmware
from firmware.project import host_mac_address
from firmware.virtual.program import VirtualProgram
from tests.firmware.boards.microphone import (
    NOISE,
    address,
    playing,
    powered,
    trace,
    until_hung_up,
    until_logged,
    welcomed,
)
from tests.microphone_client import DELIVERED, MODEL


def delivery(models: Path, name: str) -> ModelDelivery:
    content = (models / f"{name}.tflite").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return ModelDelivery(f"delivered_{sha256[:12]}", name, content, sha256, 200, 5, 40_000)


async def heard(player: DigitalPlayer) -> None:
    await player.play(NOISE[:16_000])
    await player.drain()


def test_each_candidate_on_a_board_that_runs_on_has_its_own_probabilities(
    program: VirtualProgram, host_firmware: Firmware, official_models: Path
) -> None:
    """The board still holds the last candidate when the session asks who it is, and restarts only then."""
    entry = BoardEntry(
        name="desk",
        kind="serial",
        target="host",
        mac=host_mac_address("mww-host"),
        address=LOOPBACK,
        api_port=program.api_port,
        microphone_port=program.microphone_port,
    )

    async def session(candidate: ModelDelivery) -> None:
        board = SerialBoard(entry, host_firmware, digital=True, delivery=candidate)
        await board.health()
        player = board.feed()
        assert player is not None
        try:
            await player.restart_stream()
            await heard(player)
            found = board.probabilities(candidate.sha256)
            assert found is not None
            assert len(found) == (16_000 // 160 - 2) // 3
            assert np.array_equal(found, program.probabilities(candidate.sha256))
            own = board.probabilities(host_firmware.models[0].sha256)
            assert own is not None
            assert len(own) == 0
        finally:
            await player.close()

    with powered(program):
        for name in ("okay_nabu", "hey_jarvis", "hey_jarvis"):
            asyncio.run(session(delivery(official_models, name)))


def test_a_board_that_was_delivered_a_model_and_heard_nothing_is_not_fresh(
    program: VirtualProgram, host_firmware: Firmware, key: str, official_models: Path
) -> None:
    delivered = DigitalPlayer(
        lambda: address(program, key), LOSSLESS_PACE, delivery=delivery(official_models, "okay_nabu")
    )
    own = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE)

    async def stream() -> None:
        await own.restart_stream()
        await heard(own)

    with powered(program):
        for _ in range(2):  # and the same one again is taken
            playing(delivered, delivered.restart_stream)
        playing(own, stream)
    assert len(own.probabilities(0)) == (16_000 // 160 - 2) // 3
    assert np.array_equal(own.probabilities(0), trace(program, host_firmware))


def test_a_model_that_the_firmware_holds_is_measured_as_it_was_delivered(
    program: VirtualProgram, host_firmware: Firmware, key: str, official_models: Path
) -> None:
    """It is on the board twice; the firmware's own is disabled and has no probability."""
    again = delivery(official_models, "alexa")
    (own,) = host_firmware.models
    assert own.sha256 == again.sha256
    player = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE, delivery=again)

    async def stream() -> None:
        await player.restart_stream()
        await heard(player)

    playing(player, stream)
    found = player.probabilities_of(again.sha256, [own.sha256])
    assert found is not None
    assert len(found) == (16_000 // 160 - 2) // 3
    assert np.array_equal(found, program.probabilities(again.sha256))
    assert len(player.probabilities(0)) == 0


def test_a_player_whose_model_was_refused_can_begin_anew(program: VirtualProgram, key: str) -> None:
    bad = ModelDelivery("delivered", "A", b"no model at all", "0" * 64, 200, 5, 20_000)
    player = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE, delivery=bad)

    async def twice() -> None:
        for _ in range(2):
            before = program.pid
            with pytest.raises(BoardGone, match="does not take the model; its log says why"):
                await player.restart_stream()
        assert program.pid not in (None, before)  # the second time it was asked anew

    with powered(program):
        playing(player, twice)


@pytest.mark.parametrize(
    ("content", "changed", "why"),
    [
        (b"", {}, "it is empty, or too large"),
        (b"", {"claimed": 0xFFFFFFFF}, "it is empty, or too large"),
        (b"no model at all, but long enough", {}, "it is no TFLite model"),
        (bytes(5000), {}, "it is no TFLite model"),
        (bytes(5000), {"window": 0}, "its sliding window is 0, or too long"),
        (bytes(5000), {"window": 65_535}, "its sliding window is 0, or too long"),
        (bytes(5000), {"arena": 0x7FFFFFFF}, "its arena is 0, or too large"),
    ],
)
def test_what_is_not_taken_is_answered_and_the_board_goes_on(
    program: VirtualProgram, host_firmware: Firmware, key: str, content: bytes, changed: dict[str, int], why: str
) -> None:
    with welcomed(program, key) as client:
        client.deliver(content, "other", **changed)
        assert client.answer() == (DELIVERED, 0, bytes(2))
    until_logged(program, f"A model was not taken: {why}")
    player = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE)
    playing(player, lambda: heard(player))
    assert len(player.probabilities(0)) > 0
    assert np.array_equal(player.probabilities(0), trace(program, host_firmware))


def test_an_id_that_is_there_is_refused_with_a_line(program: VirtualProgram, key: str, official_models: Path) -> None:
    model = (official_models / "okay_nabu.tflite").read_bytes()
    with welcomed(program, key) as client:
        for there in (bytes([1, 1]), bytes(2)):
            client.deliver(model, "other")
            assert client.answer() == (DELIVERED, 0, there)
    until_logged(program, "A model was not taken: one with the id other is here")


def test_a_stream_behind_a_model_waits_for_it(program: VirtualProgram, key: str, official_models: Path) -> None:
    """One that begins while the model is being added is no message that the board takes."""
    before = program.pid
    with welcomed(program, key) as client:
        with client.in_one_piece():  # no time for the board to be done with it
            client.deliver((official_models / "okay_nabu.tflite").read_bytes(), "other")
            client.start()
        client.play(NOISE.tobytes())
        until_hung_up(client)
    until_logged(program, "The client is gone: a bad message")
    assert program.pid == before


def test_who_comes_behind_a_client_that_delivered_and_left_is_told_nothing_of_it(
    program: VirtualProgram, key: str, official_models: Path
) -> None:
    model = (official_models / "okay_nabu.tflite").read_bytes()
    for number in range(4):
        with welcomed(program, key) as client:
            client.deliver(model, f"other{number}")
        with welcomed(program, key) as following:
            assert following.verdict == 0
            assert following.ever > number
            following.deliver(b"", "none")
            assert following.answer() == (DELIVERED, 0, bytes(2))


def test_half_a_model_is_nobodys(program: VirtualProgram, key: str, official_models: Path) -> None:
    model = (official_models / "okay_nabu.tflite").read_bytes()
    with welcomed(program, key) as client:
        client.deliver(model[:8192], "other", claimed=len(model))
    with welcomed(program, key) as following:
        following.send(MODEL, model[8192:12_288])
        until_hung_up(following)
    until_logged(program, "The client is gone: a bad message")


def test_delivering_writes_nothing_that_a_restart_finds(
    program: VirtualProgram, key: str, official_models: Path
) -> None:
    def kept() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((program.folder / "preferences").iterdir())}

    program.stop()  # what is to be saved is saved then
    before = kept()
    program.start()
    player = DigitalPlayer(
        lambda: address(program, key), LOSSLESS_PACE, delivery=delivery(official_models, "okay_nabu")
    )
    playing(player, player.restart_stream)
    program.stop()
    assert kept() == before
