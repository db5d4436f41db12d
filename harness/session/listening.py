"""What a session asks of a collector: no more than this, so that a test may stand in for the network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from firmware.answers import Identity
from harness.boards.board import Board
from harness.session.journal import SessionLog
from wakeword.errors import MwwError


class CollectorLike(Protocol):
    """What a session asks of a collector, see `harness.collect.collector.Collector`."""

    @property
    def connected(self) -> bool:
        """Whether the board is there and all subscriptions are proven."""
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

    @property
    def fatal(self) -> MwwError | None:
        """What ended all collecting, if anything did."""
        ...


type OpenCollector = Callable[[Board, SessionLog, Callable[[], int]], AbstractAsyncContextManager[CollectorLike]]
