"""What the virtual board's own microphone hears, told over real TCP, while its detection hears the same."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.boards.board import BoardGone
from firmware.boards.ear import BoardEar, EarFacts, MicrophoneMute
from firmware.boards.kinds.virtual import LOOPBACK
from firmware.build import Firmware
from firmware.virtual.program import VirtualProgram
from firmware.virtual.room import VirtualRoom
from tests.firmware.boards.microphone import NOISE, address, trace, until_hung_up, until_logged, welcomed
from tests.harness.tcp_proxy import TcpProxy
from tests.microphone_client import FLUSH, LISTEN, MicrophoneClient
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import InfrastructureError

SOUND = NOISE[: 2 * SAMPLE_RATE_HZ]


def heard(
    program: VirtualProgram, key: str, room: VirtualRoom, seconds: float
) -> tuple[NDArray[np.int16], EarFacts, NDArray[np.uint8]]:
    """What a board hears for so long, with `SOUND` in it."""
    blocks: list[NDArray[np.int16]] = []

    async def listen() -> tuple[EarFacts, NDArray[np.uint8]]:
        async with BoardEar(address(program, key), blocks.append) as ear:
            await ear.hear(4000)
            room.play(SOUND)
            await ear.hear(round(seconds * SAMPLE_RATE_HZ))
            return ear.facts, ear.probabilities(0)

    with room:
        facts, probabilities = asyncio.run(listen())
    return np.concatenate(blocks), facts, probabilities


def test_the_board_tells_what_it_hears_and_hears_what_it_tells(
    program: VirtualProgram, host_firmware: Firmware, key: str
) -> None:
    samples, facts, probabilities = heard(program, key, VirtualRoom(program.room, noise_dbfs=-100), 5.0)
    assert facts.samples == len(samples) >= 5 * SAMPLE_RATE_HZ
    assert (facts.lost, facts.slow, facts.unheard) == (0, 0, 0)
    assert facts.rate == pytest.approx(SAMPLE_RATE_HZ, rel=0.02)
    # All of the sound, once, and at its level.
    start = int(np.argmax(np.correlate(samples.astype(float), SOUND[:1000].astype(float), "valid")))
    played = samples[start : start + len(SOUND)].astype(int) - SOUND
    assert np.abs(played).max() <= 3
    # The interpreter was given those samples.
    witnessed = trace(program, host_firmware)
    assert len(probabilities) >= (5 * SAMPLE_RATE_HZ // 160 - 2) // 3 - 1
    assert np.array_equal(probabilities, witnessed[: len(probabilities)])


def test_the_other_channel_is_not_heard(program: VirtualProgram, key: str) -> None:
    samples, facts, _ = heard(program, key, VirtualRoom(program.room, channel=1), 3.0)
    assert not samples.any()
    # It listened all the while: what is in the other channel did come.
    assert facts.samples >= 3 * SAMPLE_RATE_HZ
    assert heard(program, key, VirtualRoom(program.room, channel=0), 3.0)[0].any()


def test_a_microphone_with_another_clock_is_known_by_it(program: VirtualProgram, key: str) -> None:
    _, facts, _ = heard(program, key, VirtualRoom(program.room, rate=48_000), 12.0)
    assert facts.rate == pytest.approx(48_000, rel=0.02)


def test_a_microphone_that_gives_nothing_is_told(
    program: VirtualProgram, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.boards.ear.MUTE_SECONDS", 0.5)

    async def listen() -> None:
        async with BoardEar(address(program, key), lambda _: None) as ear:
            await ear.hear(1)

    with pytest.raises(MicrophoneMute, match="gives no samples; check its wires"):
        asyncio.run(listen())


def test_a_network_that_stands_still_is_no_dead_microphone(
    program: VirtualProgram, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.boards.ear.MUTE_SECONDS", 2.0)
    monkeypatch.setattr("firmware.boards.ear.ALIVE_SECONDS", 1.0)

    async def listen() -> None:
        async with (
            TcpProxy(LOOPBACK, program.microphone_port) as proxy,
            BoardEar(address(program, key, proxy.port), lambda _: None) as ear,
        ):
            await ear.hear(SAMPLE_RATE_HZ // 2)
            proxy.stall()
            await ear.hear(3 * SAMPLE_RATE_HZ)

    with VirtualRoom(program.room), pytest.raises(BoardGone, match="nothing came from it for 2 s; check its network"):
        asyncio.run(listen())


def test_a_disk_that_is_full_is_told_as_that(program: VirtualProgram, key: str) -> None:
    full = InfrastructureError("the disk is full")

    def take(_: NDArray[np.int16]) -> None:
        raise full

    async def listen() -> None:
        async with BoardEar(address(program, key), take) as ear:
            await ear.hear(SAMPLE_RATE_HZ)

    with VirtualRoom(program.room), pytest.raises(InfrastructureError, match="the disk is full"):
        asyncio.run(listen())


def test_the_room_is_not_in_the_next_stream_and_the_log_says_who_listened(program: VirtualProgram, key: str) -> None:
    with VirtualRoom(program.room, noise_dbfs=-20):
        for _ in range(3):
            with welcomed(program, key) as client:
                client.send(LISTEN)
                while client.answer()[0] != 3:
                    pass
        with welcomed(program, key) as client:
            client.start()
            client.play(NOISE[:SAMPLE_RATE_HZ].tobytes())
            client.send(FLUSH)
            decided = 0
            while decided < SAMPLE_RATE_HZ:
                kind, _, content = client.answer()
                assert kind != 3
                if kind == 1:
                    handed_over, decided = (int.from_bytes(content[at : at + 8], "little") for at in (0, 8))
        # Not one sample more than what was played.
        assert (handed_over, decided) == (SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    until_logged(program, "A client listens to this room")
    until_logged(program, "Nobody listens to this room any more")


def test_a_second_client_and_a_message_twice_hear_nothing(program: VirtualProgram, key: str) -> None:
    with VirtualRoom(program.room), MicrophoneClient(program.microphone_port, key) as client:
        client.send(LISTEN)
        while client.answer()[0] != 3:
            pass
        with MicrophoneClient(program.microphone_port, key) as second:
            assert second.status == 1
            until_hung_up(second)
        # The same message once more has a number that was used.
        client.number -= 1
        client.send(LISTEN)
        until_hung_up(client)
