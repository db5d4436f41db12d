"""Choosing the recording that a board must detect before anything is measured.

A full session with no detections because of one broken wire is a known story; a recording that the simulation detects
tells before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.results.schema import ModelRecord
from harness.session.audio import leg_audio, plan_recording
from harness.session.paired import simulate_audio
from harness.session.plan import KnownPositive
from harness.session.schedule import PlannedRecording, PlannedSection, Schedule, StreamSettings, make_schedule
from wakeword.contract import slice_count
from wakeword.corpus.provenance import provenance_of
from wakeword.detector import detect
from wakeword.engines import Engine
from wakeword.errors import ConfigError

MOST_TRIED = 20
"""Recordings of the corpus that are simulated in search of one; a model that misses so many in a row is not to be told
from a deaf board."""


def choose_known_positive(engine: Engine, model: ModelRecord, schedule: Schedule, given: Path | None) -> KnownPositive:
    """The recording given, or the first of the schedule that the simulation detects. Raises `ConfigError` when it does
    not detect the given one.
    """
    if given is not None:
        recording = plan_recording(given, provenance_of([given]))
        if not _detected(engine, model, recording, schedule.settings):
            raise ConfigError(
                f"--known-positive {given}: the simulation does not detect it at cutoff {model.cutoff_uint8}/255, so"
                " the board need not; give another one"
            )
        return KnownPositive(recording=recording, chosen="given by the user")
    wake = [item.recording for item in schedule.items if schedule.sections[item.section].truth == "wake"]
    if not wake:
        return KnownPositive(
            recording=None, chosen="no recording of the wake word was given; give one with --known-positive"
        )
    return _first_detected(engine, model, wake[:MOST_TRIED], schedule.settings)


def _first_detected(
    engine: Engine, model: ModelRecord, recordings: Sequence[PlannedRecording], settings: StreamSettings
) -> KnownPositive:
    for recording in recordings:
        if _detected(engine, model, recording, settings):
            return KnownPositive(recording=recording, chosen="the first recording that the simulation detects")
    return KnownPositive(
        recording=None, chosen=f"the simulation detects none of the first {len(recordings)} recordings of the wake word"
    )


def _detected(engine: Engine, model: ModelRecord, recording: PlannedRecording, settings: StreamSettings) -> bool:
    # Without alignment markers: what is to be detected is the recording.
    leg = make_schedule([PlannedSection("known positive", "wake", (recording,))], replace(settings, marker=0)).leg()
    probabilities = simulate_audio(engine, leg_audio(leg))
    return bool(detect(probabilities, model.stride, slice_count(leg.samples), model.cutoff_uint8, model.window))
