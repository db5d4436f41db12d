"""Questions to a board: which answer belongs to which, and when both were sent."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from firmware.answers import ClockSample, parse_stamp
from wakeword.errors import InfrastructureError, MwwError

_INT32 = 1 << 31


class ConnectionLostError(InfrastructureError):
    """The connection went away between a question and its answer."""


type Answer = tuple[ClockSample, Mapping[str, str]]
"""The board's clock at the answer, and all that the board said."""


@dataclass(frozen=True)
class Question:
    """One that was asked. Made while an event loop runs."""

    probe: int
    """The board gives it back with the answer."""
    sent: float
    """When, seconds of `time.monotonic`."""
    sent_position: int
    """Samples of the stream that the board had certainly heard then."""
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, data: Mapping[str, str], received: float) -> None:
        """Give it its answer. One that cannot be read is none: the question runs into its time-out."""
        try:
            stamp = parse_stamp(data)
        except (KeyError, ValueError):
            return
        self.answer.set_result((ClockSample(self.probe, stamp, self.sent, received, self.sent_position), data))


class Questions:
    """All that wait for an answer of one board."""

    def __init__(self) -> None:
        # Answers go to every harness on the board: a random start keeps the questions of two apart.
        self._probe = secrets.randbelow(_INT32 // 2)
        self._waiting: dict[int, Question] = {}

    @contextmanager
    def asked(self, position: int) -> Iterator[Question]:
        """A new question, at a position of what is played; it waits for its answer within the block."""
        self._probe = (self._probe + 1) % _INT32
        question = self._waiting[self._probe] = Question(self._probe, time.monotonic(), position)
        try:
            yield question
        finally:
            self._waiting.pop(question.probe, None)
            question.answer.cancel()

    def answered_by(self, data: Mapping[str, str]) -> Question | None:
        """The question that an answer belongs to; None where another harness had asked, or nobody waits any more."""
        probe = int(data["probe"]) if data.get("probe", "").isdecimal() else -1
        question = self._waiting.get(probe)
        return None if question is None or question.answer.done() else question

    def abandon(self, error: MwwError) -> None:
        """No answer will come: everybody who waits gets this error."""
        for question in self._waiting.values():
            if not question.answer.done():
                question.answer.set_exception(error)
                question.answer.exception()  # seen: nobody may be waiting any more
