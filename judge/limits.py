"""What bounds a service: how much sound, how many clients, how long. And the connections that keep to it."""

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
DRAIN_SECONDS = 1.0
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
class ClientConnection:
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


type Service = Callable[[ClientConnection], Awaitable[None]]


@dataclass(eq=False)
class Connections:
    """As many as the limits allow at once; others are refused, and all are ended in order."""

    limits: ServiceLimits
    stopping: bool = False
    """Set once nobody is served any more; an open connection ends after the answer that is under way."""
    _open: dict[asyncio.Task[None], ClientConnection] = field(default_factory=dict)
    _refused: int = 0

    def handler(
        self, serve: Service, refuse: Service
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        """What `asyncio.start_server` calls of each connection: `serve`, or `refuse` where there are too many."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A client that goes away, or is cut off, is nobody's fault.
            with suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
                try:
                    await self._serve_or_refuse(ClientConnection(reader, writer), serve, refuse)
                finally:
                    await _let_go(writer)

        return handle

    async def _serve_or_refuse(self, client: ClientConnection, serve: Service, refuse: Service) -> None:
        if self.stopping or len(self._open) >= self.limits.clients:
            await self._refuse(client, refuse)
            return
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = client
        try:
            await serve(client)
        finally:
            del self._open[task]

    async def _refuse(self, client: ClientConnection, refuse: Service) -> None:
        if self._refused >= self.limits.clients:
            client.writer.transport.abort()  # so many at once get no word
            return
        self._refused += 1
        try:
            await refuse(client)
            await drain(client)
        finally:
            self._refused -= 1

    async def close(self) -> None:
        """End those without a question at once, the others after their answer or when their time is up."""
        self.stopping = True
        for task, client in list(self._open.items()):
            if not client.busy:
                task.cancel()
        deadline = asyncio.get_running_loop().time() + self.limits.request_seconds
        while self._open and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(list(self._open), timeout=left)
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(list(self._open))


async def _let_go(writer: asyncio.StreamWriter) -> None:
    """Close once what was answered has gone out; what a client does not read is dropped after a while."""
    writer.close()
    with suppress(OSError):  # also the time-out
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await writer.wait_closed()
        finally:
            writer.transport.abort()


async def drain(client: ClientConnection) -> None:
    """After a refusal: what was sent arrives, though the client may still be sending."""
    with suppress(ConnectionError, TimeoutError, OSError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await client.writer.drain()
            if client.writer.can_write_eof():
                client.writer.write_eof()
            while await client.reader.read(1 << 16):
                pass
