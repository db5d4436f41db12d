"""Results with a known content: probabilities are drawn, detections are the detector's own, audio files are real."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from harness.results.agreement import make_agreement
from harness.results.schema import (
    ArenaRecord,
    BoardRecord,
    ClockRecord,
    DetectionRecord,
    FileRecord,
    IntegrityRecord,
    ModelRecord,
    PresentationRecord,
    Result,
    RunRecord,
    SessionRecord,
    VoidRecord,
    pack_probabilities,
)
from harness.results.scores import score_runs
from wakeword.contract import SAMPLE_RATE_HZ, slice_count, slice_end_seconds
from wakeword.detector import detect

STRIDE = 3
CUTOFF = 0.9
CUTOFF_UINT8 = 229
WINDOW = 5
LEAD_IN = 1.5
TAIL = 0.75
GAP = 0.5


def write_tone(path: Path, seconds: float, rate: int = SAMPLE_RATE_HZ) -> str:
    """Write a quiet tone and return the file's hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, (3000 * np.sin(2 * math.pi * 440 * time)).astype(np.int16), rate)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def answers(seconds: float, peaks: Sequence[tuple[float, int]]) -> NDArray[np.uint8]:
    """Probabilities of a stream: near zero, with bumps of 0.4 s around each `(second, height)`."""
    inferences = slice_count(round(seconds * SAMPLE_RATE_HZ)) // STRIDE
    heard = np.array([slice_end_seconds((index + 1) * STRIDE - 1) for index in range(inferences)])
    values = np.full(inferences, 2.0)
    for centre, height in peaks:
        values = np.maximum(values, np.where(np.abs(heard - centre) <= 0.2, height, 0))
    return values.astype(np.uint8)


def clips_run(
    folder: Path, heights: Sequence[int], truth: Literal["wake", "none"] = "wake", seconds: float = 1.2, **changes: Any
) -> RunRecord:
    """A run of clips; each answers with one bump of the given height, at the clip's end."""
    files: list[FileRecord] = []
    detections: list[DetectionRecord] = []
    probabilities: list[NDArray[np.uint8]] = []
    for index, height in enumerate(heights):
        path = folder / f"speaker{index % 3}" / f"{truth}{index}.wav"
        length = seconds + index / 100
        total = LEAD_IN + length + TAIL
        answer = answers(total, [(LEAD_IN + length, height)])
        detections += _detections(answer, total, [LEAD_IN], index)
        probabilities.append(answer)
        highest = int(answer.max()) / 255
        digest = write_tone(path, length)
        files.append(
            FileRecord(
                path=str(path),
                sha256=digest,
                seconds=length,
                stream_start=LEAD_IN,
                max_probability=highest,
                speaker=f"speaker{index % 3}",
            )
        )
    protocol = PresentationRecord(mode="clips", truth=truth, lead_in_seconds=LEAD_IN, tail_seconds=TAIL)
    return _run(protocol, files, detections, probabilities, "test clips", changes)


def stream_run(
    folder: Path,
    lengths: Sequence[float],
    peaks: Sequence[tuple[float, int]],
    truth: Literal["wake", "none"] = "none",
    **changes: Any,
) -> RunRecord:
    """A run of one stream; `peaks` are in seconds of the stream."""
    files: list[FileRecord] = []
    start = 0.0
    for index, length in enumerate(lengths):
        path = folder / f"{truth}-stream{index}.flac"
        digest = write_tone(path, length + index / 100)
        files.append(
            FileRecord(
                path=str(path), sha256=digest, seconds=length + index / 100, stream_start=start, max_probability=0.5
            )
        )
        start += length + index / 100 + GAP
    answer = answers(start - GAP, peaks)
    detections = _detections(answer, start - GAP, [file.stream_start for file in files], 0)
    return _run(
        PresentationRecord(mode="stream", truth=truth, gap_seconds=GAP),
        files,
        detections,
        [answer],
        "read speech",
        changes,
    )


def silent_hours(hours: float, events: int = 0, **changes: Any) -> RunRecord:
    """A run of many hours without audio files or probabilities, with so many false accepts."""
    file = FileRecord(path="long.wav", sha256="1" * 64, seconds=hours * 3600, stream_start=0, max_probability=0)
    detections = [
        DetectionRecord(slice=1000 * index, seconds=10.0 * index, average=0.95, max=0.99, file_index=0)
        for index in range(events)
    ]
    return _run(
        PresentationRecord(mode="stream", truth="none"),
        [file],
        detections,
        [np.zeros(0, np.uint8)],
        "silent hours",
        changes,
    )


def session(**changes: Any) -> SessionRecord:
    """A clean session with a virtual board that ran the model of `make_result`."""
    values: dict[str, Any] = {
        "board": BoardRecord(name="bench", kind="virtual", target="host", mac="02:00:5E:00:00:01"),
        "esphome_version": "2026.10.0",
        "model_sha256_on_board": "b" * 64,
        "seed": 7,
        "legs": 1,
        "audio_seconds": 120.0,
        "wall_seconds": 4.0,
        "health": "1 of 1 known positive detected",
        "integrity": IntegrityRecord(detections=4, both_witnesses=4),
        "clock": ClockRecord(probes=12, offset_ms=-3.5, drift_ppm=1.25, residual_rms_ms=0.2),
    }
    return SessionRecord(**(values | changes))


def device_run(
    run: RunRecord,
    *,
    without: Sequence[int] = (),
    moved: int = 0,
    voids: Sequence[VoidRecord] = (),
    trace: bool = True,
    **changes: Any,
) -> RunRecord:
    """A simulated run as a board gave it: some detections missing, the others so many slices later, with voids, with or
    without probabilities.
    """
    kept = [one for number, one in enumerate(run.detections) if number not in without]
    detections = tuple(
        one.model_copy(update={"slice": one.slice + moved, "seconds": slice_end_seconds(one.slice + moved)})
        for one in kept
    )
    values: dict[str, Any] = {
        "source": "virtual board",
        "engine": "ESPHome 2026.10.0",
        "detections": detections,
        "voids": tuple(voids),
    }
    if not trace:
        values |= {
            "source": "on-device",
            "probabilities": pack_probabilities(np.zeros(0, np.uint8)),
            "inferences_per_file": (),
        }
        values["files"] = tuple(file.model_copy(update={"max_probability": None}) for file in run.files)
    return run.model_copy(update=values | changes)


def make_device_result(
    device: Sequence[RunRecord], simulated: Sequence[RunRecord], measured: SessionRecord | None = None, **model: Any
) -> Result:
    """A result of a board beside its simulation."""
    result = make_result(device, **model)
    values = {
        "simulation": tuple(simulated),
        "session": measured or session(),
        "agreement": make_agreement(device, simulated, model=result.model),
    }
    return Result.model_validate(result.model_copy(update=values).model_dump())


def make_result(runs: Sequence[RunRecord], **model: Any) -> Result:
    """A result of these runs; `model` changes fields of the model."""
    values: dict[str, Any] = {
        "wake_word": "Hey Test",
        "manifest_path": "models/hey_test.json",
        "manifest_sha256": "a" * 64,
        "tflite_sha256": "b" * 64,
        "tflite_bytes": 52_272,
        "stride": STRIDE,
        "cutoff": CUTOFF,
        "cutoff_uint8": CUTOFF_UINT8,
        "window": WINDOW,
    }
    return Result(
        created="2026-11-21T02:40:00+00:00",
        command="mww-simulate models/hey_test.json clips/ --result result.json",
        seed=7,
        versions={"python": "3.12.1", "tflite-micro": "0.dev20261023182759"},
        model=ModelRecord(**(values | model)),
        arena=ArenaRecord(manifest=22_860, host_used=19_808, host_minimum=20_320, esp32s3_estimate=23_066),
        runs=tuple(runs),
        scores=score_runs(runs),
    )


def _detections(
    answer: NDArray[np.uint8], seconds: float, starts: Sequence[float], first_file: int
) -> list[DetectionRecord]:
    slices = slice_count(round(seconds * SAMPLE_RATE_HZ))
    records: list[DetectionRecord] = []
    for found in detect(answer, STRIDE, slices, CUTOFF_UINT8, WINDOW):
        heard = slice_end_seconds(found.slice_index)
        owner = first_file + max(sum(start < heard for start in starts) - 1, 0)
        records.append(
            DetectionRecord(
                slice=found.slice_index,
                seconds=heard,
                average=found.average / 255,
                max=found.maximum / 255,
                file_index=owner,
            )
        )
    return records


def _run(
    protocol: PresentationRecord,
    files: Sequence[FileRecord],
    detections: Sequence[DetectionRecord],
    probabilities: Sequence[NDArray[np.uint8]],
    label: str,
    changes: dict[str, Any],
) -> RunRecord:
    corpus = hashlib.sha256("\n".join(sorted(file.sha256 for file in files)).encode()).hexdigest()
    values: dict[str, Any] = {
        "label": label,
        "protocol": protocol,
        "corpus_sha256": corpus,
        "provenance": "recorded",
        "source": "simulated",
        "engine": "unrolled",
        "files": tuple(files),
        "detections": tuple(detections),
        "probabilities": pack_probabilities(np.concatenate(probabilities)),
        "inferences_per_file": tuple(len(part) for part in probabilities),
    }
    return RunRecord(**(values | changes))
