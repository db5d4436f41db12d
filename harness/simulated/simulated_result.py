"""A simulation as a `Result`: hashes, protocol, raw events and probabilities, scores and arena."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import platform
import shlex
from collections.abc import Sequence
from typing import Literal

import numpy as np

from harness.results.schema import (
    ArenaRecord,
    DetectionRecord,
    FileRecord,
    ModelRecord,
    PresentationRecord,
    Result,
    RunRecord,
    pack_probabilities,
)
from harness.results.scores import score_runs
from harness.simulated.judged import JudgedSimulation, judge_record, judged_records
from wakeword.contract import PROBABILITY_MAX, SAMPLE_RATE_HZ
from wakeword.corpus.provenance import Stated, provenance_of
from wakeword.corpus.recordings import hash_corpus
from wakeword.detector import Detection
from wakeword.device_model import DeviceModel
from wakeword.simulation.board import Simulation
from wakeword.simulation.streams import Recording

PACKAGES = ("wakeword-bench", "numpy", "pymicro-features", "soundfile", "soxr", "tflite-micro")
"""What decides figures: decoding, resampling, frontend, model."""
ENGINE_PACKAGES = {"litert": ("ai-edge-litert",)}


def make_result(
    simulation: Simulation,
    truth: Literal["wake", "none"],
    label: str,
    command: Sequence[str],
    seed: int | None,
    stated: Stated | None = None,
    notes: Sequence[str] = (),
    judged: JudgedSimulation | None = None,
) -> Result:
    """The record of one simulation. Takes seconds: the arena is measured in processes of its own.

    Args:
        simulation: What was simulated, with its detections.
        truth: Whether each recording is the wake word, or none holds it.
        label: What the reader calls the run.
        command: As it was typed, in words.
        seed: Of what was drawn by chance; None where nothing was. A microphone's noise follows from the recordings.
        stated: What the user says of the recordings' origin.
        notes: What their list says of figures of them.
        judged: What a judge says of its detections; None where none was asked.

    Returns the record, with one run. Raises `ConfigError` where files contradict what is stated.
    """
    run = _run(simulation, truth, label, stated, notes)
    if judged is not None:
        run = run.model_copy(update={"judged": judged_records(judged)})
    return Result(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=shlex.join(command),
        seed=seed,
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in (*PACKAGES, *ENGINE_PACKAGES.get(simulation.engine, ()))},
        model=model_record(simulation.model),
        arena=arena_record(simulation.model),
        runs=(run,),
        scores=score_runs([run]),
        judge=None if judged is None else judge_record(judged.judge),
        judged_scores=None if judged is None else score_runs([run.with_judge]),
    )


def model_record(candidate: DeviceModel) -> ModelRecord:
    """The model under test and its operating point."""
    return ModelRecord(
        wake_word=candidate.manifest.wake_word,
        manifest_path=str(candidate.manifest_path),
        manifest_sha256=hashlib.sha256(candidate.manifest_path.read_bytes()).hexdigest(),
        tflite_sha256=candidate.model.sha256,
        tflite_bytes=len(candidate.model.content),
        stride=candidate.model.stride,
        feature_step_ms=candidate.manifest.micro.feature_step_size,
        cutoff=candidate.point.probability_cutoff,
        cutoff_uint8=candidate.point.cutoff,
        window=candidate.point.window,
    )


def arena_record(candidate: DeviceModel, probed: int | None = None) -> ArenaRecord:
    """What the model's tensor arena needs, in bytes; `probed` is what a board said. Takes a second."""
    from wakeword.model.arena import esp32s3_estimate, host_arena

    host = host_arena(candidate.model.content)
    return ArenaRecord(
        manifest=candidate.manifest.micro.tensor_arena_size,
        host_used=host.used,
        host_minimum=host.minimum,
        esp32s3_estimate=esp32s3_estimate(candidate.model),
        probed=probed,
    )


def _run(
    simulation: Simulation, truth: Literal["wake", "none"], label: str, stated: Stated | None, notes: Sequence[str]
) -> RunRecord:
    presentation = simulation.presentation
    files: list[FileRecord] = []
    detections: list[DetectionRecord] = []
    recordings = [recording for stream in simulation.streams for recording in stream.recordings]
    speakers_known = truth == "wake" and len({recording.path.parent for recording in recordings}) > 1
    for stream, found in zip(simulation.streams, simulation.detections, strict=True):
        first = len(files)
        for recording, highest in zip(
            stream.recordings, stream.max_probabilities(simulation.model.point.window), strict=True
        ):
            files.append(file_record(recording, int(highest), recording.path.parent.name if speakers_known else None))
        detections += [
            detection_record(detection, first + stream.recording_at(detection.slice_index)) for detection in found
        ]
    return RunRecord(
        label=label,
        protocol=PresentationRecord.of(presentation, truth),
        corpus_sha256=hash_corpus(recording.sha256 for recording in recordings),
        provenance=provenance_of((recording.path for recording in recordings), stated),
        source="simulated",
        notes=tuple(notes),
        engine=simulation.engine,
        files=tuple(files),
        detections=tuple(detections),
        probabilities=pack_probabilities(np.concatenate([stream.probabilities for stream in simulation.streams])),
        inferences_per_file=tuple(len(stream.probabilities) for stream in simulation.streams),
    )


def detection_record(detection: Detection, file_index: int) -> DetectionRecord:
    """A detection with its slice in the run; average and maximum become shares of 255."""
    return DetectionRecord(
        slice=detection.slice_index,
        seconds=detection.seconds,
        average=detection.average / PROBABILITY_MAX,
        max=detection.maximum / PROBABILITY_MAX,
        file_index=file_index,
    )


def file_record(
    recording: Recording,
    highest: int,
    speaker: str | None,
    word_end: int | None = None,
    *,
    word_end_hidden: bool = False,
) -> FileRecord:
    """A recording as it lay in its stream, with the highest probability in it (uint8), and the sample at which its word
    ends where that is known.
    """
    return FileRecord(
        path=str(recording.path),
        sha256=recording.sha256,
        seconds=recording.seconds,
        stream_start=recording.start / SAMPLE_RATE_HZ,
        max_probability=highest / PROBABILITY_MAX,
        speaker=speaker,
        word_end=None if word_end is None else word_end / SAMPLE_RATE_HZ,
        word_end_hidden=word_end_hidden,
    )
