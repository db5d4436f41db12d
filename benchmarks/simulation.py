"""How fast audio becomes detections: each part alone on one core, the whole command, and pymicro-wakeword over the same
audio.

Prints real-time factors (seconds of audio a second of computing) and ratios; it asserts nothing, since machines are
shared.

    python benchmarks/simulation.py [FOLDER...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pymicro_wakeword
from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

from benchmarks.timing import CORPUS, REPETITIONS, one_thread, timed
from wakeword.audio import read_samples
from wakeword.corpus.recordings import find_recordings
from wakeword.engines.reference import ReferenceEngine
from wakeword.engines.unrolled import UnrolledEngine
from wakeword.frontend import device_features
from wakeword.model.flatbuffer import read_model
from wakeword.processes import THREAD_VARIABLES

MODEL = "hey_mycroft"
CORPUS_FOLDERS = ("speech_librispeech", "speech_speechocean762")
GENERATED_SENTENCES = 200


def run_pymicro_wakeword(paths: list[Path]) -> None:
    """What pymicro-wakeword's own users run: its features and its detector, file by file."""
    wake_word = MicroWakeWord.from_builtin(Model.HEY_MYCROFT)
    for path in paths:
        features = MicroWakeWordFeatures()
        for frame in features.process_streaming(read_samples(path).tobytes()):
            wake_word.process_streaming(frame)


def main() -> None:
    """Measure and print."""
    one_thread()
    with tempfile.TemporaryDirectory(prefix="mww-bench-") as scratch_name:
        scratch = Path(scratch_name)
        sources = _audio(scratch)
        paths = find_recordings(sources)
        audio = [read_samples(path) for path in paths]
        seconds = sum(map(len, audio)) / 16000
        models = Path(pymicro_wakeword.__file__).parent / "models"
        model = read_model(models / f"{MODEL}.tflite")
        joined = np.concatenate(audio)
        features = device_features(joined)
        cores = len(os.sched_getaffinity(0))
        print(
            f"{len(paths)} recordings, {seconds / 60:.1f} min of audio, model {MODEL}, {cores} cores, best of"
            f" {REPETITIONS}\n",
            flush=True,
        )

        reference, unrolled = ReferenceEngine(model), UnrolledEngine(model)
        theirs = timed(lambda: run_pymicro_wakeword(paths))
        rows = [
            ("pymicro-wakeword's pipeline, decoding included", 1, theirs),
            ("frontend", 1, timed(lambda: device_features(joined))),
            ("reference engine", 1, timed(lambda: reference.run(features))),
            ("unrolled engine", 1, timed(lambda: unrolled.run(features))),
        ]
        for mode in ("clips", "stream"):
            for jobs in sorted({1, cores}):
                command = _simulate_command(models, sources, mode, jobs)
                rows.append(
                    (
                        f"mww-simulate --mode {mode}, cold",
                        jobs,
                        timed(partial(_run, command, scratch / "none", "--no-cache")),
                    )
                )
                cache = scratch / f"cache-{mode}"
                _run(command, cache)
                rows.append((f"mww-simulate --mode {mode}, cached", jobs, timed(partial(_run, command, cache))))
        print(f"{'':52}{'cores':>6}{'s':>9}{'x real time':>13}{'x a core':>10}{'vs pymicro-wakeword':>21}")
        for label, used, taken in rows:
            speed = seconds / taken
            print(f"{label:52}{used:6}{taken:9.2f}{speed:13.0f}{speed / used:10.0f}{theirs / taken:20.1f}x")
        print(
            "\nWhole commands include Python's start, hashing, decoding and padding; clips add 2.25 s of silence to"
            " each recording."
        )


def _audio(scratch: Path) -> list[Path]:
    if len(sys.argv) > 1:
        return [Path(argument) for argument in sys.argv[1:]]
    if CORPUS.is_dir():
        return [CORPUS / name for name in CORPUS_FOLDERS]
    print("no recordings given: generating sentences\n", flush=True)
    folder = scratch / "generated"
    program = Path(sys.executable).parent / "mww-generate"
    counts = ("--positives", "1", "--near-misses", "0", "--sentences", str(GENERATED_SENTENCES))
    subprocess.run([program, "computer", "--output", folder, *counts], check=True)
    return [folder]


def _simulate_command(models: Path, sources: list[Path], mode: str, jobs: int) -> list[str]:
    program = Path(sys.executable).parent / "mww-simulate"
    return [str(program), str(models / f"{MODEL}.json"), *map(str, sources), "--mode", mode, "--jobs", str(jobs)]


def _run(command: list[str], cache: Path, *extra: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in THREAD_VARIABLES}
    subprocess.run([*command, *extra], check=True, capture_output=True, env=environment | {"MWW_CACHE_DIR": str(cache)})


if __name__ == "__main__":
    main()
