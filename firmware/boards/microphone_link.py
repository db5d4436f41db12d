"""The language of the bench's microphone on a board: who may play, what is sent, what comes back. What it means stands
in `firmware/components/bench_microphone/bench_microphone.h`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from wakeword.errors import BoardRefused, InfrastructureError

MAGIC, VERSION = b"MWWB", 5
HELLO = struct.Struct("<4sBB2x16s")
VERDICT = struct.Struct("<B32sq")
HEADER = struct.Struct("<BBH")
START = struct.Struct("<I")
WELCOME, BUSY, WRONG_KEY = 0, 1, 2
START_MESSAGE, AUDIO, FLUSH, PING, RESTART, LISTEN, DELIVER, MODEL = range(1, 9)
PROGRESS, PROBABILITIES, HEARD, DELIVERED = 1, 2, 3, 4
LARGEST_MESSAGE = 4096
"""Bytes of sound in a message."""
PACE_UNITS = 1000
_NONCE_BYTES, _MAC_BYTES = 16, 16
_LENGTH = struct.Struct("<H")
_KIND = struct.Struct("<BB")
_PROGRESS = struct.Struct("<qqIIqq")
_TRACE = struct.Struct("<I")
_DELIVERY = struct.Struct("<IIHBx")
_DELIVERED = struct.Struct("<?B")
_HEARD = struct.Struct("<qqIII")


class MicrophoneBusy(InfrastructureError):
    """Somebody else plays to this board, or a connection that broke is not forgotten yet."""


class MicrophoneSilent(InfrastructureError):
    """Nothing came back in time: the board starts, has no power, or is off the network."""


@dataclass(frozen=True)
class MicrophoneAddress:
    """Where a board's microphone listens. The key shows in no text."""

    host: str
    port: int
    key: str = field(repr=False)
    name: str

    @property
    def where(self) -> str:
        """For messages."""
        return f"microphone of {self.name} at {self.host}:{self.port}"


@dataclass(frozen=True)
class Progress:
    """How far the board is, in samples of the stream. Faults are counted since the stream began."""

    handed_over: int = 0
    decided: int = 0
    underruns: int = 0
    refused: int = 0
    """Samples that micro_wake_word's ring buffer had no room for, or that were thrown away for that."""
    underrun_at: int = -1
    refused_at: int = -1


@dataclass(frozen=True)
class Trace:
    """Probabilities of a model that follow one another."""

    model: int
    first: int
    """Number of the first inference since the stream began."""
    values: bytes


@dataclass(frozen=True)
class EarBlock:
    """What the board's own microphone gave."""

    first: int
    """Position in the stream of the first of these samples."""
    came: int
    """Samples that the microphone gave since the stream began, in all."""
    came_at_ms: int
    """The board's clock (32 bits) when it gave the last of them."""
    lost: int
    """Of them, because this side did not fetch what the board told: a network that is too slow, or pauses."""
    slow: int
    """Of them, because detection was too slow."""
    samples: bytes
    """16 kHz mono int16, little-endian."""


@dataclass(frozen=True)
class Delivered:
    """Whether a model that was delivered is there, enabled, and the only one that is."""

    there: bool
    number: int
    """Of its probabilities, see `Trace.model`; 0 where it is not there."""


MOST_ARENA = 1 << 20
"""Bytes of tensor arena that a board takes for a model that is delivered (`bench_microphone.cpp`)."""


@dataclass(frozen=True)
class ModelDelivery:
    """A model for a board that loads it without being flashed; gone when the board starts anew."""

    model_id: str
    wake_word: str
    content: bytes = field(repr=False)
    sha256: str
    cutoff: int
    """0-255."""
    window: int
    arena: int


class SignedLink:
    """A connection that both sides have shown the key on. Made by `connect`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        session: bytes,
        answers: bytes,
        ever_played: int,
    ) -> None:
        """`session` signs what is sent, `answers` encrypts what is received: keys of 32 bytes."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._reader, self._writer, self._session = reader, writer, session
        self._cipher = ChaCha20Poly1305(answers)
        self._sent = self._received = 0
        self.ever_played = ever_played
        """0: the board's state is that after boot; else samples that it was played since, and models delivered."""

    def send(self, kind: int, content: bytes = b"") -> None:
        """Put a signed message on its way."""
        message = HEADER.pack(kind, 0, len(content)) + content
        self._writer.write(message + signature(self._session, self._sent, message))
        self._sent += 1

    def send_audio(self, samples: bytes) -> None:
        """Put samples on their way, in as many messages as they need."""
        for start in range(0, len(samples), LARGEST_MESSAGE):
            self.send(AUDIO, samples[start : start + LARGEST_MESSAGE])

    def send_model(self, model: ModelDelivery) -> None:
        """Put a model on its way."""
        head = _DELIVERY.pack(len(model.content), model.arena, model.window, model.cutoff)
        self.send(DELIVER, head + model.model_id.encode() + b"\0" + model.wake_word.encode())
        for start in range(0, len(model.content), LARGEST_MESSAGE):
            self.send(MODEL, model.content[start : start + LARGEST_MESSAGE])

    async def drained(self) -> None:
        """Return when the system has taken what was sent, but for a little. Raises `OSError`."""
        await self._writer.drain()

    async def receive(self) -> Progress | Trace | EarBlock | Delivered | None:
        """The board's next message; None for one that this version does not know. Raises `OSError` or
        `IncompleteReadError` at the end, `OSError` also for what is no message, or not the board's.
        """
        from cryptography.exceptions import InvalidTag

        (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
        sealed = await self._reader.readexactly(length)
        try:
            told = self._cipher.decrypt(struct.pack("<4xQ", self._received), sealed, None)
        except InvalidTag as error:
            raise ConnectionAbortedError("a message that is not the board's") from error
        self._received += 1
        content = told[_KIND.size :]
        try:
            kind, model = _KIND.unpack_from(told)
            if kind == PROGRESS:
                return Progress(*_PROGRESS.unpack(content))
            if kind == PROBABILITIES:
                (first,) = _TRACE.unpack_from(content)
                return Trace(model, first, content[_TRACE.size :])
            if kind == DELIVERED:
                return Delivered(*_DELIVERED.unpack(content))
            if kind == HEARD:
                position, came, came_at, lost, slow = _HEARD.unpack_from(content)
                return EarBlock(position, came, came_at, lost, slow, content[_HEARD.size :])
        except struct.error as error:
            raise ConnectionAbortedError(f"a message of {len(told)} bytes that is not whole") from error
        return None

    async def close(self) -> None:
        """Hang up. Never raises because the board is gone."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def signature(session: bytes, number: int, message: bytes) -> bytes:
    """What proves message `number` of a session."""
    return hmac.digest(session, struct.pack("<Q", number) + message, hashlib.sha256)[:_MAC_BYTES]


def proofs(key: str, board: bytes, client: bytes) -> Iterator[bytes]:
    """What the client and the board prove the key with, and the keys of the session and of the board's answers, from
    the random bytes of both.
    """
    raw = base64.b64decode(key)
    for text in (b"mww-bench client", b"mww-bench board", b"mww-bench session", b"mww-bench answers"):
        yield hmac.digest(raw, text + board + client, hashlib.sha256)


async def connect(address: MicrophoneAddress, timeout: float) -> SignedLink:
    """Connect and prove the key to one another.

    Raises `MicrophoneBusy`, `BoardRefused` for a wrong key or a board that does not know it, `OSError` where nothing
    listens, `MicrophoneSilent` for what says nothing for `timeout` seconds, and `InfrastructureError` for what is no
    such microphone.
    """
    writer: asyncio.StreamWriter | None = None
    done = False
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            link = await _greeted(address, reader, writer)
            done = True
            return link
    except TimeoutError:
        raise MicrophoneSilent(
            f"{address.where}: no answer within {timeout:g} s; check power and network of the board"
        ) from None
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError(str(error)) from error
    finally:
        if writer is not None and not done:
            writer.close()


async def _greeted(
    address: MicrophoneAddress, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> SignedLink:
    magic, version, status, nonce = HELLO.unpack(await reader.readexactly(HELLO.size))
    if (magic, version) != (MAGIC, VERSION):
        raise InfrastructureError(
            f"{address.where}: is no microphone of this version; build and flash its firmware again"
        )
    if status == BUSY:
        raise MicrophoneBusy(f"{address.where}: somebody else plays to it; wait until that has ended")
    own = secrets.token_bytes(_NONCE_BYTES)
    ours, theirs, session, answers = proofs(address.key, nonce, own)
    writer.write(own + ours)
    verdict, proof, ever = VERDICT.unpack(await reader.readexactly(VERDICT.size))
    if verdict == WRONG_KEY:
        raise BoardRefused(
            f"{address.where}: refuses the key; give the API key that this board was built with (MWW_API_KEY)"
        )
    if verdict != WELCOME or not hmac.compare_digest(proof, theirs):
        raise BoardRefused(f"{address.where}: does not know the key: another board; correct boards.yaml")
    return SignedLink(reader, writer, session, answers, ever)
