"""Generation, features and augmentation on a cluster: the same bytes as without, also when a worker is killed in the
middle.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import commands
from tests.clusters import LocalCluster
from tests.commands import one_line_error
from tests.trainer.data.test_training_sets import SEED, SLICES, configuration, sound
from trainer.data.dataset import load_recordings
from trainer.data.generate import generate_corpus
from trainer.data.speech.plan import CorpusRequest
from trainer.data.speech.registry import choose_engines
from trainer.data.training_sets import stored_clips
from trainer.training.progress import Silent
from wakeword.cluster.connection import working_on


class Killing(Silent):
    """Kills a worker as soon as the first results of each of these stages are there."""

    def __init__(self, cluster: LocalCluster, stages: tuple[str, ...]) -> None:
        self._cluster, self.left = cluster, set(stages)

    def counting(self, stage: str) -> Callable[[int, int], None]:
        def count(done: int, total: int) -> None:
            if stage in self.left and 0 < done < total:
                self.left.remove(stage)
                self._cluster.whole(2)
                self._cluster.kill_a_worker()

        return count


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_features_and_augmentation_are_the_same(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for speaker in range(12):
        for number, (label, seconds) in enumerate((("positive", 0.5), ("negative", 9.0 + speaker))):
            for take in range(4):
                name = tmp_path / "dataset" / label / f"speaker{speaker}" / f"{label}{take}.wav"
                sound(name, seconds, 100 * number + 10 * speaker + take)
    settings = ["augmentation.computed_rooms=2", "augmentation.computed_backgrounds=2"]
    here, there = (configuration(*settings, f"paths.processed_dir={name}") for name in ("here", "there"))
    alone = load_recordings(here.paths, SEED, jobs=1)
    stored_clips(here, alone.records, SLICES, Silent(), jobs=1)
    progress = Killing(cluster, ("features of positives", "augmenting negatives"))
    with working_on(cluster.address, read=[Path("dataset")], written=[Path("there")]):
        spread = load_recordings(there.paths, SEED, jobs=1)
        stored_clips(there, spread.records, SLICES, progress, jobs=1)
    assert not progress.left, "both workers were killed"
    assert alone == spread
    made = files(tmp_path / "here")
    assert sum(len(content) for content in made.values()) > 1_000_000
    assert files(tmp_path / "there") == made


def test_generated_clips_are_the_same(cluster: LocalCluster, tmp_path: Path) -> None:
    request = CorpusRequest("hey jarvis", 30, 20, 10, 0, 7, check=False)
    engines = choose_engines(["espeak"])
    killed: list[int] = []

    def kill_once(done: int, total: int) -> None:
        if 0 < done < total and not killed:
            killed.append(done)
            cluster.kill_a_worker()

    generate_corpus(request, tmp_path / "here", engines, jobs=2)
    generate_corpus(request, tmp_path / "there", engines, progress=kill_once, cluster=cluster.address)
    assert killed
    made = files(tmp_path / "here")
    assert len(made) > 60
    assert files(tmp_path / "there") == made


@pytest.mark.parametrize("option", ["--dry-run", "--find-lr"])
def test_what_computes_no_features_for_a_training_has_no_cluster(option: str) -> None:
    asked = ("--set", "export.wake_word=x", option, "--cluster", "tcp://127.0.0.1:1")
    refused = one_line_error(commands.run(None, "mww-train", *asked))
    assert refused.endswith("--cluster computes the features of a training; leave it out with --dry-run and --find-lr")
