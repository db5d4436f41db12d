"""The judge as a wake word service of the Wyoming protocol, the one that Home Assistant speaks with voice services.

A client sends `detect` (which may name the model), `audio-start`, `audio-chunk`s of 16 kHz mono int16, and
`audio-stop`. It gets `detection` as soon as the judge says yes, or `not-detected` after `audio-stop`. `describe` is
answered with `info`. What is refused is told by `error` with a code, and ends the connection. Events that a wake word
service does not know are dropped, as the protocol asks.

Events are those of the package `wyoming`, and are read by its own reader, through `BoundedReader`: that reader takes
any length that a client states.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import cast

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_read_event, async_write_event
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.wake import Detect, Detection, NotDetected

from judge.asking import ClipQuestion, ListenerPool, TooLong
from judge.deciding import Judge, JudgeAnswer
from judge.limits import DRAIN_SECONDS, LONGEST_HEADER_BYTES, ClientConnection, Connections, drain
from wakeword.contract import SAMPLE_RATE_HZ

NAME = "mww-judge"
_ATTRIBUTION = Attribution("wakeword-bench", "")
_FORMAT = (SAMPLE_RATE_HZ, 2, 1)
_MALFORMED = (AttributeError, KeyError, RecursionError, TypeError, UnicodeError, ValueError)
"""What the package raises for an event of a wrong form."""


class Refusal(Exception):
    """Why a client gets no answer, in words and as a code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class BoundedReader:
    """A stream that gives no more bytes at once than it is told: `async_read_event` asks for as many as a client
    says.
    """

    def __init__(self, reader: asyncio.StreamReader, most_bytes: int) -> None:
        self._reader, self._most = reader, most_bytes

    async def readline(self) -> bytes:
        """A line; the stream itself bounds its length."""
        try:
            return await self._reader.readline()
        except ValueError as error:
            raise Refusal("malformed", "a line of an event is too long") from error

    async def readexactly(self, count: int) -> bytes:
        """So many bytes."""
        if count > self._most:
            raise Refusal("too-long", "an event is larger than the longest sound")
        return await self._reader.readexactly(count)


def describe(judge: Judge) -> Info:
    """What a client is told of the judge: a wake word service with one model."""
    model = WakeModel(
        name=model_name(judge),
        attribution=_ATTRIBUTION,
        installed=True,
        description=f"{judge.wake_word} (a judge of clips)",
        version=version("wakeword-bench"),
        languages=[],
        phrase=judge.wake_word,
    )
    program = WakeProgram(
        name=NAME,
        attribution=_ATTRIBUTION,
        installed=True,
        description="Says yes or no to the sound around a wake word",
        version=version("wakeword-bench"),
        models=[model],
    )
    return Info(wake=[program])


def model_name(judge: Judge) -> str:
    """What `detect` and `detection` call it."""
    return "_".join(judge.wake_word.casefold().split())


@dataclass(eq=False)
class WyomingService:
    """Serves Wyoming clients."""

    pool: ListenerPool
    connections: Connections
    told: Callable[[str], None]
    info: Info = field(init=False)
    """Made once: the version is read from the disk."""

    def __post_init__(self) -> None:
        self.info = describe(self.pool.judge)

    async def serve(self, client: ClientConnection) -> None:
        """One connection, question by question, until the client leaves, is refused or takes too long."""
        limit = asyncio.timeout(self.connections.limits.idle_seconds)
        conversation = _Conversation(self, client, limit)
        try:
            async with limit:
                while await conversation.go_on():
                    if self.connections.stopping and not client.busy:
                        return
                    await asyncio.sleep(0)  # what came already is read without a wait: others have their turn here
        except Refusal as refusal:
            await self._tell(client, refusal)
        except TimeoutError:
            await self._tell(client, conversation.too_late())

    async def refuse(self, client: ClientConnection) -> None:
        """Where there are too many."""
        await send(client, Error("too many clients at once; ask again later", "busy"))

    async def _tell(self, client: ClientConnection, refusal: Refusal) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await send(client, Error(str(refusal), refusal.code))
        except TimeoutError:  # it does not read
            client.writer.transport.abort()
        self.told(f"Wyoming, {client.who}: refused, {refusal}")
        if not client.writer.is_closing():
            await drain(client)


@dataclass(eq=False)
class _Conversation:
    """One client's events in order."""

    service: WyomingService
    client: ClientConnection
    limit: asyncio.Timeout
    """For the answer where a question has begun, else for the next one to begin. No other event moves it."""
    reader: BoundedReader = field(init=False)
    question: ClipQuestion | None = None
    answered: bool = False
    """After a `detection`: what follows of its clip is dropped, up to `audio-stop`."""
    timestamp: int | None = None

    def __post_init__(self) -> None:
        most = max(self.service.pool.limits.longest_bytes, LONGEST_HEADER_BYTES)
        self.reader = BoundedReader(self.client.reader, most)

    async def go_on(self) -> bool:
        """Take the next event. Returns whether there was one; raises `Refusal`."""
        event = await self._read()
        if event is None:
            return False
        try:
            await self._answer(event)
        except _MALFORMED as error:
            raise Refusal("malformed", f"{event.type}: not of the protocol's form") from error
        except TooLong as error:
            longest = self.service.pool.limits.longest_seconds
            raise Refusal("too-long", f"more than {longest:g} s of sound") from error
        return True

    def too_late(self) -> Refusal:
        """What is said where the limit has passed."""
        limits = self.service.connections.limits
        if self.client.busy:
            return Refusal("time-out", f"no answer in {limits.request_seconds:g} s")
        return Refusal("time-out", f"no question in {limits.idle_seconds:g} s")

    async def _read(self) -> Event | None:
        try:
            event = await async_read_event(cast(asyncio.StreamReader, self.reader))  # it asks for these methods alone
        except _MALFORMED as error:
            raise Refusal("malformed", "no event of the protocol") from error
        # The package gives None for what is no JSON, as it does at the end of the stream.
        if event is None and not self.client.reader.at_eof():
            raise Refusal("malformed", "no event of the protocol")
        return event

    async def _answer(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await send(self.client, self.service.info)
        elif Detect.is_type(event.type):
            self._check_names(Detect.from_event(event).names)
        elif AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            _check_format(start.rate, start.width, start.channels)
            self._begin()
        elif AudioChunk.is_type(event.type):
            await self._take(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type):
            await self._stop()

    def _check_names(self, names: list[str] | None) -> None:
        own = model_name(self.service.pool.judge)
        if names and own not in names:
            raise Refusal("unknown-model", f"this judge knows {own} alone")

    def _begin(self) -> None:
        self.question, self.answered, self.client.busy = self.service.pool.question(), False, True
        self._allow(self.service.connections.limits.request_seconds)

    def _end(self) -> None:
        self.question, self.client.busy = None, False
        self._allow(self.service.connections.limits.idle_seconds)

    def _allow(self, seconds: float) -> None:
        self.limit.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _take(self, chunk: AudioChunk) -> None:
        _check_format(chunk.rate, chunk.width, chunk.channels)
        if self.answered:
            return
        if self.question is None:
            self._begin()
        assert self.question is not None
        self.timestamp = chunk.timestamp
        answer = await self.question.hear(chunk.audio)
        if answer is None or not answer.yes:
            return
        await self._say(await self.question.finish())
        self.answered = True
        self._end()

    async def _stop(self) -> None:
        if self.answered:
            self.answered = False
        elif self.question is None:
            await send(self.client, NotDetected())
        else:
            await self._say(await self.question.finish())
            self._end()

    async def _say(self, answer: JudgeAnswer) -> None:
        name = model_name(self.service.pool.judge)
        await send(self.client, Detection(name=name, timestamp=self.timestamp) if answer.yes else NotDetected())
        self.service.told(f"Wyoming, {self.client.who}: {'yes' if answer.yes else 'no'}, {answer.score:.3f}")


def _check_format(*given: int) -> None:
    if given != _FORMAT:
        raise Refusal("format", "a judge hears 16000 Hz, 2 bytes a sample, 1 channel")


async def send(client: ClientConnection, event: Eventable) -> None:
    """Write an event."""
    await async_write_event(event.event(), client.writer)
