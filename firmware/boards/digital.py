"""Sound to a board without air: samples over the network to the bench's microphone on it, and every probability back.

A virtual board hears by this, and a real one that was built with `--digital`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.boards.board import BoardGone
from firmware.boards.microphone_link import (
    FLUSH,
    PACE_UNITS,
    PING,
    RESTART,
    START,
    START_MESSAGE,
    Delivered,
    MicrophoneAddress,
    MicrophoneBusy,
    MicrophoneSilent,
    ModelDelivery,
    Progress,
    SignedLink,
    Trace,
    connect,
)
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import InfrastructureError

REALTIME_PACE, LOSSLESS_PACE = 1.0, 0.0
"""Real time: a chunk every 16 ms whether or not the last one was taken, as a microphone does. Lossless: as fast as the
board takes it."""
BACKLOG_SAMPLES = SAMPLE_RATE_HZ
"""What may lie between us and the board when `play` returns."""
STALL_SECONDS = 30.0
"""A board that hears nothing for so long, although sound is there, is gone: its program hangs, or detection was
stopped."""
ANSWER_SECONDS = 10.0
BUSY_SECONDS = 20.0
"""A connection that broke is forgotten by the board after 10 s."""
BOOT_SECONDS = 60.0
"""From a restart to the network."""
PING_SECONDS = 2.0
_RETRY_SECONDS = 0.2


class DigitalPlayer:
    """A `Player` whose samples are what the board hears, one by one."""

    def __init__(
        self,
        address: Callable[[], MicrophoneAddress],
        pace: float,
        restart_board: Callable[[], Awaitable[None]] | None = None,
        delivery: ModelDelivery | None = None,
    ) -> None:
        """`address` is asked anew for each connection. `restart_board` starts the board anew for a fresh stream; None:
        the board is told to do that itself. `delivery` is brought to it before each stream.
        """
        self._delivery, self._there = delivery, False
        self._address, self._pace, self._restart_board = address, pace, restart_board
        self._link: SignedLink | None = None
        self._started = False
        self._tasks: list[asyncio.Task[None]] = []
        self._played = 0
        self._progress = Progress()
        self._told_refused = 0
        self._traces: dict[int, bytearray] = {}
        self._news = asyncio.Condition()
        self._gone = ""

    @property
    def position(self) -> int:
        """Samples of the stream that the board has decided on."""
        return self._progress.decided

    def probabilities(self, model: int) -> NDArray[np.uint8]:
        """Every probability of the stream that has arrived, of the model that the firmware names at this place: uint8
        `[inferences]`.
        """
        return np.frombuffer(bytes(self._traces.get(model, b"")), np.uint8)

    async def play(self, samples: NDArray[np.int16]) -> None:
        """See `Player.play`."""
        link = await self._begun()
        try:
            link.send_audio(np.ascontiguousarray(samples, "<i2").tobytes())
            self._played += len(samples)
            await link.drained()
        except OSError as error:
            raise self._lost() from error
        await self._wait(lambda: self._progress.handed_over >= self._played - BACKLOG_SAMPLES)

    async def drain(self) -> None:
        """See `Player.drain`."""
        if self._link is None or not self._started:
            return
        try:
            self._link.send(FLUSH)
            await self._link.drained()
        except OSError as error:
            raise self._lost() from error
        await self._wait(lambda: self._progress.decided >= self._played)

    def news(self) -> list[dict[str, Any]]:
        """Samples that the board's ring buffer had no room for, since the last call."""
        refused = self._progress.refused - self._told_refused
        if refused <= 0:
            return []
        self._told_refused += refused
        return [
            {
                "event": "fault",
                "side": "board",
                "what": "refused",
                "at": self._progress.refused_at,
                "samples": refused,
            }
        ]

    def facts(self) -> dict[str, Any]:
        """No devices lie between."""
        return {}

    async def restart_stream(self, keep: Path | None = None) -> None:
        """See `Player.restart_stream`; the sound is what is played, so none is kept.

        The board is started anew: stopping detection alone would keep the model's half-filled stride.
        """
        del keep
        if self._restart_board is not None:
            await self._forget()
            await self._restart_board()
            await self._deliver()
            return
        since = time.monotonic()
        if self._link is None:
            await self._connect(ANSWER_SECONDS)
        # Told again where a connection was broken: what is sent into that reaches nobody.
        while self._link is not None and (self._started or self._link.ever_played):
            if time.monotonic() - since > BOOT_SECONDS:
                raise BoardGone(f"{self._address().where}: it does not start anew; look at its log")
            with contextlib.suppress(OSError):
                self._link.send(RESTART)
                await self._link.drained()
                async with asyncio.timeout(ANSWER_SECONDS):
                    await asyncio.wait(self._tasks[:1])
            await self._forget()
            await self._connect(BOOT_SECONDS)
        await self._deliver()

    async def _deliver(self) -> None:
        """Bring the model to a board that has just started. Raises `InfrastructureError` where it does not take it."""
        if self._delivery is None:
            return
        if self._link is None:
            await self._connect(BOOT_SECONDS)
        assert self._link is not None
        try:
            self._link.send_model(self._delivery)
            await self._link.drained()
        except OSError as error:
            raise self._lost() from error
        await self._wait(lambda: self._there)

    async def close(self) -> None:
        """See `Player.close`."""
        link, self._link, tasks, self._tasks = self._link, None, self._tasks, []
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if link is not None:
            await link.close()

    async def _forget(self) -> None:
        await self.close()
        self._played = self._told_refused = 0
        self._progress, self._traces, self._started, self._gone = Progress(), {}, False, ""
        self._there = False

    async def _begun(self) -> SignedLink:
        """The connection, on which the stream has begun."""
        if self._link is None and self._played:
            raise self._lost()
        if self._link is None:
            await self._connect(ANSWER_SECONDS)
        assert self._link is not None
        if not self._started:
            self._link.send(START_MESSAGE, START.pack(round(self._pace * PACE_UNITS)))
            self._started = True
        return self._link

    async def _connect(self, patience: float) -> None:
        link = await connect_patiently(self._address(), patience)
        self._link, self._gone = link, ""
        self._tasks = [asyncio.create_task(self._listen(link)), asyncio.create_task(stay(link))]

    async def _listen(self, link: SignedLink) -> None:
        try:
            while not self._gone:
                told = await link.receive()
                if isinstance(told, Trace):
                    self._gone = self._hear(told)
                elif isinstance(told, Delivered):
                    self._there = told.there
                    self._gone = "" if told.there else "it does not take the model; its log says why"
                elif isinstance(told, Progress):
                    self._progress = told
                    if told.refused:
                        # What comes behind it lies in other slices than the simulation's: no figure can be made of it.
                        at = told.refused_at / SAMPLE_RATE_HZ
                        self._gone = f"its ring buffer had no room for the sound at {at:.2f} s of the stream"
                    elif told.underruns and self._pace == REALTIME_PACE:  # nobody promised to be faster
                        at = told.underrun_at / SAMPLE_RATE_HZ
                        self._gone = f"sound did not come in time at {at:.2f} s of the stream: the network was too slow"
                async with self._news:
                    self._news.notify_all()
        except (asyncio.IncompleteReadError, OSError):
            self._gone = "its microphone went away"
        async with self._news:
            self._news.notify_all()

    def _hear(self, told: Trace) -> str:
        kept = self._traces.setdefault(told.model, bytearray())
        if told.first != len(kept):
            return f"probabilities {len(kept)} to {told.first} of its model {told.model} never came"
        kept += told.values
        return ""

    async def _wait(self, reached: Callable[[], bool]) -> None:
        """Wait for progress; a board that makes none for `STALL_SECONDS` is gone."""
        last, since = self._progress, time.monotonic()
        async with self._news:
            while True:
                if self._gone:
                    raise self._lost()
                if reached():
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._news.wait()
                if self._progress != last:
                    last, since = self._progress, time.monotonic()
                elif time.monotonic() - since > STALL_SECONDS:
                    raise BoardGone(
                        f"{self._address().where} heard nothing for {STALL_SECONDS:.0f} s; look at the board's log"
                    )

    def _lost(self) -> BoardGone:
        at = self._progress.decided / SAMPLE_RATE_HZ
        return BoardGone(
            f"board {self._address().name!r}: {self._gone or 'its microphone went away'}; it had heard {at:.2f} s"
        )


async def connect_patiently(address: MicrophoneAddress, patience: float = ANSWER_SECONDS) -> SignedLink:
    """Connect; a port that is not there yet, and one that is still taken, are tried again for a while. Raises as
    `connect`, and `InfrastructureError` where nothing listens.
    """
    since = time.monotonic()
    while True:
        try:
            return await connect(address, ANSWER_SECONDS)
        except MicrophoneBusy:
            if time.monotonic() - since > max(patience, BUSY_SECONDS):
                raise
        except MicrophoneSilent:  # has waited itself; a board that starts may swallow what comes meanwhile
            if time.monotonic() - since >= patience:
                raise
        except OSError as error:
            if time.monotonic() - since > patience:
                raise InfrastructureError(
                    f"{address.where}: nothing listens there ({error.strerror or error}); build its firmware with"
                    " mww-firmware build --digital and flash it, or play through the air (--source air)"
                ) from error
        await asyncio.sleep(_RETRY_SECONDS)


async def stay(link: SignedLink) -> None:
    """A client that says nothing for a while is no client that is gone."""
    with contextlib.suppress(OSError):
        while True:
            await asyncio.sleep(PING_SECONDS)
            link.send(PING)
            await link.drained()
