"""What tests of the bench's microphone over TCP share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
from numpy.typing import NDArray

from firmware.boards.digital import DigitalPlayer
from firmware.boards.kinds.virtual import LOOPBACK
from firmware.boards.microphone_link import MicrophoneAddress, connect
from firmware.build import Firmware
from firmware.virtual.program import VirtualProgram
from tests.harness.tcp_proxy import TcpProxy
from tests.microphone_client import MicrophoneClient

WAIT_SECONDS = 30.0
NOISE = np.random.default_rng(8).normal(0, 3000, 64_000).astype(np.int16)


def address(program: VirtualProgram, key: str, port: int | None = None) -> MicrophoneAddress:
    return MicrophoneAddress(LOOPBACK, program.microphone_port if port is None else port, key, "virtual")


def playing[T](player: DigitalPlayer, do: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        try:
            return await do()
        finally:
            await player.close()

    return asyncio.run(run())


async def greeted(where: MicrophoneAddress) -> int:
    """Connect, and hang up; how many samples the board says that it was played before."""
    link = await connect(where, WAIT_SECONDS)
    await link.close()
    return link.ever_played


def welcomed(program: VirtualProgram, key: str) -> MicrophoneClient:
    """A client that has the board's place, as soon as it is free."""
    until, pause = time.monotonic() + WAIT_SECONDS, threading.Event()
    while (client := MicrophoneClient(program.microphone_port, key)).status != 0:
        client.line.close()
        assert time.monotonic() < until
        pause.wait(0.05)
    return client


def until_hung_up(client: MicrophoneClient) -> None:
    """Whatever the board tells before is thrown away."""
    client.line.settimeout(WAIT_SECONDS)
    with suppress(ConnectionResetError):
        while client.line.recv(4096):
            pass


@contextmanager
def powered(program: VirtualProgram) -> Iterator[None]:
    """A program that ends is started again, as a board that restarts comes back by itself."""
    ended = threading.Event()

    def power() -> None:
        while not ended.wait(0.05):
            if program.pid is None:
                program.start()

    thread = threading.Thread(target=power)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def until_logged(program: VirtualProgram, text: str) -> None:
    until, pause = time.monotonic() + WAIT_SECONDS, threading.Event()
    while text not in program.log.read_text(encoding="utf-8", errors="replace"):
        assert time.monotonic() < until, text
        pause.wait(0.05)


def trace(program: VirtualProgram, firmware: Firmware) -> NDArray[np.uint8]:
    """What the interpreter itself gave: the witness of what came back over the network."""
    return program.probabilities(firmware.models[0].sha256)


def played_with_a_pause(program: VirtualProgram, key: str, pace: float, seconds: float) -> NDArray[np.uint8]:
    """The probabilities of `NOISE`, played over a network that pauses for so long in its middle."""

    async def play() -> NDArray[np.uint8]:
        async with TcpProxy(LOOPBACK, program.microphone_port) as proxy:
            player = DigitalPlayer(lambda: address(program, key, proxy.port), pace)
            try:
                await player.play(NOISE[:32_000])
                proxy.stall()
                asyncio.get_running_loop().call_later(seconds, proxy.flow)
                await player.play(NOISE[32_000:])
                await player.drain()
                return player.probabilities(0)
            finally:
                await player.close()

    return asyncio.run(play())
