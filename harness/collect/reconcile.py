"""From raw events to detections, void intervals and counters of integrity. Pure: the same events give the same figures.

What is certain rests on the board's own order. It counts its detections (`seq`), and answers a clock probe with the
count; TCP keeps the order of all that it says. A detection is decided in another task of the board and told by the next
iteration of its main loop, so all detections decided before a first probe was answered are told before a second one,
sent after that answer, is answered. The position when the first of such a pair was sent is therefore the last certain
one: nothing before it can still be missing. Whatever goes wrong is void from a margin before there (or from the last
detection that arrived, if that is later) to a margin after the first certain position that follows.

The player's position must follow the decisions: when it stands still over two probes, all audio up to it is decided
(`Player.drain`). What breaks after that loses nothing if nothing more is heard in the leg: the board may be stopped or
restarted between two legs. Write the marker of the next leg when the board is connected and running again, else its
first moments are void.

A leg is one stream from a fresh start of detection; positions count from 0 in each. Events before the first leg marker
are of leg -1; a log without markers is leg 0. A leg's end that no pair of probes has confirmed is void too:
`Collector.flush` before it ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from firmware.answers import Stamp, parse_detection, parse_stamp
from harness.collect.collected import Collected, CollectedDetection, CollectedLeg, CollectedVoid, Integrity
from harness.collect.raw import RawEvent
from harness.collect.witnesses import (
    RUNNING_STATE,
    ArenaProbed,
    AudioLost,
    BlockedByVad,
    Detected,
    EventDropped,
    InferenceFailed,
    StateChanged,
    parse_fact,
)
from wakeword.contract import SAMPLE_RATE_HZ, STEP_SAMPLES

SETTLE_SECONDS = 2.0
"""After audio was lost the model must forget it: more than the receptive field of every official model (48-66
invocations of 30 ms)."""
RING_MARGIN_SECONDS = 0.5
"""Between microphone and detection lie a ring buffer of 0.12 s and one iteration of the main loop; the player's
position may lag a chunk behind."""


def reconcile(
    events: Sequence[RawEvent], *, settle_seconds: float = SETTLE_SECONDS, margin_seconds: float = RING_MARGIN_SECONDS
) -> Collected:
    """Reconcile both witnesses; see the module's words for what is void. Never raises on what a board says: damage is
    counted and void.

    `margin_seconds` must be more audio than the board can be ahead of the player's position (its backlog and one
    chunk), or than its inference can be behind it; `settle_seconds` more than the model remembers.
    """
    state = _State(events, round(settle_seconds * SAMPLE_RATE_HZ), round(margin_seconds * SAMPLE_RATE_HZ))
    for event in events:
        state.take(event)
    state.end_leg()
    return Collected(
        tuple(state.detections), tuple(_merge(state.voids)), tuple(state.legs), state.count, tuple(state.arena)
    )


@dataclass
class _LegState:
    index: int
    last: int = 0
    certain: int = 0
    answered: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=64))
    """(time of the answer, position when sent) of the probes on this connection."""
    began: float = float("-inf")
    boot_id: str | None = None
    last_sample: int = -1
    trusted: bool = True
    open: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """Reason -> start of voids that go on, and the last position if all before was confirmed."""
    after_confirmed: list[tuple[CollectedVoid, int]] = field(default_factory=list)
    known: bool = False

    def since(self, margin: int) -> int:
        """Return the position before which nothing can be missing; detections follow the player's position by up to
        `margin`.
        """
        return max(self.certain - margin, self.last_sample, 0)


_COUNTERS = {"api gap": "api_gaps", "reboot": "reboots", "stopped": "stops"}


class _State:
    def __init__(self, events: Sequence[RawEvent], settle: int, margin: int) -> None:
        self.settle, self.margin = settle, margin
        self.detections: list[CollectedDetection] = []
        self.voids: list[CollectedVoid] = []
        self.legs: list[CollectedLeg] = []
        self.arena: list[int] = []
        self.count = Integrity()
        self._leg = _LegState(-1 if any(event.kind == "leg" for event in events) else 0)
        self._connected = not any(event.kind == "connected" for event in events)
        self._ever_connected = False
        self._boot_id: str | None = None
        self._former_boots: set[str] = set()
        self._seq = 0
        self._seen: set[tuple[str, int]] = set()
        self._lines: dict[str, tuple[Detected, int, int]] = {}
        # Log lines whose event has not come yet, with what was certain then and the position.
        if not self._connected:
            self._leg.open["not connected"] = (0, 0)

    def take(self, event: RawEvent) -> None:
        if event.kind == "leg":
            self._begin_leg(event)
            return
        self._leg.known = True
        self._leg.last = max(self._leg.last, event.position)
        match event.kind:
            case "detection":
                self._detection(event)
            case "clock" | "identity":
                self._answer(event)
            case "log":
                self._log(event)
            case "connected":
                self._connect(event)
            case "disconnected":
                self._disconnect()
            case "entity":
                self.count.entity_events += event.values.get("event_type") is not None
            case _:
                pass

    # Legs

    def _begin_leg(self, event: RawEvent) -> None:
        ongoing = set(self._leg.open)
        index = event.values.get("leg")
        following = index if isinstance(index, int) else self._leg.index + 1
        self.end_leg()
        self._leg = _LegState(following, began=event.t, open=dict.fromkeys(ongoing, (0, 0)), known=True)

    def end_leg(self) -> None:
        leg = self._leg
        self._orphan_lines()
        for reason in list(leg.open):
            self._close(reason, None)
        if leg.certain < leg.last:
            self.voids.append(CollectedVoid(leg.index, self._since, None, "end not confirmed"))
        self.voids = [void for void in self.voids if void.leg != leg.index or void.start < leg.last]
        # After nearly every leg detection is stopped: what happened after all was confirmed, and with no audio since,
        # voids nothing.
        for void, heard in leg.after_confirmed:
            if heard < leg.last:
                self._keep(void)
        if leg.index >= 0 and leg.known:
            self.legs.append(CollectedLeg(leg.index, leg.last, min(leg.certain, leg.last), leg.boot_id))

    # Void intervals

    @property
    def _since(self) -> int:
        return self._leg.since(self.margin)

    def _void(self, start: int, end: int, reason: str) -> None:
        self.voids.append(CollectedVoid(self._leg.index, max(0, min(start, end)), end, reason))

    def _void_since_certain(self, event: RawEvent, reason: str, *, settle: bool = False) -> None:
        self._void(self._since, event.position + self.margin + (self.settle if settle else 0), reason)

    def _open(self, reason: str) -> None:
        leg = self._leg
        leg.open.setdefault(reason, (self._since, leg.last if leg.certain >= leg.last else None))

    def _close(self, reason: str, event: RawEvent | None, *, settle: bool = False) -> None:
        """End a void that goes on; without an event, with the leg."""
        if reason not in self._leg.open:
            return
        start, heard = self._leg.open.pop(reason)
        end = None if event is None else event.position + self.margin + (self.settle if settle else 0)
        void = CollectedVoid(self._leg.index, start if end is None else min(start, end), end, reason)
        if heard is None:
            self._keep(void)
        else:
            self._leg.after_confirmed.append((void, heard))

    def _keep(self, void: CollectedVoid) -> None:
        self.voids.append(void)
        counter = _COUNTERS.get(void.reason)
        if counter is not None:
            setattr(self.count, counter, getattr(self.count, counter) + 1)

    # Connection

    def _connect(self, event: RawEvent) -> None:
        if self._connected and self._ever_connected:  # the harness was killed: nobody was there to write that it left
            self._disconnect()
        self._connected = self._ever_connected = True
        for reason in ("api gap", "not connected"):
            self._close(reason, event)
        self._close("reboot", event, settle=True)

    def _disconnect(self) -> None:
        self._orphan_lines()
        self._leg.answered.clear()
        if self._connected:
            self._open("api gap")
        self._connected = False

    # What the board tells

    def _answer(self, event: RawEvent) -> None:
        self._orphan_lines()
        stamp = _stamp(event.values)
        if stamp is None:
            self.count.malformed += 1
            return
        if self._boot(stamp, event, told=stamp.seq) and stamp.seq > self._seq:
            self._gap(stamp.seq - self._seq, self._since, event.position + self.margin)
            self._seq = stamp.seq
        sent, sent_position = event.values.get("sent"), event.values.get("sent_position")
        leg = self._leg
        if not isinstance(sent, int | float) or not isinstance(sent_position, int) or sent < leg.began:
            return  # the answer to another harness, or to a question of the leg before
        certain = [position for answered, position in leg.answered if answered <= sent]
        leg.certain = max(leg.certain, *certain, 0)
        leg.answered.append((event.t, sent_position))

    def _detection(self, event: RawEvent) -> None:
        try:
            answer = parse_detection(_data(event.values))
        except (KeyError, ValueError):
            self.count.malformed += 1
            self._void_since_certain(event, "damaged event")
            return
        stamp, leg = answer.stamp, self._leg
        if (stamp.boot_id, stamp.seq) in self._seen:
            self.count.duplicates += 1
            return
        self._seen.add((stamp.boot_id, stamp.seq))
        since = leg.since(self.margin)
        current = self._boot(stamp, event, told=stamp.seq - 1)
        position = self._place(answer.sample, event, current=current)
        if not current or stamp.seq <= self._seq:
            self.count.late += 1
        else:
            if stamp.seq > self._seq + 1:
                # In the same slice a second model may have been lost: the interval holds that slice too.
                end = event.position + self.margin if position is None else position + STEP_SAMPLES
                self._gap(stamp.seq - self._seq - 1, since, end)
            self._seq = stamp.seq
            self._runs(event)
        line, _, _ = self._lines.pop(answer.wake_word, (None, 0, 0))
        if line is None:
            self.count.events_without_log += 1
        self.count.detections += 1
        average, maximum = (None, None) if line is None else (line.average, line.maximum)
        self.detections.append(
            CollectedDetection(leg.index, position, event.position, event.t, stamp, answer.wake_word, average, maximum)
        )

    def _runs(self, event: RawEvent) -> None:
        for reason in ("stopped", "inference error"):
            self._close(reason, event, settle=True)

    def _place(self, sample: int | None, event: RawEvent, *, current: bool) -> int | None:
        leg = self._leg
        if sample is None:
            return None
        if current and leg.trusted and sample < leg.last_sample:
            leg.trusted = False  # the stream began again, and nobody said so
            self._void_since_certain(event, "stream restarted", settle=True)
        if not current or not leg.trusted:
            self.count.misplaced += 1
            return None
        leg.last_sample = sample
        leg.last = max(leg.last, sample)
        return sample

    def _boot(self, stamp: Stamp, event: RawEvent, *, told: int) -> bool:
        """Follow the board's starts; False for a word from before its last start. `told`: the detections that it had
        told before.
        """
        leg = self._leg
        if stamp.boot_id in self._former_boots:
            return False
        if stamp.boot_id != self._boot_id:
            if self._boot_id is not None:
                self._former_boots.add(self._boot_id)
            if leg.boot_id is not None:
                self._orphan_lines()
                leg.trusted = False
                self._open("reboot")
                if self._connected:
                    self._close("reboot", event, settle=True)
            self._boot_id, self._seq = stamp.boot_id, told
        leg.boot_id = leg.boot_id or stamp.boot_id
        return True

    def _gap(self, missing: int, start: int, end: int) -> None:
        self.count.lost += missing
        self.count.seq_gaps += 1
        self._void(start, end, "lost detection")

    def _log(self, event: RawEvent) -> None:
        match parse_fact(str(event.values.get("message", ""))):
            case Detected() as line:
                if line.wake_word in self._lines:
                    self._orphan_lines(only=line.wake_word)
                self._lines[line.wake_word] = (line, self._since, event.position)
            case BlockedByVad():
                self.count.vad_blocked += 1
            case ArenaProbed(size):
                self.arena.append(size)
            case AudioLost(reason):
                self.count.audio_lost += 1
                self._void(
                    min(self._since, event.position - self.margin), event.position + self.margin + self.settle, reason
                )
            case EventDropped():
                self.count.events_dropped += 1
                self._void_since_certain(event, "event dropped by the board")
            case InferenceFailed():
                self.count.inference_errors += 1
                self._open("inference error")
            case StateChanged(_, after) if after == RUNNING_STATE:
                self._runs(event)
            case StateChanged():
                self._open("stopped")
            case _:
                pass

    def _orphan_lines(self, only: str | None = None) -> None:
        """Give up on events whose log line came: the board says the line first and the event directly after it."""
        for wake_word in [only] if only is not None else list(self._lines):
            _, since, position = self._lines.pop(wake_word)
            self.count.logs_without_event += 1
            self._void(since, position + self.margin, "lost event")


def _data(values: Mapping[str, Any]) -> Mapping[str, str]:
    data = values.get("data")
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise ValueError("no data of an event")
    return data


def _stamp(values: Mapping[str, Any]) -> Stamp | None:
    try:
        return parse_stamp(_data(values))
    except (KeyError, ValueError):
        return None


def _merge(voids: Sequence[CollectedVoid]) -> list[CollectedVoid]:
    merged: list[CollectedVoid] = []
    for void in sorted(voids, key=lambda void: (void.leg, void.start, void.reason)):
        last = merged[-1] if merged and merged[-1].leg == void.leg else None
        if last is None or (last.end is not None and last.end < void.start):
            merged.append(void)
            continue
        end = None if last.end is None or void.end is None else max(last.end, void.end)
        reasons = dict.fromkeys([*last.reason.split(", "), void.reason])
        merged[-1] = replace(last, end=end, reason=", ".join(reasons))
    return merged
