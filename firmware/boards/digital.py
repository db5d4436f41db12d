"""Sound to a board without air: samples over the network to the bench's microphone on it, and every probability back.

A virtual board hears by this, and a real one that was built with `--digital`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.boards.board import BoardGone, BufferFull
from firmware.boards.microphone_link import (
    FLUSH,
    PACE_UNITS,
    RESTART,
    START,
    START_MESSAGE,
    Delivered,
    EarBlock,
    MicrophoneAddress,
    ModelDelivery,
    Progress,
    SignedLink,
)
from firmware.boards.open_link import ANSWER_SECONDS, GONE, OpenLink, probabilities
from wakeword.contract import SAMPLE_RATE_HZ

REALTIME_PACE, LOSSLESS_PACE = 1.0, 0.0
"""Real time: a chunk every 16 ms whether or not the last one was taken, as a microphone does. Lossless: as fast as the
board takes it."""
BACKLOG_SAMPLES = SAMPLE_RATE_HZ
"""What may lie between us and the board when `play` returns."""
STALL_SECONDS = 30.0
"""A board that hears nothing for so long, although sound is there, is gone: its program hangs, or detection was
stopped."""
BOOT_SECONDS = 60.0
"""From a restart to the network."""


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
        self._delivery = delivery
        self._delivered: int | None = None
        self._address, self._pace, self._restart_board = address, pace, restart_board
        self._link: OpenLink | None = None
        self._started = False
        self._played = 0
        self._progress = Progress()
        self._told_refused = 0
        self._traces: dict[int, bytearray] = {}

    @property
    def position(self) -> int:
        """Samples of the stream that the board has decided on."""
        return self._progress.decided

    def probabilities(self, model: int) -> NDArray[np.uint8]:
        """Every probability of the stream that has arrived, of the model that the board gives this number: uint8
        `[inferences]`.
        """
        return probabilities(self._traces, model)

    def probabilities_of(self, model_sha256: str, built_in: Sequence[str]) -> NDArray[np.uint8] | None:
        """The same by the model's SHA-256: of the one that was delivered, else of one of the firmware's own, which are
        `built_in` in their order. None where it is neither.
        """
        if self._delivery is not None and model_sha256 == self._delivery.sha256:
            return probabilities(self._traces, self._delivered) if self._delivered is not None else None
        return self.probabilities(built_in.index(model_sha256)) if model_sha256 in built_in else None

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
            self._link.link.send(FLUSH)
            await self._link.link.drained()
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
        while self._link is not None and (
            self._started or self._link.failed or self._link.gone or self._link.link.ever_played
        ):
            if time.monotonic() - since > BOOT_SECONDS:
                raise BoardGone(f"{self._address().where}: it does not start anew; look at its log")
            with contextlib.suppress(OSError):
                self._link.link.send(RESTART)
                await self._link.link.drained()
                await self._link.ended(ANSWER_SECONDS)
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
            self._link.link.send_model(self._delivery)
            await self._link.link.drained()
        except OSError as error:
            raise self._lost() from error
        await self._wait(lambda: self._delivered is not None)

    async def close(self) -> None:
        """See `Player.close`."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _forget(self) -> None:
        await self.close()
        self._played = self._told_refused = 0
        self._progress, self._traces, self._started, self._delivered = Progress(), {}, False, None

    async def _begun(self) -> SignedLink:
        """The connection, on which the stream has begun."""
        if self._link is None and self._played:
            raise self._lost()
        if self._link is None:
            await self._connect(ANSWER_SECONDS)
        assert self._link is not None
        if not self._started:
            self._link.link.send(START_MESSAGE, START.pack(round(self._pace * PACE_UNITS)))
            self._started = True
        return self._link.link

    async def _connect(self, patience: float) -> None:
        self._link = await OpenLink.to(self._address(), self._take, patience)
        self._traces = self._link.traces

    def _take(self, told: Progress | EarBlock | Delivered) -> None:
        """What the board says. Raises `BoardGone` for what ends the stream."""
        if isinstance(told, Delivered):
            if not told.there:
                raise self._lost("it does not take the model; its log says why")
            self._delivered = told.number
        elif isinstance(told, Progress):
            self._progress = told
            if told.refused:
                # What comes behind it lies in other slices than the simulation's: no figure can be made of it.
                at = told.refused_at / SAMPLE_RATE_HZ
                raise self._lost(f"its ring buffer had no room for the sound at {at:.2f} s of the stream", BufferFull)
            if told.underruns and self._pace == REALTIME_PACE:  # nobody promised to be faster
                at = told.underrun_at / SAMPLE_RATE_HZ
                raise self._lost(f"sound did not come in time at {at:.2f} s of the stream: the network was too slow")

    async def _wait(self, reached: Callable[[], bool]) -> None:
        """Wait for progress; a board that makes none for `STALL_SECONDS` is gone."""
        last, since = self._progress, time.monotonic()
        while self._link is not None:
            if self._link.failed is not None:
                raise self._link.failed
            if self._link.gone:
                raise self._lost()
            if reached():
                return
            await self._link.news(1.0)
            if self._progress != last:
                last, since = self._progress, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                raise BoardGone(
                    f"{self._address().where} heard nothing for {STALL_SECONDS:.0f} s; look at the board's log"
                )
        raise self._lost()

    def _lost(self, reason: str = "", kind: type[BoardGone] = BoardGone) -> BoardGone:
        at = self._progress.decided / SAMPLE_RATE_HZ
        reason = reason or (self._link.gone if self._link is not None else "") or GONE
        return kind(f"board {self._address().name!r}: {reason}; it had heard {at:.2f} s")
