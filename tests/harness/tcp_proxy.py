"""A TCP proxy on loopback that can be cut and stalled, for tests of faults."""

from __future__ import annotations

import asyncio
from typing import Self


class TcpProxy:
    """Forwards connections to (host, port); an async context manager.

    `cut` closes all connections and refuses new ones until `mend`. `stall` keeps every socket open, accepts new ones,
    and forwards nothing until `flow`; what was sent meanwhile arrives then.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._target_port = host, port
        self.port = 0
        self.connections = 0
        """Connections accepted so far and forwarded."""
        self._server: asyncio.Server | None = None
        self._whole = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Close all connections at once; what was under way is lost."""
        self._whole = False
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    def mend(self) -> None:
        """Accept and forward again."""
        self._whole = True

    def stall(self) -> None:
        """Forward nothing more, in both directions, without closing anything."""
        self._flowing.clear()

    def flow(self) -> None:
        """End a stall."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            if not self._whole:
                return
            await self._flowing.wait()
            back, there = await asyncio.open_connection(self._host, self._target_port)
            self._writers.add(there)
            self.connections += 1
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, there))
                pumps.create_task(self._pump(back, writer))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # either side went away, or the proxy was cut; both sides are closed below
        finally:
            self._tasks.discard(task)
            for end in filter(None, (writer, there)):
                self._writers.discard(end)
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError  # one side closed: end the other pump too
