"""What work on a cluster costs: an hour of ambient audio simulated, and prepared for a training; two workers against
one; a worker's and a task's own cost.

Starts a scheduler and workers of its own on this machine, makes its sounds, and prints processor seconds, ratios and
what they make of large corpora. It asserts nothing, since machines are shared.

    python -m benchmarks.cluster [--hours 0.5] [--cores 8]
"""

from __future__ import annotations

import argparse
import operator
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pymicro_wakeword
import soundfile

from trainer.config.loader import load_config
from trainer.config.sections import TrainerConfig
from trainer.data.augmented import Augmentation, augmented_clips, prepare_augmentation
from trainer.data.dataset import load_recordings
from trainer.data.features import negative_features
from trainer.data.ingest import Label, SampleRecord
from trainer.data.store import FeatureStore
from wakeword.cluster.connection import working_on
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.device_model import load_model
from wakeword.presentation import CLIPS
from wakeword.processes import process_map
from wakeword.simulation.board import hear
from wakeword.simulation.simulate import Options
from wakeword.synthetic_speech import synthetic_speech

if TYPE_CHECKING:
    from distributed import Client

DEADLINE_S = 300
FILE_S, WORDS = 120, 12
NO_TASKS = 300
SOUNDS = 4
"""Rooms and backgrounds that are computed, before anything is measured."""
FEWEST_FILES = 12
"""So many are in all three splits."""
AMBIENT_H, MACHINES = 10_000, (1, 10, 100)
MODEL = Path(pymicro_wakeword.__file__).parent / "models" / "okay_nabu.json"


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--hours", type=float, default=0.5, help="of sound that is made")
    given.add_argument("--cores", type=int, default=8, help="of each machine in what is computed from the costs")
    given.add_argument("--repetitions", type=int, default=2)
    asked = given.parse_args()
    with tempfile.TemporaryDirectory(prefix="mww-bench-") as name:
        scratch = Path(name)
        os.chdir(scratch)
        corpus = AmbientCorpus.made(scratch, max(FEWEST_FILES, round(asked.hours * 3600 / FILE_S)))
        measurements = [
            one
            for repetition in range(asked.repetitions)
            for workers in (1, 2)
            for one in measure(corpus, scratch / f"{repetition} {workers}", workers)
        ]
    for load in LOADS:
        of_load = [one for one in measurements if one.load == load]
        cost = min(one.core_s for one in of_load) / corpus.hours
        walls = {workers: min(one.wall_s for one in of_load if one.workers == workers) for workers in (1, 2)}
        print(f"\n{load}: {cost:.1f} core-s an hour of sound; two workers take {walls[2] / walls[1]:.2f} of one's time")
        for machines in MACHINES:
            hours = AMBIENT_H * cost / (machines * asked.cores) / 3600
            print(f"  {AMBIENT_H} h on {machines} machines of {asked.cores} cores, computed: {hours:.2g} h")


@dataclass(frozen=True)
class AmbientCorpus:
    """Speech-like recordings, and what a training with the settings of `quick` mixes into them."""

    files: list[Path]
    config: TrainerConfig
    augmentation: Augmentation

    @property
    def hours(self) -> float:
        """Of sound."""
        return len(self.files) * FILE_S / 3600

    @classmethod
    def made(cls, folder: Path, count: int) -> AmbientCorpus:
        """So many recordings of `FILE_S`, and short ones that stand for words."""
        speech = synthetic_speech(FILE_S)
        files = [folder / "ambient" / f"{index:04}.wav" for index in range(count)]
        words = [folder / "words" / f"speaker{index}" / "word.wav" for index in range(WORDS)]
        for seed, (path, seconds) in enumerate([*((path, FILE_S) for path in files), *((path, 0.8) for path in words)]):
            path.parent.mkdir(parents=True, exist_ok=True)
            sound = np.roll(speech, seed * SAMPLE_RATE_HZ)[: round(seconds * SAMPLE_RATE_HZ)]
            soundfile.write(path, sound, SAMPLE_RATE_HZ)
        settings = [f"augmentation.computed_{kind}={SOUNDS}" for kind in ("rooms", "backgrounds")]
        paths = [f"paths.positive_dir={folder / 'words'}", f"paths.negative_dir={folder / 'ambient'}"]
        config = load_config("quick", (), ["export.wake_word=x", *paths, *settings])
        return cls(files, config, prepare_augmentation(config, negatives_of(config), folder / "sounds"))


def negatives_of(config: TrainerConfig) -> list[SampleRecord]:
    """All of them, whatever their split, once they are checked."""
    records = load_recordings(config.paths, config.training.seed).records
    return [record for record in records if record.label is Label.NEGATIVE]


def simulated(corpus: AmbientCorpus, folder: Path) -> None:
    """Each recording from boot, features and probabilities."""
    hear(load_model(MODEL, None, None), corpus.files, CLIPS, Options(cache_folder=folder / "cache"))


def prepared(corpus: AmbientCorpus, folder: Path) -> None:
    """What `mww-train` does with negatives before its first step, once the sounds that it mixes in are there."""
    records = negatives_of(corpus.config)
    negative_features(records, seed=corpus.config.training.seed)
    augmented_clips(FeatureStore(folder / "sets"), Label.NEGATIVE, records, corpus.augmentation)


LOADS = {"simulated": simulated, "checked, features, augmented": prepared}


@dataclass(frozen=True)
class LoadCost:
    """One load on so many workers: until it was done, and what all processes computed for it."""

    load: str
    workers: int
    wall_s: float
    core_s: float


def measure(corpus: AmbientCorpus, folder: Path, workers: int) -> Iterator[LoadCost]:
    """All loads on a cluster of its own, each told."""
    with cluster(folder, workers) as (address, client):
        for load, work in LOADS.items():
            # Once before it, so that imports are not in it.
            measured(client, address, folder / "before", partial(work, corpus, folder / "before"))
            one = LoadCost(load, workers, *measured(client, address, folder, partial(work, corpus, folder)))
            print(f"{load}: {workers} workers, {corpus.hours:.2f} h: {one.wall_s:.1f} s, {one.core_s:.1f} core-s")
            yield one
        wall, _ = measured(client, address, folder, nothing)
        print(f"{NO_TASKS} empty tasks: {workers} workers, {1000 * wall / NO_TASKS:.1f} ms a task", flush=True)


def nothing() -> None:
    """Tasks without work."""
    with process_map(operator.add, range(NO_TASKS), 1, int) as results:
        list(results)


def measured(client: Client, address: str, folder: Path, work: Callable[[], None]) -> tuple[float, float]:
    """Seconds until it is done, and seconds of processors: the workers' and this process's."""
    with working_on(address, written=[folder]):
        before, began = sum(client.run(time.process_time).values()) + time.process_time(), time.perf_counter()
        work()
        wall = time.perf_counter() - began
        return wall, sum(client.run(time.process_time).values()) + time.process_time() - before


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, Client]]:
    """A scheduler on loopback with so many worker processes."""
    from distributed import Client

    folder.mkdir()
    program, described = str(Path(sys.executable).parent / "dask"), str(folder / "scheduler.json")
    common = ["--scheduler-file", described, "--no-dashboard"]
    started = []
    try:
        for arguments in (
            ["scheduler", "--host", "127.0.0.1", "--port", "0", *common],
            ["worker", "--nthreads", "1", "--nworkers", str(workers), *common],
        ):
            log = (folder / f"{arguments[0]}.log").open("wb")
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
            started.append(subprocess.Popen([program, *arguments], stdout=log, stderr=log, env=environment))
        with Client(scheduler_file=described, timeout=DEADLINE_S, set_as_default=False) as client:
            client.wait_for_workers(workers, DEADLINE_S)
            yield client.scheduler.address, client
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(DEADLINE_S)


if __name__ == "__main__":
    main()
