"""A connection to the bench's microphone on a board that is listened to until it ends: what both the player of samples
and the ear are built on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from firmware.boards.microphone_link import (
    PING,
    Delivered,
    EarBlock,
    MicrophoneAddress,
    MicrophoneBusy,
    MicrophoneSilent,
    Progress,
    SignedLink,
    Trace,
    connect,
)
from wakeword.errors import InfrastructureError

ANSWER_SECONDS = 10.0
BUSY_SECONDS = 20.0
"""A connection that broke is forgotten by the board after 10 s."""
PING_SECONDS = 2.0
GONE = "its microphone went away"
_RETRY_SECONDS = 0.2


class OpenLink:
    """A connection, and what came over it. It is pinged, as a client that says nothing for a while is gone."""

    def __init__(self, link: SignedLink, take: Callable[[Progress | EarBlock | Delivered], None]) -> None:
        """`take` gets all that is told but probabilities, in order; what it raises ends the listening and is kept."""
        self.link = link
        self.gone = ""
        """Why nothing more comes; empty while it may."""
        self.failed: Exception | None = None
        """What `take` raised."""
        self.told_at = time.monotonic()
        self.traces: dict[int, bytearray] = {}
        """Every probability, by the number that the board gives a model."""
        self._take = take
        self._news = asyncio.Event()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._stay())]

    @classmethod
    async def to(
        cls,
        address: MicrophoneAddress,
        take: Callable[[Progress | EarBlock | Delivered], None],
        patience: float = ANSWER_SECONDS,
    ) -> Self:
        """Raises as `connect_patiently`."""
        return cls(await connect_patiently(address, patience), take)

    async def news(self, seconds: float) -> None:
        """Return when something was told, or nothing more comes; at the latest after so many seconds."""
        news = self._news
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await news.wait()

    async def ended(self, seconds: float) -> None:
        """Wait until nothing more comes. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            await asyncio.wait(self._tasks[:1])

    async def close(self) -> None:
        """Hang up. Never raises because the board is gone."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.link.close()

    async def _listen(self) -> None:
        try:
            while not self.gone and self.failed is None:
                told = await self.link.receive()
                self.told_at = time.monotonic()
                if isinstance(told, Trace):
                    self._keep(told)
                elif told is not None:
                    try:
                        self._take(told)
                    except Exception as error:  # whatever it is, it is not the connection's: who waits is told
                        self.failed = error
                self._tell()
        except (asyncio.IncompleteReadError, OSError):
            self.gone = GONE
        self._tell()

    def _keep(self, told: Trace) -> None:
        kept = self.traces.setdefault(told.model, bytearray())
        if told.first != len(kept):
            self.gone = f"probabilities {len(kept)} to {told.first} of its model {told.model} never came"
        else:
            kept += told.values

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _stay(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                await asyncio.sleep(PING_SECONDS)
                self.link.send(PING)
                await self.link.drained()


def probabilities(traces: dict[int, bytearray], model: int) -> NDArray[np.uint8]:
    """Every probability that came of a model: uint8 `[inferences]`."""
    return np.frombuffer(bytes(traces.get(model, b"")), np.uint8)


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
