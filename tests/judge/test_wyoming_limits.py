"""What bounds a Wyoming client: the service in this process, with small buffers and turns that can be counted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from judge import wyoming_service
from judge.asking import ListenerPool
from judge.deciding import Judge
from judge.limits import LONGEST_HEADER_BYTES, ClientConnection, Connections, ServiceLimits
from judge.wyoming_service import WyomingService
from tests.judge.served import DEADLINE_S

DESCRIBE = b'{"type": "describe"}\n'
SMALL_BYTES = 4096
"""Of the system's buffers, so that little fills them."""


@dataclass
class House:
    """A service on a port, what it told, and what was left unsent in each connection that it has ended."""

    service: WyomingService
    told: list[str]
    port: int = 0
    left: asyncio.Queue[int] = field(default_factory=asyncio.Queue)

    async def visitor(self) -> socket.socket:
        """A client's connection, which nobody reads from unless told to."""
        visitor = socket.socket()
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        visitor.setblocking(False)
        await asyncio.get_running_loop().sock_connect(visitor, ("127.0.0.1", self.port))
        return visitor


@asynccontextmanager
async def house(judge: Judge, **limits: float) -> AsyncIterator[House]:
    """Serves one client at a time, with the limits given."""
    bounds = ServiceLimits(clients=1, **limits)
    pool, connections, told = ListenerPool(judge, bounds), Connections(bounds), list[str]()
    inside = House(WyomingService(pool, connections, told.append), told)
    handle = connections.handler(inside.service.serve, inside.service.refuse)

    async def watched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handle(reader, writer)
        inside.left.put_nowait(writer.transport.get_write_buffer_size())

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BYTES)
    server = await asyncio.start_server(watched, sock=listening, limit=LONGEST_HEADER_BYTES)
    inside.port = listening.getsockname()[1]
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield inside
    finally:
        server.close()
        await connections.close()
        pool.close()


def test_a_client_that_never_reads_loses_its_place(judge: Judge) -> None:
    async def talk() -> None:
        loop = asyncio.get_running_loop()
        async with house(judge, idle_seconds=0.5) as inside:
            with await inside.visitor() as deaf:
                with pytest.raises(ConnectionError):  # it is cut off, in spite of what it still sends
                    while True:
                        await loop.sock_sendall(deaf, DESCRIBE * 100)
                assert await inside.left.get() == 0
            assert "refused, no question in 0.5 s" in inside.told[0]
            with await inside.visitor() as next_one:
                await loop.sock_sendall(next_one, DESCRIBE)
                assert (await loop.sock_recv(next_one, 100)).startswith(b'{"type": "info"')

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("events", "limits", "reason"),
    [
        (b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}\n', (0.5, 300), "no answer"),
        (b"", (300, 0.5), "no question"),
        (b'{"type": "detect"}\n', (300, 0.5), "no question"),
        (
            b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}\n{"type": "audio-stop"}\n',
            (300, 0.5),
            "no question",
        ),
    ],
)
def test_asking_what_it_is_gives_no_more_time(
    events: bytes, limits: tuple[float, float], reason: str, judge: Judge
) -> None:
    async def talk() -> bytes:
        loop = asyncio.get_running_loop()
        async with house(judge, request_seconds=limits[0], idle_seconds=limits[1]) as inside:
            with await inside.visitor() as visitor:
                await loop.sock_sendall(visitor, events)
                heard = b""
                while b'"type": "error"' not in heard:
                    await loop.sock_sendall(visitor, DESCRIBE)
                    heard = heard[-20:] + await loop.sock_recv(visitor, 1 << 16)
                heard += await loop.sock_recv(visitor, 1 << 16)
            return heard

    assert f"{reason} in 0.5 s".encode() in asyncio.run(talk())


def test_answers_that_nobody_reads_are_not_kept(judge: Judge) -> None:
    """Too few to stop the service while it answers: they would wait in its buffer after the connection's end."""

    async def talk() -> None:
        async with house(judge) as inside:
            with await inside.visitor() as deaf:
                await asyncio.get_running_loop().sock_sendall(deaf, DESCRIBE * 60)
                deaf.shutdown(socket.SHUT_WR)
                assert await inside.left.get() == 0
            assert inside.told == []

    asyncio.run(talk())


def test_a_client_with_many_events_leaves_others_their_turn(judge: Judge) -> None:
    async def talk() -> int:
        events = 500
        reader = asyncio.StreamReader()
        reader.feed_data((DESCRIBE + b'{"type": "unknown"}\n') * events)
        reader.feed_eof()
        ours, theirs = socket.socketpair()
        service = WyomingService(ListenerPool(judge, ServiceLimits()), Connections(ServiceLimits()), list[str]().append)
        _, writer = await asyncio.open_connection(sock=ours)
        other_reader, other_writer = await asyncio.open_connection(sock=theirs)
        reading = asyncio.create_task(other_reader.read())
        serving = asyncio.create_task(service.serve(ClientConnection(reader, writer)))
        turns = 0
        while not serving.done():
            await asyncio.sleep(0)
            turns += 1
        await serving
        writer.close()
        assert (await asyncio.wait_for(reading, DEADLINE_S)).count(b'"type": "info"') == events
        other_writer.close()
        service.pool.close()
        return turns - 2 * events

    assert asyncio.run(talk()) >= 0


def test_what_it_is_is_looked_up_once(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = list[str]()

    def version(name: str) -> str:
        looked_up.append(name)
        return "1"

    monkeypatch.setattr(wyoming_service, "version", version)

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        async with house(judge) as inside:
            begun = len(looked_up)
            with await inside.visitor() as visitor:
                await loop.sock_sendall(visitor, DESCRIBE * 3)
                visitor.shutdown(socket.SHUT_WR)
                answers = b""
                while part := await loop.sock_recv(visitor, 1 << 16):
                    answers += part
            assert answers.count(b'"type": "info"') == 3
            assert 0 < begun == len(looked_up)

    asyncio.run(talk())
