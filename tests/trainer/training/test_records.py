"""What a run records: log, table, curves, profiles and numbered checkpoints, whole after an interruption."""

from __future__ import annotations

import csv
import os
import pstats
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.networks import TINY
from trainer.config.lengths import receptive_field
from trainer.config.training_sections import PerformanceSection, TrainingSection
from trainer.data.drawn_sets import FeatureSet
from trainer.networks import runtime
from trainer.networks.weights import BEST_WEIGHTS
from trainer.training import checkpoints, loop
from trainer.training.profiling import Profiler, gpu_memory
from trainer.training.progress import Silent, StepReport
from trainer.training.scores import ValidationScores
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError

pytestmark = pytest.mark.usefixtures("steps_not_compiled")

WINDOW = receptive_field(TINY, 4)
SETTINGS = TrainingSection(
    training_steps=(12, 12),
    learning_rates=(3e-3, 1e-3),
    batch_size=8,
    eval_step_interval=4,
    seed=5,
    time_mask_max_size=(2, 0),
    time_mask_count=(1, 0),
    freq_mask_max_size=(3, 0),
    freq_mask_count=(1, 0),
)
PROFILED = PerformanceSection(enable_profiling=True, profile_every_n_steps=10)


def feature_sets() -> list[FeatureSet]:
    rng = np.random.default_rng(3)
    clips = [rng.integers(-100, 100, (50, 40)).astype(np.int8) for _ in range(8)]
    words = FeatureSet("words", True, clips[:4], truncation_strategy="truncate_start")
    return [words, FeatureSet("negatives", False, clips[4:])]


class Falling:
    """Scores of a run that gets better, and a process that dies where it is told to."""

    def __init__(self, dies_at: int = 0) -> None:
        self._calls, self._dies_at = 0, dies_at

    def __call__(self, model: Any) -> ValidationScores:  # noqa: ARG002  # the signature of an evaluation
        self._calls += 1
        if self._calls == self._dies_at:
            raise SystemExit
        return ValidationScores(0.5, 9.0, 0.25, 0.125, loss=0.5, accuracy=0.75, precision=None, f1=0.625, auc=0.875)


class Interrupting(Silent):
    def stepped(self, report: StepReport) -> None:
        if report.step == 6:
            os.kill(os.getpid(), signal.SIGINT)


def run_in(folder: Path, **changes: Any) -> TrainingRun:
    run = TrainingRun(
        TINY, WINDOW, feature_sets(), SETTINGS, folder / "checkpoints", Falling(), performance=PROFILED, records=folder
    )
    return replace(run, **changes)


def train(folder: Path, **changes: Any) -> loop.TrainingResult:
    return loop.train(run_in(folder, **changes))


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    import tensorflow as tf

    points: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(
        (folder / "tensorboard").glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns
    ):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                number = value.simple_value if value.WhichOneof("value") == "simple_value" else float("nan")
                points.setdefault(value.tag, []).append((event.step, number))
    return {name: sorted(values) for name, values in points.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, loop.TrainingResult]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(folder)


STEPS = [4, 8, 12, 16, 20, 24]


def test_curves_images_and_histograms_are_written_at_every_evaluation(whole: tuple[Path, loop.TrainingResult]) -> None:
    found = curves(whole[0])
    assert {name: [step for step, _ in points] for name, points in found.items()} == dict.fromkeys(found, STEPS)
    scalars = {
        "training": {"loss", "accuracy", "recall", "precision", "f1", "learning_rate"},
        "validation": {"loss", "accuracy", "f1", "auc"},
        "performance": {"batch_ms", "augmentation_ms", "step_ms", "steps_per_second"},
    }
    for group, names in scalars.items():
        assert {f"{group}/{name}" for name in names} <= found.keys()
    assert "validation/precision" not in found  # nothing was accepted
    assert not [name for name in found if "gpu" in name]  # no GPU, no figure of one
    of_batch = zip(found["performance/augmentation_ms"], found["performance/batch_ms"], strict=True)
    assert all(0 <= augmentation[1] <= batch[1] for augmentation, batch in of_batch)
    assert found["validation/recall_at_no_faph"] == [(step, 0.125) for step in STEPS]
    assert [value for _, value in found["training/learning_rate"]] == pytest.approx([3e-3] * 3 + [1e-3] * 3)
    assert all(0 <= value <= 1 for _, value in found["training/accuracy"])
    assert {"batch/0", "batch/3", "performance/waiting_for_batch_ms", "performance/peak_memory_mib"} <= found.keys()
    assert sum(name.startswith("weights/") for name in found) == len(whole[1].model.trainable_variables)


def test_log_and_table_hold_every_evaluation(whole: tuple[Path, loop.TrainingResult]) -> None:
    rows = list(csv.DictReader((whole[0] / "validation.csv").read_text().splitlines()))
    assert [(int(row["step"]), float(row["false_accepts_per_hour"]), row["best"]) for row in rows] == [
        (step, 9.0, "1") for step in STEPS
    ]
    assert {(row["loss"], row["accuracy"], row["precision"], row["f1"], row["auc"]) for row in rows} == {
        ("0.5", "0.75", "", "0.625", "0.875")
    }
    log = (whole[0] / "training.log").read_text()
    assert (
        "step 24: recall 50.0%, 9.00 false accepts/h, average viable recall 0.250, recall at no false accepts 12.5%;"
        " windows: loss 0.5000, accuracy 0.7500, none accepted, F1 0.625, AUC 0.8750  (best)" in log
    )
    assert "\x1b" not in log


@pytest.mark.parametrize(("every", "first"), [(10, [0, 20, 40]), (25, [0, 20, 40]), (30, [0, 20]), (45, [0, 40])])
def test_a_profile_begins_where_one_is_due_among_steps_that_are_done_at_once(
    every: int, first: list[int], tmp_path: Path
) -> None:
    profiler = Profiler(tmp_path, every)
    for start in range(0, 60, 20):
        profiler.before_steps(range(start, start + 20))
        for step in range(start, start + 20):
            profiler.after_step(step + 1)
    profiler.stop()
    assert sorted(int(path.stem.removeprefix("step_")) for path in tmp_path.glob("*.prof")) == first


def test_profiles_are_named_by_step_and_readable(whole: tuple[Path, loop.TrainingResult]) -> None:
    folder = whole[0] / "profiles"
    assert {path.name for path in folder.iterdir()} == {
        f"step_{step}.{kind}" for step in (0, 10, 20) for kind in ("prof", "txt")
    }
    assert pstats.Stats(str(folder / "step_10.prof")).total_calls > 0  # type: ignore[attr-defined]  # missing from the types
    assert "cumulative" in (folder / "step_10.txt").read_text()


def test_numbered_checkpoints_are_pruned(whole: tuple[Path, loop.TrainingResult]) -> None:
    names = {path.name for path in (whole[0] / "checkpoints").iterdir()}
    numbered = {f"checkpoint_step_{step}.weights.h5" for step in (16, 20, 24)} | {"best_fah_step_4.weights.h5"}
    assert names == numbered | {BEST_WEIGHTS, checkpoints.STATE}


def same(one: loop.TrainingResult, other: loop.TrainingResult) -> bool:
    return all(
        np.array_equal(first, second)
        for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    )


def deterministic(folder: Path) -> dict[str, list[tuple[int, float]]]:
    return {name: values for name, values in curves(folder).items() if name.startswith(("training/", "validation/"))}


def test_a_run_interrupted_and_killed_leaves_the_records_of_an_undisturbed_one(
    whole: tuple[Path, loop.TrainingResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, progress=Interrupting())
    with pytest.raises(SystemExit):
        train(tmp_path, evaluate=Falling(dies_at=2))  # in the evaluation of step 12
    save, calls = checkpoints.save_state, 0

    def killed(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the state of the evaluation that is already in the table and the curves
            raise SystemExit
        save(*arguments)

    monkeypatch.setattr(checkpoints, "save_state", killed)
    with pytest.raises(SystemExit):
        train(tmp_path)
    assert [step for step, _ in curves(tmp_path)["training/loss"]] == [4, 8, 12]
    monkeypatch.setattr(checkpoints, "save_state", save)
    result = train(tmp_path)
    assert same(result, whole[1])
    wanted, found = deterministic(whole[0]), deterministic(tmp_path)
    assert wanted.keys() == found.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)  # sums of sums, in another order
    assert (tmp_path / "validation.csv").read_text() == (whole[0] / "validation.csv").read_text()


def test_the_torn_end_of_an_event_file_is_cut_off(whole: tuple[Path, loop.TrainingResult], tmp_path: Path) -> None:
    from trainer.training.tensorboard import Curves

    (source,) = (whole[0] / "tensorboard").iterdir()
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / source.name).write_bytes(source.read_bytes()[:-5])
    Curves(tmp_path / "tensorboard", 16).close()
    assert [step for step, _ in curves(tmp_path)["training/loss"]] == [4, 8, 12, 16]


def test_nothing_is_recorded_without_a_folder_or_where_it_is_switched_off(tmp_path: Path) -> None:
    train(
        tmp_path,
        settings=SETTINGS.last_phase(training_steps=(1,)),
        performance=PerformanceSection(tensorboard_enabled=False),
    )
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoints", "training.log", "validation.csv"}


def test_a_gpu_that_is_asked_for_and_missing_is_an_error_that_says_what_to_install() -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(
        ConfigError,
        match=(
            r"no GPU; install NVIDIA's driver, and in the project's folder: pip install \"\.\[gpu\]\"; or set it to"
            r" false"
        ),
    ):
        runtime.start_tensorflow(settings=PerformanceSection(gpu_only=True))
    with pytest.raises(
        ConfigError, match=r"mixed_precision is true, but .* pip install \"\.\[gpu\]\"; or set it to false"
    ):
        runtime.compute_dtype(PerformanceSection(mixed_precision=True))
    assert runtime.compute_dtype(PerformanceSection()) == "float32"


def test_the_memory_of_all_gpus_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has a GPU here: what TensorFlow would say of two of them."""
    import tensorflow as tf

    said = {"GPU:0": {"current": 1 << 20, "peak": 3 << 20}, "GPU:1": {"current": 1 << 20, "peak": 4 << 20}}
    assert gpu_memory() == {}
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [f"{kind}:{index}" for index in range(2)])
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", lambda name: said[name])
    assert gpu_memory() == {"gpu_memory_mib": 2.0, "peak_gpu_memory_mib": 7.0}
