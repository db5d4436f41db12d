"""A training that mines learns from it, and mines the same wherever it was killed."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.networks import TINY
from tests.trainer.mining.miners import WINDOW, miner_of
from tests.trainer.training.test_records import curves
from trainer.config.training_sections import TrainingSection
from trainer.data.drawn_sets import FeatureSet
from trainer.data.ingest import SampleRecord
from trainer.data.mined import MinedClip, read_table
from trainer.mining import saving
from trainer.mining.in_training import JoinedNegatives
from trainer.mining.windows import Stretch
from trainer.training import checkpoints, loop
from trainer.training.progress import MiningReport, Silent, StepReport
from trainer.training.scores import ValidationScores
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError

pytestmark = pytest.mark.usefixtures("steps_not_compiled")

SETTINGS = TrainingSection(
    training_steps=(12, 6),
    learning_rates=(3e-3, 1e-3),
    positive_class_weight=(1, 1),
    negative_class_weight=(1, 1),
    batch_size=8,
    eval_step_interval=3,
    seed=5,
)


class Watching(Silent):
    """Keeps what was mined, and interrupts the run at a step."""

    def __init__(self, interrupt_at: int = -1) -> None:
        self.reports: list[MiningReport] = []
        self._interrupt_at = interrupt_at

    def stepped(self, report: StepReport) -> None:
        if report.step == self._interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)

    def mined(self, report: MiningReport) -> None:
        self.reports.append(report)


Train = Callable[..., loop.TrainingResult]


@pytest.fixture(scope="module")
def train(negatives: JoinedNegatives, words: FeatureSet) -> Train:
    def run(folder: Path, progress: Silent | None = None, **changes: Any) -> loop.TrainingResult:
        miner = miner_of(folder / "mined", negatives, words, **changes)
        sets = [words, FeatureSet("negatives", False, negatives.features, 3.0)]
        scores = ValidationScores(0.5, 9.0, 0.25, 0.125)
        to_do = TrainingRun(
            TINY,
            WINDOW,
            sets,
            SETTINGS,
            folder / "checkpoints",
            lambda _: scores,
            progress or Silent(),
            records=folder,
            hard_negatives=miner,
        )
        return loop.train(to_do)

    return run


@pytest.fixture(scope="module")
def whole(
    train: Train, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, loop.TrainingResult, list[MiningReport]]:
    folder, watching = tmp_path_factory.mktemp("whole"), Watching()
    return folder, train(folder, watching), watching.reports


def weights_of(result: loop.TrainingResult) -> list[bytes]:
    return [np.asarray(weight).tobytes() for weight in result.model.get_weights()]


def outcome(folder: Path, result: loop.TrainingResult) -> tuple[list[bytes], list[MinedClip], dict[str, bytes], str]:
    """Weights, table without dates, clips, evaluations."""
    rows = [replace(row, date="") for row in read_table(folder / "mined")]
    clips = {path.name: path.read_bytes() for path in (folder / "mined").iterdir() if path.name != "mined.csv"}
    return weights_of(result), rows, clips, (folder / "validation.csv").read_text()


def test_a_training_mines_after_its_evaluations_and_learns_from_it(
    whole: tuple[Path, loop.TrainingResult, list[MiningReport]],
) -> None:
    folder, _, reports = whole
    assert [report.step for report in reports] == [
        3,
        6,
        9,
        12,
        15,
    ], "after the last step there is nothing left to learn"
    assert reports[0].new > 0
    rows = read_table(folder / "mined")
    assert reports[-1].total == len(rows) == sum(report.new for report in reports)
    evaluations = list(csv.DictReader((folder / "validation.csv").read_text().splitlines()))
    assert [int(row["mined"]) for row in evaluations] == [0, *(report.total for report in reports)]
    drawn = curves(folder)
    assert [value for _, value in drawn["training/mined_hard_negatives"]] == [0, *(report.total for report in reports)]
    assert [step for step, _ in drawn["performance/mining_ms"]] == [6, 9, 12, 15, 18]
    log = (folder / "training.log").read_text()
    assert str(reports[0]) in log
    assert (
        f"step 3: {reports[0].new} hard negatives from {reports[0].recordings} recordings, highest"
        f" {rows[0].probability:.2f}, " in log
    )


def test_what_is_mined_changes_the_training(
    whole: tuple[Path, loop.TrainingResult, list[MiningReport]],
    train: Train,
    records: list[SampleRecord],
    tmp_path: Path,
) -> None:
    nothing = train(tmp_path, taken=[Stretch(record.sha256, 0, 10**9) for record in records])
    assert not (tmp_path / "mined").exists()
    assert weights_of(nothing) != weights_of(whole[1])


def die_at(count: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, once; its process is gone the `count`th time that it is called, before it does anything."""
    calls = 0

    def called(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            raise SystemExit
        return function(*arguments, **options)

    return called


# State is saved before and after an evaluation and after a mining: the sixth time is after the second mining.
@pytest.mark.parametrize(
    ("module", "function", "count"),
    [
        (saving, "write_clip", 2),
        pytest.param(saving, "write_table", 2, marks=pytest.mark.slow),
        (saving, "finish_staged", 2),
        (checkpoints, "save_state", 6),
        pytest.param(checkpoints, "save_state", 7, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_killed_mines_and_learns_the_same(
    whole: tuple[Path, loop.TrainingResult, list[MiningReport]],
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    function: str,
    count: int,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, function, die_at(count, getattr(module, function)))
        with pytest.raises(SystemExit):
            train(tmp_path)
    assert outcome(tmp_path, train(tmp_path)) == outcome(whole[0], whole[1])


@pytest.mark.slow
@pytest.mark.parametrize("step", [6, 8])
def test_a_run_that_is_interrupted_mines_and_learns_the_same(
    whole: tuple[Path, loop.TrainingResult, list[MiningReport]],
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, Watching(interrupt_at=step))
    assert outcome(tmp_path, train(tmp_path)) == outcome(whole[0], whole[1])


def test_a_run_whose_mined_clips_are_gone_or_whose_mining_changed_is_refused(
    whole: tuple[Path, loop.TrainingResult, list[MiningReport]], train: Train, tmp_path: Path
) -> None:
    folder = shutil.copytree(whole[0], tmp_path / "run")
    with pytest.raises(ConfigError, match="another configuration or other data"):
        train(folder, threshold=0.31)
    (folder / "mined" / "mined.csv").unlink()
    with pytest.raises(ConfigError, match="hard negatives that the run had mined by step 15 are no longer all there"):
        train(folder)
