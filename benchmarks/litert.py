"""How far LiteRT, which a Raspberry Pi runs, is from TFLM's reference kernels: probabilities and detections on the same
recordings.

    python benchmarks/litert.py [--model MANIFEST...] [FOLDER...]

Folders of clips (each alone from boot) come first, then one stream of every folder named `speech_*` or `noise_*`.
Without models those of pymicro-wakeword are taken, without folders the development corpus.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pymicro_wakeword

from benchmarks.timing import CORPUS
from wakeword.corpus.feature_cache import default_cache_folder
from wakeword.corpus.recordings import find_recordings
from wakeword.device_model import load_model
from wakeword.engines import EngineChoice
from wakeword.presentation import CLIPS, STREAM
from wakeword.simulation.board import Simulation, hear
from wakeword.simulation.simulate import Options

MODELS = ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu")
WORDS = ("alexa", "computer", "jarvis", "golden_a", "golden_b")
LARGE_STEPS = 10


@dataclass(frozen=True)
class EngineDifference:
    """Of one model on some recordings, with the exact engine and with LiteRT."""

    inferences: int
    differing: int
    large: int
    """By more than `LARGE_STEPS` of 256."""
    largest: int
    """Steps of 256."""
    detections: int
    of_litert: int
    same: int
    """In the same recording at the same slice."""


def difference(exact: Simulation, other: Simulation) -> EngineDifference:
    """Probabilities and detections of the same recordings, paired."""
    steps = np.abs(_probabilities(exact) - _probabilities(other))
    ours, theirs = (_places(simulation) for simulation in (exact, other))
    return EngineDifference(
        len(steps),
        int((steps > 0).sum()),
        int((steps > LARGE_STEPS).sum()),
        int(steps.max(initial=0)),
        len(ours),
        len(theirs),
        len(ours & theirs),
    )


def _probabilities(simulation: Simulation) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.concatenate([stream.probabilities for stream in simulation.streams]).astype(np.int16)


def _places(simulation: Simulation) -> set[tuple[int, int]]:
    return {
        (stream, detection.slice_index)
        for stream, detections in enumerate(simulation.detections)
        for detection in detections
    }


def rows(models: Sequence[Path], folders: Iterable[Path]) -> Iterable[str]:
    """The table in Markdown, line by line."""
    given = list(folders)
    negatives = [folder for folder in given if folder.name.startswith(("speech_", "noise_"))]
    words = [folder for folder in given if folder not in negatives]
    yield "| model | recordings | inferences | differ | by over 10/256 | largest | detections | with LiteRT | same |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for manifest in models:
        model = load_model(manifest, None, None)
        for what, sources, presentation in (("clips", words, CLIPS), ("streams", negatives, STREAM)):
            if not sources:
                continue
            recordings = find_recordings(sources)
            exact, other = (
                hear(model, recordings, presentation, Options(engine, cache_folder=default_cache_folder()))
                for engine in _engines()
            )
            one = difference(exact, other)
            yield (
                f"| {manifest.stem} | {len(recordings)} {what} | {one.inferences:,} | {one.differing:,}"
                f" ({one.differing / one.inferences:.2%}) | {one.large:,} | {one.largest} | {one.detections} |"
                f" {one.of_litert} | {one.same} |"
            )


def _engines() -> tuple[EngineChoice, EngineChoice]:
    return "auto", "litert"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, action="append")
    parser.add_argument("folders", type=Path, nargs="*")
    arguments = parser.parse_args()
    built_in = Path(pymicro_wakeword.__file__).parent / "models"
    models = arguments.model or [built_in / f"{name}.json" for name in MODELS]
    folders = arguments.folders or [
        *(CORPUS / name for name in WORDS),
        *sorted(path for path in CORPUS.iterdir() if path.name.startswith(("speech_", "noise_"))),
    ]
    print(f"ai-edge-litert {version('ai-edge-litert')} on {platform.machine()}")
    for line in rows(models, folders):
        print(line, flush=True)


if __name__ == "__main__":
    main()
