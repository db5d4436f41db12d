"""How long a board is waited for, and questions that outlast a connection which comes and goes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from harness.boards.board import Board, BoardGone
from harness.session.journal import SessionLog
from harness.session.listening import CollectorLike
from wakeword.errors import InfrastructureError

LOOK_SECONDS = 1.0
"""While a board is not connected it is asked so often whether it is still there at all."""


@dataclass(frozen=True)
class Patience:
    """Time limits, in seconds."""

    connect: float = 60.0
    """For the first connection, and after every start of the board that the session itself caused."""
    reconnect: float = 120.0
    """For a board that was lost."""


async def ask_patiently[T](collector: CollectorLike, board: Board, log: SessionLog, patience: Patience, question: Callable[[], Awaitable[T]]) -> T:
    """Ask until it is answered: a connection that has just come back may go away again.

    Raises `BoardGone` when the board itself is not there, and `InfrastructureError` when it stays away or does not answer as it should.
    """
    until = time.monotonic() + patience.reconnect
    while True:
        await _reconnected(collector, board, patience, until)
        connections = log.connections
        try:
            return await question()
        except InfrastructureError:
            # On one and the same connection the board itself did not answer as it should.
            if time.monotonic() >= until or (collector.connected and log.connections == connections):
                raise


async def _reconnected(collector: CollectorLike, board: Board, patience: Patience, until: float) -> None:
    while not collector.connected:
        if collector.fatal is not None:
            raise collector.fatal
        try:
            await board.health()
        except InfrastructureError as error:
            raise BoardGone(str(error)) from error
        left = until - time.monotonic()
        with suppress(InfrastructureError):
            await collector.wait_connected(min(LOOK_SECONDS, max(left, 0.0)))
        if left <= 0 and not collector.connected and collector.fatal is None:
            raise InfrastructureError(
                f"board {board.entry.name!r} did not come back within {patience.reconnect:g} s; check its power and network, then go on with --resume"
            )
