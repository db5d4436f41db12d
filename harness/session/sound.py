"""The sound of a leg through the air: where it is in what a microphone heard, what went wrong with it, and which
stretches are void for that.

Raw events of kind `sound` (values beside `leg`): {event: "fault", side: "speaker" | "microphone", what, at, samples},
what the audio system or the player said of its own (`at` in samples of what was played, or heard); {event: "moment",
heard_at, at}, when a played sample left the loudspeaker (`time.monotonic` seconds); {event: "end", ...}, devices and
true peak.

A virtual board's stream is the recording itself, so a leg is placed in it: positions of everything that follows are the
recording's. A real board's stream is what was played.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench_audio.markers import MARKER_SAMPLES, Alignment
from bench_audio.playback.capture import read_kept
from bench_audio.playback.channel import Channel
from bench_audio.playback.integrity import Examined, examine
from bench_audio.playback.tracking import Pause
from firmware.boards.registry import kind_of
from harness.collect.reconcile import SETTLE_SECONDS
from harness.results.device_records import AcousticsRecord
from harness.session.audio import leg_audio
from harness.session.journal import PlayedLeg, sound_path
from harness.session.paired import VoidSpan
from harness.session.plan import SessionPlan
from harness.session.schedule import PlacedItem, PlacedSection, PlannedLeg
from wakeword.audio import BLOCK_SAMPLES
from wakeword.contract import SAMPLE_RATE_HZ

SETTLE = round(SETTLE_SECONDS * SAMPLE_RATE_HZ)
"""A model must forget what it should not have heard."""
REASONS_NAMED = 3
"""Of one void stretch; on a machine that is far too busy there may be a hundred."""
FLAG_MARGIN = SAMPLE_RATE_HZ // 2
"""An audio system says that something was lost, but not where: about the block that it was about to play or to give."""

_TOLD = {
    "starved": "the player had nothing to play",
    "underflow": "the audio system says that the loudspeaker was late",
    "clipped": "played beyond full scale",
    "overflow": "the audio system says that the microphone was late",
    "overdriven": "the microphone was overdriven",
}


@dataclass(frozen=True, eq=False)
class LegSound:
    """A leg that was played through the air."""

    leg: PlannedLeg
    """In the board's stream: placed in the recording for a virtual board, as it was played for a real one."""
    recording: NDArray[np.int16] | None
    """What the virtual board heard; None where the board hears for itself."""
    examined: Examined | None
    """None without a microphone."""
    voids: tuple[VoidSpan, ...]
    """In the board's stream."""
    told: Counter[str]
    """What the audio system and the player said of their own, counted."""
    facts: dict[str, Any]

    @property
    def samples(self) -> int:
        """Length of the board's stream."""
        return len(self.recording) if self.recording is not None else self.leg.samples

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """What the simulation is to hear."""
        if self.recording is None:
            yield from leg_audio(self.leg)
            return
        for start in range(0, len(self.recording), BLOCK_SAMPLES):
            yield np.asarray(self.recording[start : start + BLOCK_SAMPLES])

    def markers(self, guard: int) -> Iterator[VoidSpan]:
        """The stretches that belong to alignment markers, with the guard time behind each."""
        for marker in self.leg.markers:
            yield VoidSpan(marker, marker + MARKER_SAMPLES + guard, "alignment marker")


def leg_sound(
    plan: SessionPlan, folder: Path, played: PlayedLeg, leg: PlannedLeg, reference: Channel | None
) -> LegSound | None:
    """The sound of a leg (as far as it was played), from the session's folder alone; None where none went through the
    air.

    `reference` is the channel of an earlier leg, whose level is the session's.
    """
    if plan.air is None:
        return None
    events = [
        event.values for event in played.events if event.kind == "sound" and event.values.get("leg") == played.number
    ]
    faults = [values for values in events if values.get("event") == "fault"]
    told = Counter(str(values["what"]) for values in faults)
    facts: Mapping[str, Any] = next((values for values in reversed(events) if values.get("event") == "end"), {})
    pauses = [Pause(int(one["at"]), int(one["samples"])) for one in faults if one["what"] == "starved"]
    path = sound_path(folder, played.number)
    fed = kind_of(plan.board).fed
    if plan.air.microphone is None or not path.is_file():
        spans = list(_told_spans(faults, None))
        return LegSound(leg, None, None, tuple(_on(spans, None)), told, dict(facts))
    recording = read_kept(path)
    examined = examine(lambda: leg_audio(leg), leg.samples, recording, leg.markers, reference=reference, pauses=pauses)
    spans = [(one.start, one.stop, one.reason) for one in examined.faults] + list(
        _told_spans(faults, examined.alignment)
    )
    if not fed:
        return LegSound(leg, None, examined, tuple(_on(spans, None)), told, dict(facts))
    if examined.alignment is None:
        everything = VoidSpan(
            0, max(len(recording), leg.samples), "; ".join(dict.fromkeys(one.reason for one in examined.faults))
        )
        return LegSound(leg, recording, examined, (everything,), told, dict(facts))
    placed = place(leg, examined.alignment, len(recording), plan.schedule().settings.alignment)
    return LegSound(placed, recording, examined, tuple(_on(spans, examined.alignment)), told, dict(facts))


def place(leg: PlannedLeg, alignment: Alignment, samples: int, inference: int) -> PlannedLeg:
    """A leg as it lies in a recording of so many samples; sections begin at multiples of `inference` there, the first
    one with the recording.
    """

    def heard(position: int) -> int:
        return max(round(alignment.heard(position)), 0)

    starts = [0, *(heard(section.start) // inference * inference for section in leg.sections[1:])]
    stops = [*starts[1:], max(samples, heard(leg.sections[-1].items[-1].stop))]
    sections = []
    for section, start, stop in zip(leg.sections, starts, stops, strict=True):
        items = tuple(_placed(item, heard, stop) for item in section.items)
        sections.append(
            PlacedSection(section.index, start, stop, items, tuple(heard(marker) for marker in section.markers))
        )
    return replace(leg, sections=tuple(sections))


def _placed(item: PlacedItem, heard: Callable[[int], int], stop: int) -> PlacedItem:
    start = heard(item.start)
    return replace(
        item, start=start, following=min(max(heard(item.following), start + item.item.recording.samples), stop)
    )


def _told_spans(faults: Sequence[Mapping[str, Any]], alignment: Alignment | None) -> Iterator[tuple[int, int, str]]:
    for one in faults:
        at, length = int(one["at"]), int(one["samples"])
        if one["side"] == "microphone":
            if alignment is None:
                continue
            at = round(alignment.played(at))
        exact = one["what"] == "clipped"
        reach = 0 if exact else FLAG_MARGIN
        # Silence that was put in is not in what was played: it lies between two of its samples.
        yield at - reach, at + (length if exact else 0) + reach, _TOLD.get(str(one["what"]), str(one["what"]))


def _on(spans: Sequence[tuple[int, int, str]], alignment: Alignment | None) -> Iterator[VoidSpan]:
    """Spans of what was played as void spans of the board's stream; those that meet are one, which names
    their reasons."""
    held: tuple[int, int, dict[str, None]] | None = None
    for start, stop, reason in sorted(spans):
        first, last = max(start, 0), stop + SETTLE
        if alignment is not None:
            first, last = max(round(alignment.heard(first)), 0), round(alignment.heard(last))
        if held is not None and first <= held[1]:
            held = (held[0], max(held[1], last), held[2] | {reason: None})
            continue
        if held is not None:
            yield _span(*held)
        held = (first, last, {reason: None})
    if held is not None:
        yield _span(*held)


def _span(start: int, stop: int, reasons: dict[str, None]) -> VoidSpan:
    named = list(reasons)
    more = f", and {len(named) - REASONS_NAMED} more" if len(named) > REASONS_NAMED else ""
    return VoidSpan(start, stop, ", ".join(named[:REASONS_NAMED]) + more)


@dataclass(frozen=True)
class PlayClock:
    """When which sample of a leg left the loudspeaker, from the moments that the player told."""

    times: tuple[float, ...]
    positions: tuple[int, ...]

    def position(self, time: float) -> int | None:
        """What left the loudspeaker at a time (`time.monotonic` seconds); None without two moments."""
        if len(self.times) < 2:
            return None
        after = int(np.clip(np.searchsorted(self.times, time), 1, len(self.times) - 1))
        t0, t1 = self.times[after - 1], self.times[after]
        p0, p1 = self.positions[after - 1], self.positions[after]
        speed = SAMPLE_RATE_HZ if not t0 <= time <= t1 or t1 <= t0 else (p1 - p0) / (t1 - t0)
        base_t, base_p = (t1, p1) if time > t1 else (t0, p0)
        return max(round(base_p + (time - base_t) * speed), 0)


def play_clock(played: PlayedLeg) -> PlayClock:
    """The play clock of a leg."""
    moments = {
        float(event.values["heard_at"]): int(event.values["at"])
        for event in played.events
        if event.kind == "sound" and event.values.get("event") == "moment" and event.values.get("leg") == played.number
    }
    ordered = sorted(moments.items())
    return PlayClock(tuple(time for time, _ in ordered), tuple(position for _, position in ordered))


def acoustics_record(plan: SessionPlan, sounds: Sequence[LegSound]) -> AcousticsRecord | None:
    """What the result says of the air; None where there was none."""
    air = plan.air
    if air is None:
        return None
    told = sum((one.told for one in sounds), Counter[str]())
    facts: Mapping[str, Any] = next((one.facts for one in sounds if one.facts), {})
    examined = [one.examined for one in sounds if one.examined is not None]
    aligned = [one.alignment for one in examined if one.alignment is not None]
    longest = max(examined, key=lambda one: len(one.windows), default=None)
    found = [fault for one in examined for fault in one.faults]
    peaks = [float(one.facts["true_peak_dbfs"]) for one in sounds if one.facts.get("true_peak_dbfs") is not None]
    # A line through as few markers as it has unknowns has no residuals to speak of.
    judged = [one for one in aligned if one.markers > len(one.offsets) + 1]
    used = sum(one.markers for one in judged)
    squares = sum(one.residual_rms**2 * one.markers for one in judged)
    listener: Literal["the virtual board's microphone", "a reference microphone", "nobody"] = "nobody"
    if air.microphone is not None:
        listener = "the virtual board's microphone" if kind_of(plan.board).fed else "a reference microphone"
    room = plan.board.room
    if air.room is not None:
        noise = "no noise" if air.room.noise_dbfs is None else f"pink noise at {air.room.noise_dbfs:g} dBFS"
        room = f"computed: RT60 {air.room.rt60_seconds:g} s, {noise}"
    return AcousticsRecord(
        speaker=air.speaker,
        speaker_rate=facts.get("speaker_rate"),
        microphone=air.microphone,
        microphone_rate=facts.get("microphone_rate"),
        listener=listener,
        gain_db=air.gain_db,
        calibration=air.calibration,
        calibration_sha256=air.calibration_sha256,
        geometry=air.geometry,
        room=room,
        room_computed=air.room is not None,
        markers_played=sum(one.markers for one in examined),
        markers_heard=sum(one.markers for one in aligned),
        residual_rms_ms=float(np.sqrt(squares / used)) / SAMPLE_RATE_HZ * 1000 if used else None,
        drift_ppm=longest.alignment.drift_ppm if longest is not None and longest.alignment is not None else None,
        noise_dbfs=longest.noise_dbfs if longest is not None else None,
        channel_gain_db=longest.channel.gain_db if longest is not None and longest.channel is not None else None,
        true_peak_dbfs=max(peaks, default=None),
        starved=told["starved"],
        underflows=told["underflow"],
        overflows=told["overflow"],
        lost=sum(one.kind == "lost" for one in found),
        repeated=sum(one.kind == "repeated" for one in found),
        not_heard=sum(one.kind == "not heard" for one in found),
        level_faults=sum(one.kind == "level" for one in found),
        # What was clipped before it was at 16 kHz may or may not be seen there too.
        clipped=max(sum(one.kind == "clipped" for one in found), told["overdriven"]) + told["clipped"],
        ambient=sum(one.kind == "ambient" for one in found),
    )
