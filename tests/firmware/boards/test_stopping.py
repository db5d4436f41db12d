"""Detection that is stopped in the middle of a stream: what its ring buffer still held is counted as lost, and the next
stream begins at its own first sample.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from firmware.boards.board import BoardGone
from firmware.boards.digital import LOSSLESS_PACE, DigitalPlayer
from firmware.boards.kinds.virtual import LOOPBACK
from firmware.build import Firmware
from firmware.native_api import make_target
from firmware.project import host_mac_address
from firmware.virtual.program import VirtualProgram
from harness.collect.collector import Collector
from harness.collect.raw import RawLog
from tests.firmware.boards.microphone import NOISE, WAIT_SECONDS, address


def test_what_the_ring_buffer_held_is_no_part_of_the_next_stream(
    program: VirtualProgram, host_firmware: Firmware, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.boards.digital.STALL_SECONDS", 5.0)

    async def streams() -> int:
        name = host_firmware.name
        target = make_target(LOOPBACK, program.api_port, key, name, host_mac_address(name))
        with RawLog(tmp_path / "raw.jsonl") as log:
            async with Collector(target, log) as collector:
                await collector.wait_connected(WAIT_SECONDS)
                first = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE)
                endless = asyncio.create_task(_without_end(first))
                try:
                    while first.position < 16_000:
                        assert not endless.done(), endless
                        await asyncio.sleep(0)
                    await collector.stop_detection(WAIT_SECONDS)
                finally:
                    endless.cancel()
                    # Whoever plays to a board that hears nothing more may be told so before this side ends it.
                    with contextlib.suppress(asyncio.CancelledError, BoardGone):
                        await endless
                    await first.close()
                await collector.start_detection(WAIT_SECONDS)
                second = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE)
                try:
                    await second.play(NOISE[:32_000])
                    await second.drain()
                    return second.position
                finally:
                    await second.close()

    assert asyncio.run(streams()) == 32_000


async def _without_end(player: DigitalPlayer) -> None:
    while True:
        await player.play(NOISE[:8_000])
