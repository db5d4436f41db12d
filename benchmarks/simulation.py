"""How fast audio becomes detections: each part alone on one core, and whole commands beside pymicro-wakeword over the
same audio, in turns.

Prints real-time factors (seconds of audio a second of computing) and ratios; it asserts nothing, since machines are
shared. A ratio is of one round, in which all took their turn one after the other; the table has the median of all
rounds and their middle half, and the seconds of processors that were used, which other work on the machine changes
least.

    python benchmarks/simulation.py [FOLDER...] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pymicro_wakeword
from numpy.typing import NDArray
from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

from benchmarks.timing import CORPUS, REPETITIONS, one_thread, timed
from wakeword.audio import read_samples
from wakeword.corpus.recordings import find_recordings
from wakeword.engines.reference import ReferenceEngine
from wakeword.engines.unrolled import UnrolledEngine
from wakeword.frontend import Frontend, device_features
from wakeword.model.flatbuffer import read_model
from wakeword.processes import THREAD_VARIABLES

MODEL = "hey_mycroft"
CORPUS_FOLDERS = ("speech_librispeech", "speech_speechocean762")
GENERATED_SENTENCES = 200
PART_SECONDS = 600
"""Of sound, for the parts alone."""


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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, help="recordings (default: the corpus beside the checkout)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each whole command (default: 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mww-bench-") as scratch_name:
        scratch = Path(scratch_name)
        sources = _audio(options.folders, scratch)
        paths = find_recordings(sources)
        audio = np.concatenate([read_samples(path) for path in paths])
        seconds, cores = len(audio) / 16000, len(os.sched_getaffinity(0))
        print(f"{len(paths)} recordings, {seconds / 60:.1f} min of audio, model {MODEL}, {cores} cores", flush=True)
        _parts(audio[: PART_SECONDS * 16000])
        _whole(sources, paths, seconds, scratch, options.rounds)


def _parts(audio: NDArray[np.int16]) -> None:
    """Each part alone."""
    model = read_model(Path(pymicro_wakeword.__file__).parent / "models" / f"{MODEL}.tflite")
    features = device_features(audio)
    reference, unrolled = ReferenceEngine(model), UnrolledEngine(model)
    rows: list[tuple[str, Callable[[], object]]] = [
        ("frontend of pymicro-features", lambda: Frontend().process(audio)),
        ("frontend in NumPy, equal to it", lambda: device_features(audio)),
        ("reference engine", lambda: reference.run(features)),
        ("unrolled engine, equal to it", lambda: unrolled.run(features)),
    ]
    seconds = len(audio) / 16000
    print(f"\n{f'parts on one core, best of {REPETITIONS}, {seconds / 60:.0f} min':52}{'s':>9}{'x real time':>13}")
    for label, work in rows:
        taken = timed(work)
        print(f"{label:52}{taken:9.2f}{seconds / taken:13.0f}", flush=True)


def _whole(sources: list[Path], paths: list[Path], seconds: float, scratch: Path, rounds: int) -> None:
    """Whole commands on all cores and pymicro-wakeword, in turns."""
    theirs = "pymicro-wakeword, decoding included"
    turns: dict[str, Callable[[], object]] = {theirs: lambda: run_pymicro_wakeword(paths)}
    number = count()
    for mode in ("clips", "stream"):
        command, kept = _simulate_command(sources, mode), scratch / f"cache-{mode}"
        _run(command, kept)
        turns[f"mww-simulate --mode {mode}, cold"] = partial(_cold, command, scratch, number)
        turns[f"mww-simulate --mode {mode}, cached"] = partial(_run, command, kept)
    taken: dict[str, list[float]] = {label: [] for label in turns}
    used: dict[str, list[float]] = {label: [] for label in turns}
    before = os.getloadavg()[0]
    for _ in range(rounds):
        for label, work in turns.items():
            began, used_before = time.perf_counter(), _processor_seconds()
            work()
            taken[label].append(time.perf_counter() - began)
            used[label].append(_processor_seconds() - used_before)
    title = f"whole, on all cores, {rounds} rounds, load {before:.0f}-{os.getloadavg()[0]:.0f}"
    print(f"\n{title:52}{'s':>9}{'processor s':>13}{'x real time':>13}{'vs pymicro-wakeword':>21}{'middle half':>14}")
    for label, each in taken.items():
        median = float(np.median(each))
        low, middle, high = np.percentile(np.array(taken[theirs]) / np.array(each), [25, 50, 75])
        measured = f"{median:9.2f}{np.median(used[label]):13.2f}{seconds / median:13.0f}"
        print(f"{label:52}{measured}{middle:20.1f}x{f'{low:.1f}-{high:.1f}':>14}")
    print(
        "\nWhole commands include Python's start, hashing and decoding; clips add 2.25 s of silence to each recording,"
        " a stream 0.5 s. Cold ones write the cache."
    )


def _processor_seconds() -> float:
    """Of this process and of the commands that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _audio(folders: list[Path], scratch: Path) -> list[Path]:
    if folders:
        return folders
    if CORPUS.is_dir():
        return [CORPUS / name for name in CORPUS_FOLDERS]
    print("no recordings given: generating sentences\n", flush=True)
    folder = scratch / "generated"
    program = Path(sys.executable).parent / "mww-generate"
    counts = ("--positives", "1", "--near-misses", "0", "--sentences", str(GENERATED_SENTENCES))
    subprocess.run([program, "computer", "--output", folder, *counts], check=True)
    return [folder]


def _simulate_command(sources: list[Path], mode: str) -> list[str]:
    manifest = Path(pymicro_wakeword.__file__).parent / "models" / f"{MODEL}.json"
    program = Path(sys.executable).parent / "mww-simulate"
    return [str(program), str(manifest), *map(str, sources), "--mode", mode]


def _cold(command: list[str], scratch: Path, number: count[int]) -> None:
    """With an empty cache, as the first command over recordings finds it."""
    _run(command, scratch / f"cold-{next(number)}")


def _run(command: list[str], cache: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in THREAD_VARIABLES}
    subprocess.run(command, check=True, capture_output=True, env=environment | {"MWW_CACHE_DIR": str(cache)})


if __name__ == "__main__":
    main()
