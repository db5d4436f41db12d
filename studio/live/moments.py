"""Moments of a live microphone: the recording saved and checked against the simulation, false accepts and misses kept
for the dataset.
"""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from studio.gallery.adding import Added, add_samples
from studio.gallery.provenance import Origin
from studio.live.datasets import dataset_folder
from studio.live.listening import LiveListening
from studio.live.socket import asked_seconds
from studio.workspace import Workspace
from trainer.data.ingest import Label
from wakeword.contract import PROBABILITY_MAX
from wakeword.detector import Detection
from wakeword.device_model import DeviceModel
from wakeword.errors import ConfigError
from wakeword.presentation import STREAM
from wakeword.simulation.board import hear
from wakeword.simulation.simulate import Options

BEFORE_SECONDS, AFTER_SECONDS = 2.5, 0.5
"""Around the moment of a false accept or a miss: the model answers near the end of a word, or behind it."""
SIDES = ("false accept", "miss")


def recording_path(workspace: Workspace) -> Path:
    """A new name for a recording that is saved."""
    time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    folder, number = workspace.root / "recordings", 1
    while (path := folder / f"listen_{time}{'' if number == 1 else f'-{number}'}.wav").exists():
        number += 1
    return path


def save_recording(
    workspace: Workspace, listening: LiveListening, manifest: str
) -> Mapping[str, Any] | Callable[[], Mapping[str, Any]]:
    """Save what was heard since boot. Returns where it lies; with a model a function that simulates it and tells that,
    the command that does the same, and whether live and simulated detections are at the same slices. It takes long, and
    does not touch `listening`. Raises `ConfigError` where nothing was heard.
    """
    path = recording_path(workspace)
    listening.kept.write(path)
    told: dict[str, Any] = {"path": workspace.relative(path), "seconds": round(listening.kept.seconds, 2)}
    if listening.device is None:
        return told
    model, live = listening.device.model, tuple(listening.detections)

    def compared() -> Mapping[str, Any]:
        simulated = hear(model, [path], STREAM, Options(jobs=1)).detections[0]
        return told | {
            "command": simulate_command(workspace.relative(path), manifest, model),
            "live": [one.slice_index for one in live],
            "simulated": [one.slice_index for one in simulated],
            "equal": live == simulated,
        }

    return compared


def simulate_command(recording: str, manifest: str, model: DeviceModel) -> str:
    """The command that hears a saved recording as the page's device did."""
    point, micro = model.point, model.manifest.micro
    words = ["mww-simulate", manifest, recording, "--mode", "stream"]
    if point.probability_cutoff != micro.probability_cutoff:
        words += ["--cutoff", f"{point.probability_cutoff:g}"]
    if point.window != micro.sliding_window_size:
        words += ["--window", str(point.window)]
    return shlex.join([*words, "--json", str(Path(recording).with_suffix(".jsonl"))])


def keep_moment(workspace: Workspace, listening: LiveListening, asked: Mapping[str, Any]) -> Added:
    """Keep the seconds around a moment: a false accept as a hard negative, a miss as the wake word of a speaker.

    `asked` has `dataset`, `kind` (of `SIDES`), `seconds` since boot, and of a miss `speaker`. Raises `ConfigError`.
    """
    kind, second = str(asked.get("kind")), asked_seconds(asked, "seconds")
    if kind not in SIDES:
        raise ConfigError(f"kind {kind!r}: give {' or '.join(SIDES)}")
    root = dataset_folder(workspace, str(asked.get("dataset", "")))
    device = listening.device
    detection = _detection_at(listening, second) if kind == "false accept" else None
    origin = Origin(
        how=kind,
        source_rate_hz=listening.sample_rate,
        source=str(asked.get("microphone", ""))[:80],
        wake_word="" if device is None else device.model.manifest.wake_word,
        model_sha256="" if device is None else device.model.model.sha256,
        average=None if detection is None else round(detection.average / PROBABILITY_MAX, 3),
        detected=kind == "false accept" if device is not None else None,
    )
    sound = listening.around(second, BEFORE_SECONDS, AFTER_SECONDS)
    if kind == "miss":
        return add_samples(root, sound, Label.POSITIVE, str(asked.get("speaker", "")), "missed", origin)
    return add_samples(root, sound, Label.HARD_NEGATIVE, "live", "false_accept", origin)


def _detection_at(listening: LiveListening, second: float) -> Detection:
    found = next((one for one in listening.detections if abs(one.seconds - second) < 0.005), None)
    if found is None:
        raise ConfigError(f"nothing was detected at {second:.2f} s since the device booted")
    return found
