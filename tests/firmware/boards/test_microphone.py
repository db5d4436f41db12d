"""The bench's microphone on the virtual board, over real TCP: who may play, and what is no message."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import threading
from contextlib import suppress
from typing import cast

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from firmware.boards.digital import LOSSLESS_PACE, REALTIME_PACE, DigitalPlayer
from firmware.boards.kinds.virtual import LOOPBACK
from firmware.boards.microphone_link import (
    HELLO,
    MAGIC,
    PROGRESS,
    VERSION,
    MicrophoneAddress,
    MicrophoneBusy,
    SignedLink,
)
from firmware.build import Firmware
from firmware.credentials import new_api_key
from firmware.virtual.program import VirtualProgram
from tests.firmware.boards.microphone import (
    NOISE,
    WAIT_SECONDS,
    address,
    greeted,
    playing,
    trace,
    until_hung_up,
    until_logged,
    welcomed,
)
from tests.microphone_client import AUDIO, PING, START, MicrophoneClient
from wakeword.errors import BoardRefused, InfrastructureError

BUSY, WELCOME, WRONG_KEY = 1, 0, 2


def test_the_key_is_asked_for_and_never_sent(program: VirtualProgram, key: str) -> None:
    with MicrophoneClient(program.microphone_port, new_api_key()) as stranger:
        assert stranger.verdict == WRONG_KEY
        assert stranger.line.recv(1) == b""
    with MicrophoneClient(program.microphone_port, key) as friend:
        assert (friend.verdict, friend.ever) == (WELCOME, 0)


def test_a_wrong_key_is_refused_for_good(program: VirtualProgram) -> None:
    with pytest.raises(BoardRefused, match="refuses the key") as refused:
        asyncio.run(greeted(address(program, new_api_key())))
    assert refused.value.exit_code == 4


def test_a_board_that_does_not_know_the_key_is_refused(key: str) -> None:
    """Somebody else behind the address says that all is well."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def impostor() -> None:
            line, _ = listener.accept()
            with line:
                line.sendall(HELLO.pack(MAGIC, VERSION, WELCOME, b"n" * 16))
                line.recv(48, socket.MSG_WAITALL)
                line.sendall(struct.pack("<B32sq", 0, b"p" * 32, 0))

        thread = threading.Thread(target=impostor)
        thread.start()
        where = MicrophoneAddress(LOOPBACK, listener.getsockname()[1], key, "desk")
        with pytest.raises(BoardRefused, match="does not know the key"):
            asyncio.run(greeted(where))
        thread.join()


def test_a_second_client_is_told_so_and_the_first_one_goes_on(
    program: VirtualProgram, host_firmware: Firmware, key: str
) -> None:
    player = DigitalPlayer(lambda: address(program, key), LOSSLESS_PACE)

    async def play() -> None:
        await player.play(NOISE[:32_000])
        with pytest.raises(MicrophoneBusy, match="somebody else plays"):
            await greeted(address(program, key))
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
    with welcomed(program, key) as client:
        assert client.ever == 0  # nothing of it was heard


def test_a_message_that_is_played_again_is_not_heard(program: VirtualProgram, key: str) -> None:
    with MicrophoneClient(program.microphone_port, key) as client:
        client.start()
        client.send(PING)
        client.number -= 1
        client.send(PING)
        until_hung_up(client)
    until_logged(program, "The client is gone: a bad message")


def test_nothing_listens(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.boards.open_link.ANSWER_SECONDS", 0.5)
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        where = MicrophoneAddress(LOOPBACK, taken.getsockname()[1], key, "desk")
        player = DigitalPlayer(lambda: where, REALTIME_PACE)
        with pytest.raises(InfrastructureError, match="--digital"):
            playing(player, lambda: player.play(NOISE))


def test_a_client_that_went_away_leaves_nothing_behind(program: VirtualProgram, key: str) -> None:
    """Its sound is thrown away, and the next client knows that the board is not as after boot."""
    with MicrophoneClient(program.microphone_port, key) as client:
        client.start(pace=1.0)
        client.play(NOISE[:16_000].tobytes())
        handed_over = 0
        while not handed_over:  # something was heard
            kind, _, content = client.answer()
            handed_over = struct.unpack_from("<q", content)[0] if kind == PROGRESS else 0

    async def next_one() -> int:
        while True:
            with suppress(MicrophoneBusy):
                return await greeted(address(program, key))

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


def received(sealed: bytes) -> None:
    """Receive one message of a board whose answers have the key of zeros."""

    async def receive() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(struct.pack("<H", len(sealed)) + sealed)
        link = SignedLink(reader, cast(asyncio.StreamWriter, None), b"", bytes(32), 0)
        await link.receive()

    asyncio.run(receive())


@pytest.mark.parametrize("told", [bytes([PROGRESS, 0]) + b"abc", bytes([PROGRESS]), b""])
def test_what_is_no_message_ends_the_stream(told: bytes) -> None:
    sealed = ChaCha20Poly1305(bytes(32)).encrypt(bytes(12), told, None)
    with pytest.raises(OSError, match=f"a message of {len(told)} bytes that is not whole"):
        received(sealed)


@pytest.mark.parametrize("bit", [0, 40])
def test_a_message_that_was_changed_on_its_way_ends_the_stream(bit: int) -> None:
    sealed = bytearray(ChaCha20Poly1305(bytes(32)).encrypt(bytes(12), bytes([PROGRESS, 0]) + bytes(40), None))
    sealed[bit] ^= 1
    with pytest.raises(OSError, match="not the board's"):
        received(bytes(sealed))


@pytest.mark.slow
def test_a_client_that_went_away_while_nobody_hears_is_forgotten(program: VirtualProgram, key: str) -> None:
    """The interpreter stands still, so that the board's buffer stays full and its link is not read."""
    server = program._server
    assert server is not None
    with MicrophoneClient(program.microphone_port, key) as client:
        client.start()
        os.killpg(server.pid, signal.SIGSTOP)
        client.line.setblocking(False)
        with suppress(BlockingIOError):
            client.play(NOISE.tobytes())

    async def next_one() -> None:
        async with asyncio.timeout(90.0):
            while True:
                with suppress(MicrophoneBusy):
                    await greeted(address(program, key))
                    return
                await asyncio.sleep(0.5)

    try:
        asyncio.run(next_one())
    finally:
        os.killpg(server.pid, signal.SIGCONT)


def test_no_key_shows_in_a_text(program: VirtualProgram, key: str) -> None:
    assert key not in f"{address(program, key)!r}{address(program, key).where}"
    assert key not in program.log.read_text(encoding="utf-8", errors="replace")
