"""What bounds a service: how much sound, how many clients, how long. And the door that keeps to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from judge.deciding import LONGEST_SECONDS
from wakeword.contract import SAMPLE_RATE_HZ

BYTES_A_SECOND = SAMPLE_RATE_HZ * 2
LONGEST_HEADER_BYTES = 1 << 16
"""Of a line or a set of headers: no client of ours needs a tenth of it."""
GOODBYE_SECONDS = 1.0
"""To read on after a refusal. Who closes a connection with unread bytes in it resets it, and the refusal is lost. Also
what a client has to read its last answer.
"""


@dataclass(frozen=True)
class ServiceLimits:
    """Beyond these, a question is refused."""

    longest_seconds: float = LONGEST_SECONDS
    """Of sound in one question."""
    clients: int = 8
    """Connections at once, of both services together."""
    request_seconds: float = 15.0
    """From the beginning of a question to its answer."""
    idle_seconds: float = 15.0
    """Of a Wyoming client without a question: from its connection, or from its last answer."""

    @property
    def longest_bytes(self) -> int:
        """Of the sound of one question."""
        return round(self.longest_seconds * BYTES_A_SECOND)


@dataclass(eq=False)
class Visit:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    busy: bool = False
    """While a question has begun and has no answer."""

    @property
    def who(self) -> str:
        """The address of the other side."""
        peer = self.writer.get_extra_info("peername")
        return str(peer[0]) if peer else "?"


type Service = Callable[[Visit], Awaitable[None]]


@dataclass(eq=False)
class Door:
    """Lets in as many as the limits allow, turns others away, and ends all of them in order."""

    limits: ServiceLimits
    stopping: bool = False
    """Set once nobody is let in any more; whoever is inside leaves after the answer that is under way."""
    _inside: dict[asyncio.Task[None], Visit] = field(default_factory=dict)
    _refused: int = 0

    def opens_to(
        self, serve: Service, refuse: Service
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        """What `asyncio.start_server` calls of each connection: `serve`, or `refuse` where the house is full."""

        async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A client that goes away, or is cut off, is nobody's fault.
            with suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
                try:
                    await self._receive(Visit(reader, writer), serve, refuse)
                finally:
                    await _let_go(writer)

        return enter

    async def _receive(self, visit: Visit, serve: Service, refuse: Service) -> None:
        if self.stopping or len(self._inside) >= self.limits.clients:
            await self._turn_away(visit, refuse)
            return
        task = asyncio.current_task()
        assert task is not None
        self._inside[task] = visit
        try:
            await serve(visit)
        finally:
            del self._inside[task]

    async def _turn_away(self, visit: Visit, refuse: Service) -> None:
        if self._refused >= self.limits.clients:
            visit.writer.transport.abort()  # so many at once get no word
            return
        self._refused += 1
        try:
            await refuse(visit)
            await say_goodbye(visit)
        finally:
            self._refused -= 1

    async def close(self) -> None:
        """End all visits: those without a question at once, the others after their answer or when their time is up."""
        self.stopping = True
        for task, visit in list(self._inside.items()):
            if not visit.busy:
                task.cancel()
        deadline = asyncio.get_running_loop().time() + self.limits.request_seconds
        while self._inside and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(list(self._inside), timeout=left)
        for task in list(self._inside):
            task.cancel()
        if self._inside:
            await asyncio.wait(list(self._inside))


async def _let_go(writer: asyncio.StreamWriter) -> None:
    """Close once what was answered has gone out; what a client does not read is dropped after a while."""
    writer.close()
    with suppress(OSError):  # also the time-out
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await writer.wait_closed()
        finally:
            writer.transport.abort()


async def say_goodbye(visit: Visit) -> None:
    """After a refusal: what was sent arrives, though the client may still be sending."""
    with suppress(ConnectionError, TimeoutError, OSError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await visit.writer.drain()
            if visit.writer.can_write_eof():
                visit.writer.write_eof()
            while await visit.reader.read(1 << 16):
                pass
