"""The legs of a session as they were: what was played, what the board said of it, the sound on its way, and which
stretches are void for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench_audio.playback.channel import Channel
from harness.collect.collected import Collected
from harness.collect.reconcile import reconcile
from harness.session.audio import leg_audio
from harness.session.journal import PlayedLeg
from harness.session.paired import LegDetections, VoidSpan, played_part
from harness.session.plan import SessionPlan, health_check
from harness.session.schedule import PlannedLeg, Schedule
from harness.session.sound import SETTLE, LegSound, leg_sound
from wakeword.contract import STEP_SAMPLES, WINDOW_SAMPLES

RING_SAMPLES = 1920
"""Of micro_wake_word's ring buffer, 120 ms: what is refused is known to lie within so much before it is told."""


@dataclass(frozen=True)
class MeasuredLeg:
    """A leg of the measurement, reconciled."""

    played: PlayedLeg
    plan: PlannedLeg
    """As far as it was played, in the board's stream."""
    collected: Collected
    sound: LegSound | None = None
    """Where it went through the air."""

    @property
    def confirmed(self) -> int:
        """Samples before which nothing can be missing."""
        return next((leg.confirmed for leg in self.collected.legs if leg.index == self.played.number), 0)

    @property
    def samples(self) -> int:
        """Of the board's stream that are simulated: a leg that was cut, as far as the board can have heard it; what
        comes after it is void.
        """
        if self.sound is not None and self.sound.recording is not None:
            return self.sound.samples
        return self.plan.samples if self.played.complete else min(self.played.heard, self.plan.samples)

    def audio(self) -> Iterator[NDArray[np.int16]]:
        """What the simulation hears."""
        if self.sound is not None and self.sound.recording is not None:
            return self.sound.blocks()
        return leg_audio(self.plan, stop=self.samples)


def measured_legs(plan: SessionPlan, folder: Path, schedule: Schedule, legs: Sequence[PlayedLeg]) -> list[MeasuredLeg]:
    """The legs of the measurement. Through the air, the level of the first leg that was heard, the health check's, is
    the session's.
    """
    measured = []
    reference = None
    for leg in legs:
        if leg.part == "check":
            check = health_check(plan, schedule)
            sound = leg_sound(plan, folder, leg, check, reference) if check is not None else None
        elif leg.last_item >= leg.first_item:
            one = _reconciled(plan, folder, schedule, leg, reference)
            measured.append(one)
            sound = one.sound
        else:
            continue
        if reference is None and sound is not None and sound.examined is not None:
            reference = sound.examined.channel
    return measured


def heard_markers(leg: MeasuredLeg, guard: int, *sides: LegDetections) -> list[VoidSpan]:
    """Alignment markers that were taken for the wake word, by either side: they are none of the corpus's sound."""
    if leg.sound is None:
        return []
    decided = [one.slice_index * STEP_SAMPLES + WINDOW_SAMPLES for side in sides for one in side.detections]
    return [span for span in leg.sound.markers(guard) if any(span.start <= position < span.end for position in decided)]


def leg_voids(leg: MeasuredLeg) -> list[VoidSpan]:
    """What reconciling found void; of a leg that was cut also all that no answer of the board confirmed, to the end of
    the item under play.
    """
    end = leg.plan.samples
    voids = [
        VoidSpan(void.start, end if void.end is None else void.end, void.reason)
        for void in leg.collected.voids
        if void.leg == leg.played.number
    ]
    if not leg.played.complete:
        voids.append(VoidSpan(min(leg.confirmed, end), end, leg.played.reason))
    return voids + list(leg.sound.voids if leg.sound is not None else refused(leg.played))


def refused(leg: PlayedLeg) -> Iterator[VoidSpan]:
    """Samples that the board had no room for, where it was played samples."""
    for event in leg.events:
        values = event.values
        if event.kind == "sound" and values.get("event") == "fault" and values.get("what") == "refused":
            at, samples = int(values["at"]), int(values["samples"])
            yield VoidSpan(max(at - samples - RING_SAMPLES, 0), at + SETTLE, "the board had no room for the sound")


def _reconciled(
    plan: SessionPlan, folder: Path, schedule: Schedule, leg: PlayedLeg, reference: Channel | None
) -> MeasuredLeg:
    part, collected = played_part(schedule.leg(leg.first_item), leg.last_item), reconcile(leg.events)
    sound = leg_sound(plan, folder, leg, part, reference)
    return MeasuredLeg(leg, part if sound is None else sound.leg, collected, sound)
