"""What the virtual board's own microphone hears, told over real TCP, while its detection hears the same."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.boards.ear import BoardEar, EarFacts, MicrophoneMute
from firmware.build import Firmware
from firmware.virtual.program import VirtualProgram
from firmware.virtual.room import VirtualRoom
from tests.firmware.boards.microphone import NOISE, address, trace
from wakeword.contract import SAMPLE_RATE_HZ

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
    assert (facts.lost, facts.unheard) == (0, 0)
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
    samples, _, _ = heard(program, key, VirtualRoom(program.room, channel=1), 1.0)
    assert not samples.any()


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
