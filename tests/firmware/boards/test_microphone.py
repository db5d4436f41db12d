"""The bench's microphone on the virtual board, over real TCP: who may play, and what goes wrong shows as that and as
nothing else.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.boards.board import BoardGone
from firmware.boards.digital import LOSSLESS_PACE, REALTIME_PACE, DigitalPlayer
from firmware.boards.kinds.virtual import LOOPBACK
from firmware.boards.microphone_link import (
    PROGRESS,
    MicrophoneAddress,
    MicrophoneBusy,
    Progress,
    SignedLink,
    Trace,
    connect,
)
from firmware.build import Firmware, api_key
from firmware.credentials import new_api_key
from firmware.virtual.program import VirtualProgram
from tests.harness.tcp_proxy import TcpProxy
from tests.microphone_client import AUDIO, PING, START, MicrophoneClient
from wakeword.errors import BoardRefused, InfrastructureError

WAIT_SECONDS = 30.0
BUSY, WELCOME, WRONG_KEY = 1, 0, 2
NOISE = np.random.default_rng(8).normal(0, 3000, 64_000).astype(np.int16)


@pytest.fixture
def program(host_firmware: Firmware) -> Iterator[VirtualProgram]:
    assert host_firmware.program is not None
    made = VirtualProgram(host_firmware.program)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def key(host_firmware: Firmware) -> str:
    return api_key(host_firmware.folder)


def address(program: VirtualProgram, key: str, port: int | None = None) -> MicrophoneAddress:
    return MicrophoneAddress(LOOPBACK, program.microphone_port if port is None else port, key, "virtual")


def playing[T](player: DigitalPlayer, do: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        try:
            return await do()
        finally:
            await player.close()

    return asyncio.run(run())


def until_hung_up(client: MicrophoneClient) -> None:
    """Whatever the board tells before is thrown away."""
    client.line.settimeout(WAIT_SECONDS)
    with suppress(ConnectionResetError):
        while client.line.recv(4096):
            pass


def until_logged(program: VirtualProgram, text: str) -> None:
    until, pause = time.monotonic() + WAIT_SECONDS, threading.Event()
    while text not in program.log.read_text(encoding="utf-8", errors="replace"):
        assert time.monotonic() < until, text
        pause.wait(0.05)


def trace(program: VirtualProgram, firmware: Firmware) -> NDArray[np.uint8]:
    """What the interpreter itself gave: the witness of what came back over the network."""
    return program.probabilities(firmware.models[0].sha256)


# --- who may play


def test_the_key_is_asked_for_and_never_sent(program: VirtualProgram, key: str) -> None:
    with MicrophoneClient(program.microphone_port, new_api_key()) as stranger:
        assert stranger.verdict == WRONG_KEY
        assert stranger.line.recv(1) == b""
    with MicrophoneClient(program.microphone_port, key) as friend:
        assert (friend.verdict, friend.ever) == (WELCOME, 0)


def test_a_wrong_key_is_refused_for_good(program: VirtualProgram) -> None:
    with pytest.raises(BoardRefused, match="refuses the key") as refused:
        asyncio.run(connect(address(program, new_api_key()), WAIT_SECONDS))
    assert refused.value.exit_code == 4


def test_a_board_that_does_not_know_the_key_is_refused(key: str) -> None:
    """Somebody else behind the address says that all is well."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def impostor() -> None:
            line, _ = listener.accept()
            with line:
                line.sendall(struct.pack("<4sBB2x16s", b"MWWB", 2, 0, b"n" * 16))
                line.recv(48, socket.MSG_WAITALL)
                line.sendall(struct.pack("<B32sq", 0, b"p" * 32, 0))

        thread = threading.Thread(target=impostor)
        thread.start()
        where = MicrophoneAddress(LOOPBACK, listener.getsockname()[1], key, "desk")
        with pytest.raises(BoardRefused, match="does not know the key"):
            asyncio.run(connect(where, WAIT_SECONDS))
        thread.join()


def test_a_second_client_is_told_so_and_the_first_one_goes_on(
    program: VirtualProgram, host_firmware: Firmware, key: str
) -> None:
    player = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE)

    async def play() -> None:
        await player.play(NOISE[:32_000])
        with pytest.raises(MicrophoneBusy, match="somebody else plays"):
            await connect(address(program, key), WAIT_SECONDS)
        await player.play(NOISE[32_000:])
        await player.drain()

    playing(player, play)
    assert player.position == len(NOISE)
    assert np.array_equal(player.probabilities(0), trace(program, host_firmware))
    assert len(player.probabilities(0)) == (len(NOISE) // 160 - 2) // 3


@pytest.mark.parametrize("what", ["a wrong signature", "no stream", "half a sample", "two streams", "unknown"])
def test_what_is_not_signed_or_not_said_right_ends_the_connection(program: VirtualProgram, key: str, what: str) -> None:
    with MicrophoneClient(program.microphone_port, key) as client:
        if what != "no stream":
            client.start()
        match what:
            case "a wrong signature":
                client.send(AUDIO, bytes(320), spoil=1)
            case "no stream" | "half a sample":
                client.send(AUDIO, bytes(320 if what == "no stream" else 321))
            case "two streams":
                client.send(START, struct.pack("<I", 0))
            case _:
                client.send(99)
        until_hung_up(client)
    until_logged(program, "The client is gone: a bad message")
    with MicrophoneClient(program.microphone_port, key) as client:
        assert client.ever == 0  # nothing of it was heard


def test_a_message_that_is_played_again_is_not_heard(program: VirtualProgram, key: str) -> None:
    with MicrophoneClient(program.microphone_port, key) as client:
        client.start()
        client.send(PING)
        client.number -= 1
        client.send(PING)
        until_hung_up(client)
    until_logged(program, "The client is gone: a bad message")


# --- what goes wrong


def test_nothing_listens(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.boards.digital.ANSWER_SECONDS", 0.5)
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        where = MicrophoneAddress(LOOPBACK, taken.getsockname()[1], key, "desk")
        player = DigitalPlayer(lambda: where, REALTIME_PACE)
        with pytest.raises(InfrastructureError, match="--digital"):
            playing(player, lambda: player.play(NOISE))


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

    async def play() -> NDArray[np.uint8]:
        async with TcpProxy(LOOPBACK, program.microphone_port) as proxy:
            player = DigitalPlayer(lambda: address(program, key, proxy.port), LOSSLESS_PACE)
            try:
                await player.play(NOISE[:32_000])
                proxy.stall()
                asyncio.get_running_loop().call_later(1.0, proxy.flow)
                await player.play(NOISE[32_000:])
                await player.drain()
                return player.probabilities(0)
            finally:
                await player.close()

    assert np.array_equal(asyncio.run(play()), trace(program, host_firmware))


def test_a_short_pause_of_the_network_is_survived_in_real_time(
    program: VirtualProgram, host_firmware: Firmware, key: str
) -> None:
    """What lies on the board is heard meanwhile."""

    async def play() -> NDArray[np.uint8]:
        async with TcpProxy(LOOPBACK, program.microphone_port) as proxy:
            player = DigitalPlayer(lambda: address(program, key, proxy.port), REALTIME_PACE)
            try:
                await player.play(NOISE[:32_000])
                proxy.stall()
                asyncio.get_running_loop().call_later(0.4, proxy.flow)
                await player.play(NOISE[32_000:])
                await player.drain()
                return player.probabilities(0)
            finally:
                await player.close()

    heard = asyncio.run(play())
    assert len(heard) == (len(NOISE) // 160 - 2) // 3
    assert np.array_equal(heard, trace(program, host_firmware))


def test_a_probability_that_never_came_ends_the_stream(
    program: VirtualProgram, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the board's messages is lost on its way."""
    receive, lost = SignedLink.receive, [True]

    async def lossy(link: SignedLink) -> Progress | Trace | None:
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
    ended = threading.Event()

    def power() -> None:
        while not ended.wait(0.05):
            if program.pid is None:
                program.start()

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

    thread = threading.Thread(target=power)
    thread.start()
    try:
        playing(player, play)
    finally:
        ended.set()
        thread.join()
    assert np.array_equal(player.probabilities(0), trace(program, host_firmware))
    assert len(player.probabilities(0)) == (len(NOISE) // 160 - 2) // 3


def test_a_client_that_went_away_leaves_nothing_behind(program: VirtualProgram, key: str) -> None:
    """Its sound is thrown away, and the next client knows that the board is not as after boot."""
    client = MicrophoneClient(program.microphone_port, key)
    client.start(pace=1.0)
    client.play(NOISE[:16_000].tobytes())
    handed_over = 0
    while not handed_over:  # something was heard
        kind, _, length = struct.unpack("<BBH", client.receive(4))
        content = client.receive(length)
        handed_over = struct.unpack_from("<q", content)[0] if kind == PROGRESS else 0
    client.line.close()

    async def next_one() -> int:
        while True:
            with suppress(MicrophoneBusy):
                link = await connect(address(program, key), WAIT_SECONDS)
                await link.close()
                return link.ever_played

    async def bounded() -> int:
        async with asyncio.timeout(WAIT_SECONDS):
            return await next_one()

    assert 0 < asyncio.run(bounded()) < 16_000


def test_a_client_that_says_nothing_is_gone_after_a_while(program: VirtualProgram, key: str) -> None:
    with MicrophoneClient(program.microphone_port, key) as silent:
        silent.start()
        until_hung_up(silent)
    until_logged(program, "The client is gone: it said nothing")


def test_who_shows_no_key_keeps_nobody_away(program: VirtualProgram, key: str) -> None:
    with socket.create_connection((LOOPBACK, program.microphone_port), WAIT_SECONDS) as stranger:
        assert len(stranger.recv(24, socket.MSG_WAITALL)) == 24
        stranger.sendall(b"x")
        with MicrophoneClient(program.microphone_port, key) as friend:
            assert friend.verdict == WELCOME
        assert stranger.recv(1) == b""


def test_a_byte_now_and_then_is_no_key(program: VirtualProgram) -> None:
    """Each comes before a read of the board times out."""
    with socket.create_connection((LOOPBACK, program.microphone_port), WAIT_SECONDS) as stranger:
        assert len(stranger.recv(24, socket.MSG_WAITALL)) == 24
        stranger.settimeout(0.5)
        for _ in range(40):  # of the 48 that a proof has
            try:
                stranger.sendall(b"x")
                assert stranger.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                pass
            return
        pytest.fail("the board waits for the last byte")


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
                    return player._link.ever_played, player._progress.handed_over
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
    monkeypatch.setattr("firmware.boards.digital.ANSWER_SECONDS", 0.5)

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
    ended = threading.Event()

    def power() -> None:
        while not ended.wait(0.05):
            if program.pid is None:
                program.start()

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

    thread = threading.Thread(target=power)
    thread.start()
    try:
        before, after = asyncio.run(play())
    finally:
        ended.set()
        thread.join()
    assert before != after


def test_what_is_no_message_ends_the_stream() -> None:
    async def receive() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(struct.pack("<BBH", PROGRESS, 0, 3) + b"abc")
        link = SignedLink(reader, cast(asyncio.StreamWriter, None), b"", 0)
        await link.receive()

    with pytest.raises(OSError, match="a message of kind 1 with 3 bytes"):
        asyncio.run(receive())


@pytest.mark.slow
def test_a_client_that_went_away_while_nobody_hears_is_forgotten(program: VirtualProgram, key: str) -> None:
    """The interpreter stands still, so that the board's buffer stays full and its link is not read."""
    server = program._server
    assert server is not None
    client = MicrophoneClient(program.microphone_port, key)
    client.start()
    os.killpg(server.pid, signal.SIGSTOP)
    client.line.setblocking(False)
    with suppress(BlockingIOError):
        client.play(NOISE.tobytes())
    client.line.close()

    async def next_one() -> None:
        async with asyncio.timeout(90.0):
            while True:
                with suppress(MicrophoneBusy):
                    link = await connect(address(program, key), WAIT_SECONDS)
                    await link.close()
                    return
                await asyncio.sleep(0.5)

    try:
        asyncio.run(next_one())
    finally:
        os.killpg(server.pid, signal.SIGCONT)


def test_no_key_shows_in_a_text(program: VirtualProgram, key: str) -> None:
    assert key not in f"{address(program, key)!r}{address(program, key).where}"
    assert key not in program.log.read_text(encoding="utf-8", errors="replace")
