"""Mining within a training: the very windows that the model accepts, never more than allowed, and the same ones
wherever a run was killed.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import networks
from tests.networks import TINY
from tests.trainer.evaluation.loudness import RATE, write_bursts
from tests.trainer.training.test_records import curves
from trainer.config.lengths import receptive_field
from trainer.config.training_sections import HardNegativeMiningSection, TrainingSection
from trainer.data.batches import FeatureSet
from trainer.data.clip_rows import ClipRows
from trainer.data.features import FeatureSettings, joined_recordings, negative_features
from trainer.data.ingest import Label, SampleRecord
from trainer.data.mined import MinedClip, read_table, write_table
from trainer.data.split import Split
from trainer.mining import in_training, saving
from trainer.mining.in_training import SHIFT_SLICES, JoinedNegatives, TrainingMiner
from trainer.mining.windows import Stretch
from trainer.mixednet.scaling import FEATURE_MIN, dequantise
from trainer.training import checkpoints, loop
from trainer.training.progress import MiningReport, Silent, StepReport
from trainer.training.scores import ValidationScores
from trainer.training.training_run import TrainingRun
from wakeword import contract
from wakeword.audio import read_samples
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.frontend import device_features
from wakeword.simulation.streams import PresentedStream, SimulatedStream

WINDOW = receptive_field(TINY, 8)
SETTINGS = TrainingSection(
    training_steps=(12, 6),
    learning_rates=(3e-3, 1e-3),
    positive_class_weight=(1, 1),
    negative_class_weight=(1, 1),
    batch_size=8,
    eval_step_interval=3,
    seed=5,
)
SEED = 2


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[SampleRecord]:
    """Recordings with a loud burst now and then, which is what the wake word of these tests is."""
    root = tmp_path_factory.mktemp("audio")
    found = []
    for number in range(7):
        bursts = {0.4 + 0.9 * index: 0.3 + 0.1 * ((number + index) % 6) for index in range(3)}
        path = write_bursts(root / f"{number}.wav", 3 + 0.37 * number, bursts, seed=number)
        seconds = len(read_samples(path)) / RATE
        found.append(
            SampleRecord(path, Label.NEGATIVE, Split.TRAIN, f"n{number}", seconds, RATE, sha256=hash_file(path))
        )
    return found


@pytest.fixture(scope="module")
def negatives(records: list[SampleRecord]) -> JoinedNegatives:
    return JoinedNegatives.of(records, ClipRows.of(negative_features(records, seed=SEED, jobs=1).joined), SEED)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    folder = tmp_path_factory.mktemp("words")
    clips = [
        device_features(read_samples(write_bursts(folder / f"{number}.wav", 1.3, {0.9: 0.9}, seed=50 + number)))
        for number in range(6)
    ]
    return FeatureSet("words", True, clips, truncation_strategy="truncate_start")


def miner_of(
    folder: Path,
    negatives: JoinedNegatives,
    words: FeatureSet,
    *,
    threshold: float = 0.3,
    limit: int = 40,
    taken: Sequence[Stretch] = (),
) -> TrainingMiner:
    plain = FeatureSet("negatives", False, negatives.features, 3.0)

    def sets(mined: ClipRows) -> list[FeatureSet]:
        return [words, plain, *([FeatureSet("mined", False, mined, hard=True)] if len(mined) else [])]

    mining = HardNegativeMiningSection(fp_threshold=threshold, max_samples=limit, mining_interval_epochs=1)
    return TrainingMiner(TINY, WINDOW, negatives, mining, folder, sets, taken=taken)


def mined_of(sets: Sequence[FeatureSet]) -> ClipRows:
    clips = next(one.clips for one in sets if one.name == "mined")
    assert isinstance(clips, ClipRows)
    return clips


# --- what is mined
# ---------------------------------------------------------------------------------------------------------------


def test_what_is_mined_is_what_the_model_accepts(negatives: JoinedNegatives, words: FeatureSet, tmp_path: Path) -> None:
    from trainer.mixednet.models import build_model

    model = build_model(TINY, WINDOW)
    networks.randomise(model, seed=3)
    miner = miner_of(tmp_path / "mined", negatives, words, limit=20)
    assert miner.restore(0).total == 0
    first = miner.mine(model, 3)
    rows = read_table(tmp_path / "mined")
    assert (first.new, first.total, first.recordings) == (10, 10, len({row.source for row in rows}))
    assert first.highest == rows[0].probability == max(row.probability for row in rows)
    clips = mined_of(first.sets)
    assert clips.rows is negatives.features.rows, "nothing is copied"
    for row, clip in zip(rows, clips, strict=True):
        # At the very beginning of a stream the model has heard silence before.
        heard = np.concatenate([np.full((WINDOW, 40), FEATURE_MIN, np.int8), clip[: len(clip) - SHIFT_SLICES]])[
            -WINDOW:
        ]
        # Rounded to the exported model's steps of 1/256; the device takes 255 of them for certainty.
        assert float(model(dequantise(heard)[None])[0, 0]) * 256 == pytest.approx(row.probability * 255, abs=0.51)
        assert row.probability > 0.3
        assert row.step == 3
        samples = read_samples(tmp_path / "mined" / row.file)
        np.testing.assert_array_equal(samples, read_samples(Path(row.source))[row.start_sample : row.end_sample])
    again = miner.mine(model, 6)
    assert again.total == 10 + again.new
    assert again.new <= 5
    stretches = [Stretch(row.source_sha256, row.start_sample, row.end_sample) for row in read_table(tmp_path / "mined")]
    assert not any(one.overlaps(other) for index, one in enumerate(stretches) for other in stretches[:index])


@dataclass
class ChanceModel:
    """Probabilities that a test chose, by stream; `FloatModel` with nothing to compute."""

    streams: list[NDArray[np.uint8]]
    count: int = 0

    def run(self, presented: PresentedStream) -> SimulatedStream:
        self.count += 1
        return presented.simulated(TINY.stride, self.streams[(self.count - 1) % len(self.streams)])

    def load(self, weights: Any, sha256: str) -> None:
        pass


@given(
    data=st.data(),
    limit=st.integers(1, 9),
    threshold=st.sampled_from([0.0, 0.5, 0.9]),
    per_stream=st.sampled_from([2.0, 6.0, 300.0]),
)
@settings(max_examples=25)
def test_places_order_and_memory_of_any_mining(
    records: list[SampleRecord],
    words: FeatureSet,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    limit: int,
    threshold: float,
    per_stream: float,
) -> None:
    folder = tmp_path_factory.mktemp("any") / "mined"
    with pytest.MonkeyPatch.context() as patch:
        short = FeatureSettings(stream_s=per_stream)
        patch.setattr(in_training, "FeatureSettings", lambda: short)
        lengths = [
            contract.slice_count(
                sum(round(record.duration * RATE) for record in stream) + 16_000 * 9 // 4 + 8_000 * (len(stream) - 1)
            )
            for stream in joined_recordings(records, seed=SEED, settings=short)
        ]
        features = ClipRows(np.zeros((sum(lengths), 40), np.int8), np.array(lengths))
        joined = JoinedNegatives.of(records, features, SEED)
        chance = np.random.default_rng(data.draw(st.integers(0, 1000)))
        streams = [chance.integers(0, 256, length // TINY.stride).astype(np.uint8) for length in lengths]
        patch.setattr(in_training, "FloatModel", lambda *_: ChanceModel(streams))
        patch.setattr(in_training, "weights_sha256", lambda _: "weights")
        taken = [Stretch(records[0].sha256, 0, 20_000)]
        miner = miner_of(folder, joined, words, threshold=threshold, limit=limit, taken=taken)
        states, total = [miner.restore(0)], 0
        for step in (3, 6, 9):
            mined = miner.mine(None, step)
            assert mined.new <= -(-(limit - total) // 2)
            total += mined.new
            assert mined.total == total <= limit
            states.append(mined)
        assert states[1].new > 0
        rows = read_table(folder)
        for step in (3, 6, 9):
            of_step = [row.probability for row in rows if row.step == step]
            assert of_step == sorted(of_step, reverse=True)
        stretches = [*taken, *(Stretch(row.source_sha256, row.start_sample, row.end_sample) for row in rows)]
        assert not any(one.overlaps(other) for index, one in enumerate(stretches) for other in stretches[:index])
        if total:
            clips = mined_of(states[-1].sets)
            for row, start, length in zip(rows, clips.starts.tolist(), clips.lengths.tolist(), strict=True):
                stream = int(np.searchsorted(features.starts, start, side="right")) - 1
                assert start + length <= features.starts[stream] + features.lengths[stream]
                ends = range(
                    start + length - int(features.starts[stream]) - SHIFT_SLICES,
                    start + length - int(features.starts[stream]) + 1,
                )
                inferences = [end // TINY.stride - 1 for end in ends if end % TINY.stride == 0]
                assert round(row.probability * 255) in streams[stream][inferences]
        # A session that goes on after any of the minings knows what was mined by then, and no more.
        for step, state in zip((9, 6, 3, 0), reversed(states), strict=True):
            later = miner_of(folder, joined, words, threshold=threshold, limit=limit, taken=taken)
            assert later.restore(step).digest == state.digest
            assert {path.name for path in folder.iterdir()} - {"mined.csv"} == {row.file for row in read_table(folder)}


def test_a_folder_of_another_mining_is_left_alone(
    negatives: JoinedNegatives, words: FeatureSet, tmp_path: Path
) -> None:
    other = MinedClip("a.wav", "0" * 64, "/elsewhere.wav", "1" * 64, 0, 9, 0.9, 0.8, "m", "2026-01-01", 9, None)
    write_table(tmp_path, [other])
    with pytest.raises(ConfigError, match=r"mined\.csv: a\.wav is not of this training; move the folder elsewhere"):
        miner_of(tmp_path, negatives, words).restore(0)
    assert read_table(tmp_path) == (other,)


def test_features_of_other_recordings_are_refused(records: list[SampleRecord], negatives: JoinedNegatives) -> None:
    with pytest.raises(ConfigError, match="of other recordings than those that were checked"):
        JoinedNegatives.of(records[1:], negatives.features, SEED)


# --- a training that mines
# -------------------------------------------------------------------------------------------------------


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
