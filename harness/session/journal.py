"""The raw events of a session, written and read: which legs were played, how far, and where a resumed session goes on.

Lines of kind `leg` {leg, part, first_item, boot_id} begin a stream, of kind `play` {event: "item", leg, item} come
before the first sample of an item is played, {event: "end", leg, complete, reason, board_lost, heard} close a leg, and
{event: "finished"} a session. What the board says is written by the collector. Of sound through the air there are lines
of kind `sound`, see `harness.session.sound`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.collect.raw import RawEvent, RawLog

RAW_FILE = "raw.jsonl"
KILLED = "the session was ended while it played"

Part = Literal["check", "measure"]


class SessionLog(RawLog):
    """A raw log that also tells what has just been written into it: connections, and detections of the wake word."""

    def __init__(self, path: Path, wake_word: str, *, position: Callable[[], int]) -> None:
        super().__init__(path, position=position)
        self._wake_word = wake_word
        self.connections = 0
        """How often the board has been connected: a connection lost and made again between two looks shows here
        alone."""
        self.detections = 0

    def write(self, kind: str, *, position: int | None = None, **values: Any) -> None:
        """See `RawLog.write`."""
        super().write(kind, position=position, **values)
        if kind == "connected":
            self.connections += 1
        elif kind == "detection" and values.get("data", {}).get("wake_word") == self._wake_word:
            self.detections += 1


@dataclass(frozen=True)
class PlayedLeg:
    """A stream as far as it was played."""

    number: int
    part: Part
    first_item: int
    boot_id: str
    events: tuple[RawEvent, ...]
    """From its marker to its end, led by the connection that it began on and what the board had counted then: what
    `reconcile` is to look at."""
    last_item: int
    """The last item that began, or `first_item - 1`."""
    ended: bool
    """False when the harness was killed, so that no end was written."""
    complete: bool
    reason: str
    """Why it is not complete."""
    board_lost: bool
    """The board went away or restarted: whether its new start is told before the leg ends is chance."""
    heard: int
    """Samples that were sent to the board, or at least heard by it where its end is not known."""

    @property
    def wall_seconds(self) -> float:
        """From its marker to its last event."""
        return max(self.events[-1].t - self._marker.t, 0.0)

    @property
    def _marker(self) -> RawEvent:
        return next(event for event in self.events if event.kind == "leg")


def played_legs(events: Sequence[RawEvent]) -> list[PlayedLeg]:
    """All legs of a session, health checks among them, in order."""
    legs = []
    connected: RawEvent | None = None
    counted: RawEvent | None = None
    for index, event in enumerate(events):
        match event.kind:
            case "connected":
                connected, counted = event, None
            case "clock" | "identity":
                counted = event
            case "leg":
                own = tuple(_until_end(events, index))
                legs.append(_leg((*(one for one in (connected, counted) if one is not None), *own), own))
            case _:
                pass
    return legs


def is_finished(events: Sequence[RawEvent]) -> bool:
    """Whether everything was played that the plan asks for."""
    return any(event.kind == "play" and event.values.get("event") == "finished" for event in events)


def next_item(legs: Sequence[PlayedLeg]) -> int:
    """The first item that was never begun: where a resumed session goes on."""
    return max((leg.last_item + 1 for leg in legs if leg.part == "measure"), default=0)


def next_leg(legs: Sequence[PlayedLeg]) -> int:
    """A number that no leg has."""
    return max((leg.number + 1 for leg in legs), default=0)


def close_killed_leg(log: RawLog, legs: Sequence[PlayedLeg]) -> None:
    """Write the end that a killed session could not write, before anything else is written."""
    if legs and not legs[-1].ended:
        leg = legs[-1]
        log.write(
            "play",
            position=leg.events[-1].position,
            event="end",
            leg=leg.number,
            complete=False,
            reason=KILLED,
            board_lost=False,
            heard=leg.heard,
        )


def _until_end(events: Sequence[RawEvent], begin: int) -> Iterator[RawEvent]:
    for index in range(begin, len(events)):
        event = events[index]
        if index > begin and event.kind == "leg":
            return
        yield event
        if event.kind == "play" and event.values.get("event") == "end":
            return


def _leg(events: tuple[RawEvent, ...], own: tuple[RawEvent, ...]) -> PlayedLeg:
    marker = own[0].values
    items = [int(event.values["item"]) for event in own if event.kind == "play" and event.values.get("event") == "item"]
    end = own[-1].values if own[-1].kind == "play" and own[-1].values.get("event") == "end" else None
    return PlayedLeg(
        number=int(marker["leg"]),
        part="check" if marker["part"] == "check" else "measure",
        first_item=int(marker["first_item"]),
        boot_id=str(marker["boot_id"]),
        events=events,
        last_item=max(items, default=int(marker["first_item"]) - 1),
        ended=end is not None,
        complete=end is not None and bool(end["complete"]),
        reason=KILLED if end is None else str(end["reason"]),
        board_lost=end is not None and bool(end.get("board_lost")),
        heard=max(event.position for event in own) if end is None else int(end["heard"]),
    )


def trace_path(folder: Path, number: int) -> Path:
    """Where the probabilities of a leg are kept: one uint8 an inference."""
    return folder / f"leg-{number:03d}.u8"


def sound_path(folder: Path, number: int) -> Path:
    """Where the sound is kept that a microphone heard of a leg: 16 kHz mono int16."""
    return folder / f"leg-{number:03d}.wav"
