"""The plan of a session, written before any work: what is measured, with what, in which order. `session.json` in the
session's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from firmware.boards.entry import BoardEntry
from harness.air.settings import AirSettings
from harness.results.schema import ModelRecord
from harness.session.schedule import (
    PlannedLeg,
    PlannedRecording,
    PlannedSection,
    Schedule,
    StreamSettings,
    make_schedule,
)
from wakeword.corpus.recordings import hash_file
from wakeword.errors import InfrastructureError
from wakeword.part import file_of
from wakeword.records import Record, read_record, write_record

PLAN_FILE = "session.json"
DIGITAL_SOURCE: Literal["on-device, digital"] = "on-device, digital"
"""What figures of a real board are called that was played samples: its kernels and its scheduler are in them, no room
and no microphone."""


class KnownPositive(Record):
    """The recording that the board must detect before anything is measured, or why there is none."""

    recording: PlannedRecording | None
    chosen: str
    """In words: who chose it, or why the check cannot be made."""


class SessionPlan(Record):
    """What a session is to do. Nothing in it changes while it runs."""

    format: Literal[1] = 1
    created: str
    """ISO 8601, UTC."""
    command: str
    board: BoardEntry
    source: Literal["virtual board", "on-device", "on-device, digital"]
    model: ModelRecord
    realtime: bool
    """A virtual board hears at the speed of sound; otherwise as fast as it takes the samples."""
    settings: StreamSettings
    sections: tuple[PlannedSection, ...]
    schedule_sha256: str
    """Over contents, truths, settings and order of playback."""
    known_positive: KnownPositive
    margin: float = Field(gt=0, lt=1)
    """Difference in recall that matters, stated before the measurement."""
    versions: dict[str, str]
    air: AirSettings | None = None
    """The way of the sound through the air; None where the board is played samples."""
    digital: bool = False
    """Samples were asked for; a virtual board without a loudspeaker is played them all the same."""
    delivered: bool = False
    """The model is brought to the running board before each stream, and is in no firmware."""

    def schedule(self) -> Schedule:
        """The order of playback. Raises `InfrastructureError` when this version orders otherwise than the one that
        wrote the plan.
        """
        schedule = make_schedule(self.sections, self.settings)
        if schedule.sha256 != self.schedule_sha256:
            raise InfrastructureError(
                "session.json: its order of playback is not what this version makes of it; resume with the version that"
                " began the session"
            )
        return schedule


def health_check(plan: SessionPlan, schedule: Schedule) -> PlannedLeg | None:
    """What is played before anything is measured; None where there is no known positive."""
    known = plan.known_positive.recording
    return (
        None
        if known is None
        else make_schedule([PlannedSection("known positive", "wake", (known,))], schedule.settings).leg()
    )


def write_plan(plan: SessionPlan, folder: Path) -> None:
    """Write `session.json` whole or not at all."""
    write_record(plan, folder / PLAN_FILE)


def read_plan(folder: Path) -> SessionPlan | None:
    """The plan in a folder; None when there is none. Raises `ConfigError` when it cannot be read."""
    path = folder / PLAN_FILE
    if not path.exists():
        return None
    return read_record(
        path,
        SessionPlan,
        "session",
        "begin a new session in another folder",
        "begin a new session in another folder",
        version="format",
    )


def what_changed(old: SessionPlan, new: SessionPlan) -> list[str]:
    """Why a session cannot go on as the new plan: what a figure depends on and is not as it was. Empty when it can."""
    named = {
        "board": old.board != new.board,
        "model": old.model.tflite_sha256 != new.model.tflite_sha256,
        "cutoff": old.model.cutoff_uint8 != new.model.cutoff_uint8,
        "sliding window": old.model.window != new.model.window,
        "seed": old.settings.seed != new.settings.seed,
        "speed of playback": old.realtime != new.realtime,
        "margin": old.margin != new.margin,
        "loudspeaker, microphone or their settings": old.air != new.air,
        "source of the sound": old.digital != new.digital,
        "--deliver": old.delivered != new.delivered,
    }
    changed = [name for name, differs in named.items() if differs]
    changed += _changed_recordings(old, new)
    # These follow from the others, and are worth a word only by themselves.
    if not changed and old.schedule_sha256 != new.schedule_sha256:
        changed.append("schedule")
    if not changed and _digest(old.known_positive) != _digest(new.known_positive):
        changed.append("known positive")
    return changed


def changed_files(plan: SessionPlan) -> list[str]:
    """Recordings of the plan that are gone or hold other sound now."""
    changed = []
    for recording in [recording for section in plan.sections for recording in section.recordings]:
        if not file_of(recording.path).is_file():
            changed.append(f"{recording.path} is gone")
        elif hash_file(recording.path) != recording.sha256:
            changed.append(f"{recording.path} holds another recording")
    return changed


def _changed_recordings(old: SessionPlan, new: SessionPlan) -> list[str]:
    before, after = (
        {
            (section.label, section.truth, recording.sha256)
            for section in plan.sections
            for recording in section.recordings
        }
        for plan in (old, new)
    )
    changed = []
    if missing := len(before - after):
        changed.append(f"{missing} of {len(before)} recordings (gone, or with other content, label or truth)")
    if added := len(after - before):
        changed.append(f"{added} recordings more")
    return changed


def _digest(known: KnownPositive) -> str | None:
    return None if known.recording is None else known.recording.sha256
