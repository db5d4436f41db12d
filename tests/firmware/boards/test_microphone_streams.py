"""Streams to the bench's microphone on the virtual board, over real TCP: what goes wrong shows as that and as nothing
else, and the next stream is fresh.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.boards.board import BoardGone
from firmware.boards.digital import LOSSLESS_PACE, REALTIME_PACE, DigitalPlayer
from firmware.boards.kinds.virtual import LOOPBACK
from firmware.boards.microphone_link import (
    Delivered,
    EarBlock,
    Progress,
    SignedLink,
    Trace,
)
from firmware.build import Firmware
from firmware.virtual.program import VirtualProgram
from tests.firmware.boards.microphone import (
    NOISE,
    WAIT_SECONDS,
    address,
    played_with_a_pause,
    playing,
    powered,
    trace,
)
from tests.harness.tcp_proxy import TcpProxy
from tests.microphone_client import MicrophoneClient

BUSY, WELCOME, WRONG_KEY = 1, 0, 2


def test_sound_that_comes_too_late_is_an_underrun(program: VirtualProgram, key: str) -> None:
    player = DigitalPlayer(lambda: address(program, key), REALTIME_PACE)

    async def play() -> None:
        await player.play(NOISE[:16_000])
        # No more comes, and nobody said so: the second that lies on the board runs out, but for part of a chunk.
        await player._wait(lambda: False)

    with pytest.raises(BoardGone, match=r"did not come in time at 0\.99 s"):
        playing(player, play)


def test_a_pause_that_is_said_is_no_underrun(program: VirtualProgram, host_firmware: Firmware, key: str) -> None:
    player = DigitalPlayer(lambda: address(program, key), REALTIME_PACE)

    async def play() -> None:
        await player.play(NOISE[:16_000])
        await player.drain()
        await player.play(NOISE[16_000:24_000])
        await player.drain()

    playing(player, play)
    assert player.position == 24_000
    assert np.array_equal(player.probabilities(0), trace(program, host_firmware))


def test_a_slow_link_loses_nothing_where_time_does_not_count(
    program: VirtualProgram, host_firmware: Firmware, key: str
) -> None:
    """A gap of a second in the middle: the board waits."""
    heard = played_with_a_pause(program, key, LOSSLESS_PACE, 1.0)
    assert np.array_equal(heard, trace(program, host_firmware))


def test_a_short_pause_of_the_network_is_survived_in_real_time(
    program: VirtualProgram, host_firmware: Firmware, key: str
) -> None:
    """What lies on the board is heard meanwhile."""
    heard = played_with_a_pause(program, key, REALTIME_PACE, 0.4)
    assert len(heard) == (len(NOISE) // 160 - 2) // 3
    assert np.array_equal(heard, trace(program, host_firmware))


def test_a_probability_that_never_came_ends_the_stream(
    program: VirtualProgram, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the board's messages is lost on its way."""
    receive, lost = SignedLink.receive, [True]

    async def lossy(link: SignedLink) -> Progress | Trace | EarBlock | Delivered | None:
        told = await receive(link)
        if isinstance(told, Trace) and lost:
            lost.pop()
            return None
        return told

    monkeypatch.setattr(SignedLink, "receive", lossy)
    player = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE)

    async def play() -> None:
        await player.play(NOISE[:16_000])
        await player.drain()
        await player.play(NOISE[16_000:])
        await player.drain()

    with pytest.raises(BoardGone, match=r"probabilities 0 to \d+ of its model 0 never came"):
        playing(player, play)


def test_a_slow_link_in_real_time_is_an_underrun(program: VirtualProgram, key: str) -> None:
    async def play() -> None:
        async with TcpProxy(LOOPBACK, program.microphone_port) as proxy:
            player = DigitalPlayer(lambda: address(program, key, proxy.port), REALTIME_PACE)
            try:
                await player.play(NOISE[:24_000])
                proxy.stall()
                asyncio.get_running_loop().call_later(3.0, proxy.flow)
                await player.play(NOISE[24_000:])
                await player.drain()
            finally:
                await player.close()

    with pytest.raises(BoardGone, match="did not come in time"):
        asyncio.run(play())


def test_a_link_that_breaks_ends_the_stream_and_the_next_one_is_fresh(
    program: VirtualProgram, host_firmware: Firmware, key: str
) -> None:
    async def play() -> NDArray[np.uint8]:
        async with TcpProxy(LOOPBACK, program.microphone_port) as proxy:

            async def restart() -> None:
                await asyncio.to_thread(program.restart)

            player = DigitalPlayer(lambda: address(program, key, proxy.port), LOSSLESS_PACE, restart)
            try:
                await player.play(NOISE[:32_000])
                proxy.cut()
                with pytest.raises(BoardGone, match="went away"):
                    for _ in range(100):
                        await player.play(NOISE[32_000:])
                proxy.mend()
                await player.restart_stream()
                assert player.position == 0
                await player.play(NOISE)
                await player.drain()
                return player.probabilities(0)
            finally:
                await player.close()

    heard = asyncio.run(play())
    assert len(heard) == (len(NOISE) // 160 - 2) // 3
    assert np.array_equal(heard, trace(program, host_firmware))


def test_a_board_is_told_to_restart_for_a_fresh_stream(
    program: VirtualProgram, host_firmware: Firmware, key: str
) -> None:
    """As a real board does: it restarts by itself, and is waited for."""
    player = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE)

    async def play() -> None:
        await player.restart_stream()
        await player.play(NOISE[:20_000])
        await player.drain()
        before = program.pid
        await player.restart_stream()
        assert program.pid not in (None, before)
        assert player.position == 0
        await player.play(NOISE)
        await player.drain()

    with powered(program):
        playing(player, play)
    assert np.array_equal(player.probabilities(0), trace(program, host_firmware))
    assert len(player.probabilities(0)) == (len(NOISE) // 160 - 2) // 3


def test_a_stream_that_ended_at_once_is_not_heard_before_the_next(
    program: VirtualProgram, host_firmware: Firmware, key: str
) -> None:
    """The feeding task has not even seen it."""
    with MicrophoneClient(program.microphone_port, key) as first:
        first.start()
        first.play(NOISE[:8_000].tobytes())

    async def next_one() -> tuple[int, int]:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                player = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE)
                try:
                    await player.play(NOISE[:32_000])
                    await player.drain()
                    assert player._link is not None
                    return player._link.link.ever_played, player._progress.handed_over
                finally:
                    await player.close()

    ever, handed_over = asyncio.run(next_one())
    assert handed_over == 32_000
    # All that was ever heard is what was told, and this stream.
    told = (ever + 32_000) // 160 // 3
    assert abs(len(trace(program, host_firmware)) - told) <= 2


def test_a_board_that_swallows_what_comes_while_it_starts_is_waited_for(
    program: VirtualProgram, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.boards.open_link.ANSWER_SECONDS", 0.5)

    async def play() -> int:
        async with TcpProxy(LOOPBACK, program.microphone_port) as proxy:

            async def restart() -> None:
                await asyncio.to_thread(program.restart)

            player = DigitalPlayer(lambda: address(program, key, proxy.port), LOSSLESS_PACE, restart)
            try:
                proxy.stall()
                asyncio.get_running_loop().call_later(2.0, proxy.flow)
                await player._connect(WAIT_SECONDS)
                await player.play(NOISE[:16_000])
                await player.drain()
                return player.position
            finally:
                await player.close()

    assert asyncio.run(play()) == 16_000


def test_a_board_behind_a_broken_connection_is_told_to_restart(program: VirtualProgram, key: str) -> None:
    async def play() -> tuple[int | None, int | None]:
        async with TcpProxy(LOOPBACK, program.microphone_port) as proxy:
            player = DigitalPlayer(lambda: address(program, key, proxy.port), LOSSLESS_PACE)
            try:
                await player.play(NOISE[:16_000])
                await player.drain()
                before = program.pid
                proxy.cut()
                proxy.mend()
                await player.restart_stream()
                return before, program.pid
            finally:
                await player.close()

    with powered(program):
        before, after = asyncio.run(play())
    assert before != after
