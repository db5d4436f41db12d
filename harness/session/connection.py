"""The connection of a session to its board: what is asked of a collector, and questions that outlast a connection which
comes and goes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Protocol

from firmware.answers import Identity
from firmware.boards.board import Board, BoardGone, NoAnswer
from harness.session.journal import SessionLog
from wakeword.errors import InfrastructureError, MwwError

LOOK_SECONDS = 1.0
"""While a board is not connected it is asked so often whether it is still there at all."""


@dataclass(frozen=True)
class TimeLimits:
    """How long a board is waited for, in seconds."""

    connect: float = 60.0
    """For the first connection, and after every start of the board that the session itself caused."""
    reconnect: float = 120.0
    """For a board that was lost."""


class CollectorLike(Protocol):
    """What a session asks of a collector, see `harness.collect.collector.Collector`: no more than this, so that a test
    may stand in for the network.
    """

    @property
    def connected(self) -> bool:
        """Whether the board is there and all subscriptions are proven."""
        ...

    @property
    def fatal(self) -> MwwError | None:
        """What ended all collecting, if anything did."""
        ...

    async def wait_connected(self, timeout: float) -> None:
        """Return when connected; raises `InfrastructureError` after so many seconds, and at once what is fatal."""
        ...

    async def identify(self) -> Identity:
        """Which models the board runs."""
        ...

    async def set_cutoff(self, model_id: str, cutoff: int) -> None:
        """Set a model's cutoff and read it back."""
        ...

    async def start_detection(self) -> None:
        """Return when detection runs."""
        ...

    async def stop_detection(self) -> None:
        """Return when detection has stopped."""
        ...

    async def flush(self, timeout: float) -> None:
        """Return when every detection decided so far has arrived."""
        ...


type OpenCollector = Callable[[Board, SessionLog], AbstractAsyncContextManager[CollectorLike]]
"""To a board as it is now: its name and key may change with its firmware."""


@dataclass(frozen=True)
class Connection:
    """A board with the collector that listens to it and the log that the collector writes."""

    board: Board
    collector: CollectorLike
    log: SessionLog
    limits: TimeLimits

    async def ask[T](self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask until it is answered: a connection that has just come back may go away again.

        Raises `BoardGone` when the board itself is not there, and `InfrastructureError` when it stays away or does not
        answer as it should.
        """
        until = time.monotonic() + self.limits.reconnect
        while True:
            await self._reconnected(until)
            connections = self.log.connections
            try:
                return await question()
            except InfrastructureError:
                # On one and the same connection the board itself did not answer as it should.
                if time.monotonic() >= until or (self.collector.connected and self.log.connections == connections):
                    raise

    async def _reconnected(self, until: float) -> None:
        while not self.collector.connected:
            if self.collector.fatal is not None:
                raise self.collector.fatal
            try:
                await self.board.health()
            except NoAnswer:  # a real board that starts anew is not on the network for a while
                pass
            except InfrastructureError as error:
                raise BoardGone(str(error)) from error
            left = until - time.monotonic()
            with suppress(InfrastructureError):
                await self.collector.wait_connected(min(LOOK_SECONDS, max(left, 0.0)))
            if left <= 0 and not self.collector.connected and self.collector.fatal is None:
                waited = f"{self.limits.reconnect:g} s; check its power and network, then go on with --resume"
                raise InfrastructureError(f"board {self.board.entry.name!r} did not come back within {waited}")
