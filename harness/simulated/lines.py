"""A simulation as JSON lines, one a recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.simulated.judged import JudgedSimulation
from wakeword.contract import PROBABILITY_MAX
from wakeword.detector import Detection
from wakeword.files import write_atomically
from wakeword.simulation.board import Simulation

DECIMALS = 6


def write_lines(simulation: Simulation, path: Path, judged: JudgedSimulation | None = None) -> None:
    """Write the JSON lines whole or not at all. Raises `OSError` when the disk is full."""
    lines = json_lines(simulation, judged)
    write_atomically(path, "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))


def json_lines(simulation: Simulation, judged: JudgedSimulation | None = None) -> list[dict[str, Any]]:
    """One object a recording: `path`, `seconds`, the `engine` that computed, `max_probability` and its `detections`,
    each with what a judge says of it where one was asked.

    Probabilities are the device's uint8 values over 255; the highest is of the time in which a detection is possible.
    In a stream or session the slices count since it began, and each detection names its file.
    """
    lines: list[dict[str, Any]] = []
    for number, (stream, detections) in enumerate(zip(simulation.streams, simulation.detections, strict=True)):
        fallen: list[list[dict[str, Any]]] = [[] for _ in stream.recordings]
        answers = [None] * len(detections) if judged is None else judged.answers[number]
        for detection, answer in zip(detections, answers, strict=True):
            owner = stream.recording_at(detection.slice_index)
            entry = _detection(detection)
            if answer is not None:
                entry["judge"] = {"score": round(answer.score, DECIMALS), "yes": answer.yes}
            if simulation.presentation.mode != "clips":
                entry["file"] = str(stream.recordings[owner].path)
            fallen[owner].append(entry)
        for recording, highest, entries in zip(
            stream.recordings, stream.max_probabilities(simulation.model.point.window), fallen, strict=True
        ):
            lines.append(
                {
                    "path": str(recording.path),
                    "seconds": round(recording.seconds, DECIMALS),
                    "engine": simulation.engine,
                    "max_probability": _probability(int(highest)),
                    "detections": entries,
                }
            )
    return lines


def _detection(detection: Detection) -> dict[str, Any]:
    return {
        "slice": detection.slice_index,
        "seconds": round(detection.seconds, DECIMALS),
        "average": _probability(detection.average),
        "max": _probability(detection.maximum),
    }


def _probability(value: int) -> float:
    return round(value / PROBABILITY_MAX, DECIMALS)
