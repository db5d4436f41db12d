"""A small cycle by the commands as a user runs them, and how tests run, watch and stop them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.commands import DEADLINE_S, command, environment

POSITIVES, NEAR_MISSES, SENTENCES = 40, 12, 12
CLIPS = POSITIVES + NEAR_MISSES + SENTENCES
WEIGHTS = Path("checkpoints", "best_weights.weights.h5")
STATE = "training_state.npz"

# Long enough to be interrupted in the middle, small enough to take a second.
CONFIGURATION = """
hardware: {clip_duration_ms: 500}
training:
  training_steps: [150, 10]
  eval_step_interval: 20
  batch_size: 8
  time_mask_max_size: [5, 0]
  time_mask_count: [1, 0]
augmentation: {copies: 1, computed_rooms: 2, computed_backgrounds: 4}
model:
  first_conv_filters: 6
  pointwise_filters: "6,6"
  mixconv_kernel_sizes: "[3],[5]"
  repeat_in_block: "1,1"
  residual_connection: "0,0"
export: {wake_word: Computer, author: nobody}
"""


@dataclass(frozen=True)
class Cycle:
    """What the commands of one cycle made and said; tests read it and change nothing."""

    folder: Path
    said: dict[str, str]
    """What each command printed: of `trained` standard error too."""

    @property
    def root(self) -> Path:
        return self.folder / "a cycle"

    @property
    def corpus(self) -> Path:
        return self.root / "corpus"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def manifest(self) -> Path:
        return self.root / "exported" / "computer.json"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def generate_arguments(self, corpus: Path) -> list[object]:
        counts = ["--positives", POSITIVES, "--near-misses", NEAR_MISSES, "--sentences", SENTENCES, "--natural", 1]
        return ["computer", "--output", corpus, *counts]

    def train_arguments(self, folder: Path, corpus: Path | None = None) -> list[object]:
        paths = [f"paths.{kind}_dir={(corpus or self.corpus) / kind}" for kind in ("positive", "negative")]
        return [
            "--config",
            self.root / "own.yaml",
            "--output",
            folder,
            *(part for setting in paths for part in ("--set", setting)),
        ]


@contextmanager
def started(cache: Path, name: str, *arguments: object, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, as a terminal starts it; its stderr goes to `log`."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command(name, *arguments),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment(cache),
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        assert process is None or process.poll() is None, "the command ended before it happened"
        time.sleep(0.01)


def same_state(first: Path, second: Path, phase: str = "checkpoints") -> bool:
    """Whether two finished runs hold the same weights, optimizer and best checkpoint of a phase."""
    with np.load(first / phase / STATE) as one, np.load(second / phase / STATE) as other:
        best = [json.loads(str(state["header"]))["best"] for state in (one, other)]
        values = set(one.files) - {"header"}
        return (
            best[0] == best[1]
            and values == set(other.files) - {"header"}
            and all(np.array_equal(one[key], other[key]) for key in values)
        )


def alive(group: int) -> bool:
    """Whether a process of a group runs; ended ones that nobody waits for do not count."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it ended just now
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            return True
    return False
