"""The judge as a program that serves: its places, its start and its orderly end."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import Callable
from dataclasses import dataclass

from judge.asking import ListenerPool
from judge.deciding import Judge
from judge.http_service import PATH, HttpService
from judge.limits import LONGEST_HEADER_BYTES, Connections, Service, ServiceLimits
from judge.token import Token
from judge.wyoming_service import WyomingService
from wakeword.errors import ArgumentError, InfrastructureError

OFF = "off"
"""Instead of a place: the service is left out."""


@dataclass(frozen=True)
class ListenPlace:
    """Where a service listens; port 0 takes a free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether other machines cannot reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_place(option: str, text: str) -> ListenPlace | None:
    """A place written `HOST:PORT` or `[IPV6]:PORT`; None for `off`. Raises `ConfigError` for anything else."""
    if text == OFF:
        return None
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ArgumentError(option, text, "give HOST:PORT, for example 127.0.0.1:10410, or off")
    return ListenPlace(host, int(port))


def refuse_open_wyoming(place: ListenPlace, trusted: bool) -> None:
    """Raise `ConfigError` for Wyoming where other machines reach it, unless the user says so.

    The protocol has no authentication, and no client of it sends a token: one would shut out every ordinary client, and
    protect nothing on a network where its sound is read anyway.
    """
    if not place.loopback and not trusted:
        raise ArgumentError(
            "wyoming",
            str(place),
            "Wyoming has no authentication: whoever reaches this address may send sound and read answers, and all of it"
            " goes unencrypted; give 127.0.0.1, or --trust-network where everybody on that network may",
        )


@dataclass(frozen=True)
class Served:
    """What is served, where, and to whom."""

    judge: Judge
    limits: ServiceLimits
    wyoming: ListenPlace | None
    http: ListenPlace | None
    token: Token | None
    """Of the HTTP service, which has one wherever it is."""


def serve(served: Served, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, then end in order: no new clients, answers that are under way are given.

    `told` gets a line where each service listens, one an answer, and one at the end; it raises nothing, or clients get
    no answers. Raises `InfrastructureError` where a place cannot be listened on.
    """
    asyncio.run(_serve(served, told))


async def _serve(served: Served, told: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pool, connections = ListenerPool(served.judge, served.limits), Connections(served.limits)
    servers: list[asyncio.Server] = []
    try:
        await pool.warm_up()
        if served.wyoming is not None:
            wyoming = WyomingService(pool, connections, told)
            servers.append(await _listen("wyoming", served.wyoming, connections, wyoming.serve, wyoming.refuse))
            told(f"Wyoming: tcp://{_bound(servers[-1], served.wyoming)}{_warning(served.wyoming, 'no authentication')}")
        if served.http is not None:
            assert served.token is not None
            http = HttpService(pool, connections, served.token, told)
            servers.append(await _listen("http", served.http, connections, http.serve, http.refuse))
            where = f"http://{_bound(servers[-1], served.http)}{PATH.decode()}, token of {served.token.source}"
            told(f"HTTP: {where}{_warning(served.http, 'the token can be read on the way')}")
        told(f"{served.judge.wake_word}, judge {served.judge.words}; ready")
        await stop.wait()
    finally:
        for server in servers:
            server.close()
        await connections.close()
        pool.close()
    told("stopped")


async def _listen(
    option: str, place: ListenPlace, connections: Connections, serve: Service, refuse: Service
) -> asyncio.Server:
    try:
        return await asyncio.start_server(
            connections.handler(serve, refuse), place.host, place.port, limit=LONGEST_HEADER_BYTES
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise InfrastructureError(
            f"{place}: cannot be listened on ({reason}); give --{option} another place"
        ) from error


def _bound(server: asyncio.Server, place: ListenPlace) -> ListenPlace:
    """Where it really listens: with the port that was free."""
    return ListenPlace(place.host, server.sockets[0].getsockname()[1])


def _warning(place: ListenPlace, what: str) -> str:
    return "" if place.loopback else f" (other machines reach it: {what}, nothing is encrypted)"
