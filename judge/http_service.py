"""The judge over HTTP/1.1: `POST /judge` with a clip, `GET /judge` for what it is. Each request shows the token.

A clip is a WAV file of 16 kHz mono 16-bit PCM, or (as `application/octet-stream`) such samples alone, little-endian.
The answer is JSON. A connection has one request: a judge is asked now and then, and what is left open counts.
"""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import h11

from judge.asking import ListenerPool, TooLong
from judge.deciding import Judge
from judge.limits import LONGEST_HEADER_BYTES, ClientConnection, Connections, drain
from judge.token import Token
from wakeword.contract import SAMPLE_RATE_HZ

PATH = b"/judge"
WAV_TYPES = frozenset({b"audio/wav", b"audio/wave", b"audio/x-wav", b"audio/vnd.wave"})
RAW_TYPE = b"application/octet-stream"
_NO_WAV = (wave.Error, EOFError, RuntimeError, ValueError)
"""What `wave` raises; `RuntimeError` for a chunk that is longer than the file is by its header."""
_WAV_HEADER_BYTES = 4096
"""Of a WAV file besides its sound."""


class Status(Exception):
    """An answer other than 200, in words."""

    def __init__(self, status: HTTPStatus, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status, self.headers = status, headers


@dataclass(eq=False)
class HttpService:
    """Serves HTTP clients that have the token."""

    pool: ListenerPool
    connections: Connections
    token: Token
    told: Callable[[str], None]

    async def serve(self, client: ClientConnection) -> None:
        """One request. A refusal is answered before the rest of the request is read."""
        exchange = _Exchange(client)
        client.busy = True
        try:
            async with asyncio.timeout(self.connections.limits.request_seconds):
                answer = await self._answer(exchange)
        except TimeoutError:
            await self._refuse(exchange, Status(HTTPStatus.REQUEST_TIMEOUT, "the request took too long"))
        except Status as status:
            await self._refuse(exchange, status)
        except h11.RemoteProtocolError:
            await self._refuse(exchange, Status(HTTPStatus.BAD_REQUEST, "no request of HTTP/1.1"))
        else:
            if answer is not None:
                await exchange.send(HTTPStatus.OK, answer)
                if "score" in answer:
                    self.told(f"HTTP, {client.who}: {'yes' if answer['yes'] else 'no'}, {answer['score']:.3f}")

    async def refuse(self, client: ClientConnection) -> None:
        """Where there are too many."""
        full = {"error": "too many clients at once; ask again later"}
        await _Exchange(client).send(HTTPStatus.SERVICE_UNAVAILABLE, full, {"retry-after": "1"})

    async def _refuse(self, exchange: _Exchange, status: Status) -> None:
        await exchange.send(status.status, {"error": str(status)}, status.headers)
        self.told(f"HTTP, {exchange.client.who}: refused, {status.status.value} {status}")
        await drain(exchange.client)

    async def _answer(self, exchange: _Exchange) -> dict[str, Any] | None:
        """What is said with 200; None where the client left without a request. Raises `Status`."""
        request = await exchange.request()
        if request is None:
            return None
        headers = dict(request.headers)
        if not self.token.fits(headers.get(b"authorization", b"")):
            challenge = {"www-authenticate": "Bearer"}
            raise Status(HTTPStatus.UNAUTHORIZED, "show the token: Authorization: Bearer TOKEN", **challenge)
        if request.target.partition(b"?")[0] != PATH:
            raise Status(HTTPStatus.NOT_FOUND, f"there is {PATH.decode()} alone")
        if request.method == b"GET":
            return described(self.pool.judge, self.connections)
        if request.method != b"POST":
            raise Status(HTTPStatus.METHOD_NOT_ALLOWED, "POST a clip, or GET what the judge is", allow="GET, POST")
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind not in WAV_TYPES | {RAW_TYPE}:
            raise Status(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send Content-Type: audio/wav, or {RAW_TYPE.decode()} for samples"
            )
        limits = self.connections.limits
        try:
            most = limits.longest_bytes + (_WAV_HEADER_BYTES if kind != RAW_TYPE else 0)
            body = await exchange.body(int(headers.get(b"content-length", b"0")), most)
            return await self._judged(sound_of_wav(body) if kind != RAW_TYPE else body)
        except TooLong as error:
            raise Status(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {limits.longest_seconds:g} s of sound"
            ) from error

    async def _judged(self, sound: bytes) -> dict[str, Any]:
        if not sound or len(sound) % 2:
            raise Status(HTTPStatus.BAD_REQUEST, "the clip holds no sound" if not sound else "half a sample is left")
        question = self.pool.question()
        await question.hear(sound)
        answer = await question.finish()
        return {
            "yes": answer.yes,
            "score": answer.score,
            "cutoff": self.pool.judge.cutoff,
            "peaks": list(answer.peaks),
            "seconds": question.seconds,
        }


def described(judge: Judge, connections: Connections) -> dict[str, Any]:
    """What `GET` tells."""
    return {
        "wake_word": judge.wake_word,
        "models": [{"kind": member.kind, "sha256": member.sha256} for member in judge.members],
        "cutoff": judge.cutoff,
        "before_seconds": judge.before_seconds,
        "after_seconds": judge.after_seconds,
        "longest_seconds": connections.limits.longest_seconds,
    }


def sound_of_wav(content: bytes) -> bytes:
    """The samples of a WAV file of 16 kHz mono 16-bit PCM. Raises `Status` for any other."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            form = (file.getframerate(), file.getsampwidth(), file.getnchannels())
            if form != (SAMPLE_RATE_HZ, 2, 1):
                rate, width, channels = form
                raise Status(
                    HTTPStatus.BAD_REQUEST,
                    f"{rate} Hz, {8 * width} bits, {channels} channels; send {SAMPLE_RATE_HZ} Hz, 16 bits, mono",
                )
            return bytes(file.readframes(file.getnframes()))
    except _NO_WAV as error:
        raise Status(HTTPStatus.BAD_REQUEST, f"no WAV file of PCM ({error or 'it ends early'})") from error


@dataclass(eq=False)
class _Exchange:
    """One request and its answer, in h11's hands."""

    client: ClientConnection
    connection: h11.Connection = field(
        default_factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEADER_BYTES)
    )

    async def request(self) -> h11.Request | None:
        """Its first line and headers; None where the client left before."""
        event = await self._event()
        return event if isinstance(event, h11.Request) else None

    async def body(self, stated_bytes: int, most_bytes: int) -> bytes:
        """What follows them. Raises `TooLong` where it is more, or says that it will be."""
        if stated_bytes > most_bytes:
            raise TooLong
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
            if len(body) > most_bytes:
                raise TooLong
        return bytes(body)

    async def _event(self) -> h11.Event | None:
        """The next one; None where a second request follows, which nobody answers."""
        while True:
            event = self.connection.next_event()
            if isinstance(event, h11.Event):
                return event
            if event is h11.PAUSED:
                return None
            if self.connection.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            self.connection.receive_data(await self.client.reader.read(1 << 16))

    async def send(self, status: HTTPStatus, answer: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        """Answer, and end the connection."""
        content = json.dumps(answer).encode() + b"\n"
        own = {
            "content-type": "application/json",
            "content-length": str(len(content)),
            "connection": "close",
            "cache-control": "no-store",
        }
        if self.connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        self._write(
            h11.Response(status_code=status.value, headers=list((own | (headers or {})).items()), reason=status.phrase)
        )
        self._write(h11.Data(data=content))
        self._write(h11.EndOfMessage())
        await self.client.writer.drain()

    def _write(self, event: h11.Event) -> None:
        data = self.connection.send(event)
        if data:
            self.client.writer.write(data)
