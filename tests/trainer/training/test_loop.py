"""Training: its phases, the run and its resumption."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.config.lengths import receptive_field
from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.drawn_sets import FeatureSet
from trainer.networks.weights import BEST_WEIGHTS, load_weights
from trainer.training import checkpoints, loop
from trainer.training.interrupt import delayed_interrupt
from trainer.training.progress import Silent, StepReport
from trainer.training.scores import Checkpoint, ValidationScores
from trainer.training.training_run import Evaluate, TrainingRun
from wakeword.errors import ConfigError

pytestmark = pytest.mark.usefixtures("steps_not_compiled")

SETTINGS = TrainingSection(
    training_steps=(90, 30), learning_rates=(3e-3, 1e-3), batch_size=16, eval_step_interval=45, seed=5
)


def changed(**values: Any) -> TrainingSection:
    return SETTINGS.model_copy(update=values)


FEW_STEPS = changed(training_steps=(6, 2), eval_step_interval=3)


def test_phases_follow_one_another() -> None:
    assert SETTINGS.steps == 120
    assert [SETTINGS.phase_of(step) for step in (0, 89, 90, 119, 120, 10**6)] == [0, 0, 1, 1, 1, 1]
    alone = SETTINGS.last_phase(negative_class_weight=(7.0,))
    assert (alone.steps, alone.learning_rates, alone.negative_class_weight, alone.seed) == (30, (1e-3,), (7.0,), 5)
    assert [SETTINGS.evaluations_after(step) for step in (0, 45, 46, 90, 91, 120)] == [3, 3, 2, 2, 1, 1]
    assert [changed(eval_step_interval=60).evaluations_after(step) for step in (0, 60, 61, 120)] == [2, 2, 1, 1]


def test_a_second_interrupt_stops_at_once_and_the_handler_is_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), delayed_interrupt() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before


NET = NetworkConfig(
    first_conv_filters=8,
    pointwise_filters=(8, 8),
    mixconv_kernel_sizes=((3,), (3, 5)),
    repeat_in_block=(1, 1),
    residual_connection=(0, 1),
    dropout_rate=0.2,
    l2_regularization=1e-4,
)
WINDOW = receptive_field(NET, 5)


def rising_sets(clips: int = 20) -> list[FeatureSet]:
    """Wake words whose features rise at the end, among noise."""
    rng = np.random.default_rng(3)
    negatives = [rng.integers(-100, 100, (60, 40)).astype(np.int8) for _ in range(clips)]
    words = [rng.integers(-100, 100, (60, 40)).astype(np.int8) for _ in range(clips)]
    for word in words:
        word[-20:, ::2], word[-20:, 1::2] = 100, -100
    return [
        FeatureSet("words", True, words, truncation_strategy="truncate_start", end_shift_slices=3),
        FeatureSet("negatives", False, negatives),
    ]


@dataclass
class Recorder(Silent):
    """Keeps the events of a run, and interrupts it at a step."""

    interrupt_at: int = -1
    reports: list[StepReport] = field(default_factory=list)
    checkpoints: list[tuple[Checkpoint, bool]] = field(default_factory=list)
    resumed_at: int | None = None
    was_extended: tuple[int, int] | None = None

    def extended(self, before: int, steps: int) -> None:
        self.was_extended = before, steps

    def resumed(self, step: int, best: Checkpoint | None) -> None:  # noqa: ARG002
        self.resumed_at = step

    def stepped(self, report: StepReport) -> None:
        self.reports.append(report)
        if report.step == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)

    def evaluated(self, checkpoint: Checkpoint, best: bool) -> None:
        self.checkpoints.append((checkpoint, best))


def separation(model: Any) -> ValidationScores:
    """Scores that grow with the distance between words and noise."""
    batch = BatchSampler(rising_sets(), WINDOW, TrainingSection(batch_size=64, seed=9)).batch(0)
    probability = model(((batch.features.astype(np.float32) + 128) * (26 / 255)), training=False).numpy()[:, 0]
    recall = float(np.mean(probability[batch.truth == 1] > 0.5))
    return ValidationScores(
        recall, float(np.sum(probability[batch.truth == 0] > 0.5)), float(probability[batch.truth == 1].mean())
    )


def train(
    folder: Path, settings: TrainingSection = SETTINGS, evaluate: Evaluate = separation, **changes: Any
) -> loop.TrainingResult:
    return loop.train(replace(TrainingRun(NET, WINDOW, rising_sets(), settings, folder, evaluate), **changes))


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[loop.TrainingResult, Recorder]:
    recorder = Recorder()
    return train(tmp_path_factory.mktemp("whole"), progress=recorder), recorder


def weights_of(result: loop.TrainingResult) -> list[NDArray[np.float32]]:
    return [np.asarray(weight) for weight in result.model.get_weights()]


def assert_same_weights(first: loop.TrainingResult, second: loop.TrainingResult) -> None:
    for one, other in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_scored_and_kept_is_within_the_scale_and_training_goes_on_without(tmp_path: Path) -> None:
    def halved(model: Any) -> None:
        for weight in model.get_layer("head").weights:
            weight.assign(weight / 2)

    def heads(folder: str, **changes: Any) -> tuple[list[Any], Any]:
        seen = []

        def evaluate(model: Any) -> ValidationScores:
            seen.append(model.get_layer("head").get_weights()[0])
            return ValidationScores(0.5, 0, len(seen) / 10)

        result = train(tmp_path / folder, FEW_STEPS, evaluate=evaluate, **changes)
        return seen, result.model.get_layer("head").get_weights()[0]

    (plain, kept), (divided, kept_divided) = heads("plain"), heads("divided", within_scale=halved)
    np.testing.assert_array_equal(kept, plain[-1])
    np.testing.assert_array_equal(kept_divided, divided[-1])
    np.testing.assert_allclose(divided, np.array(plain) / 2, rtol=1e-6)


def test_a_run_learns_and_keeps_its_best_weights(whole_run: tuple[loop.TrainingResult, Recorder]) -> None:
    from trainer.networks.models import build_model

    result, recorder = whole_run
    assert result.steps == 120
    assert [checkpoint.step for checkpoint, _ in recorder.checkpoints] == [45, 90, 120]
    assert result.best == [checkpoint for checkpoint, best in recorder.checkpoints if best][-1]
    assert result.best.scores.recall > 0.9
    assert separation(result.model) == result.best.scores
    losses = [report.loss for report in recorder.reports]
    assert losses[-1] < losses[0]
    assert {(report.phase, report.learning_rate) for report in recorder.reports} == {(1, 3e-3), (2, 1e-3)}
    assert recorder.reports[-1].step == 120
    restored = build_model(NET, WINDOW)
    load_weights(restored, result.weights)
    assert separation(restored) == result.best.scores
    assert {path.name for path in result.weights.parent.iterdir()} == {BEST_WEIGHTS, checkpoints.STATE}


# 45 is due for an evaluation, 90 also ends a phase, 120 ends the run.
@pytest.mark.parametrize(
    "step", [45, pytest.param(90, marks=pytest.mark.slow), pytest.param(120, marks=pytest.mark.slow)]
)
def test_an_interrupted_run_goes_on_to_the_same_model(
    whole_run: tuple[loop.TrainingResult, Recorder], tmp_path: Path, step: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, progress=Recorder(interrupt_at=step))
    recorder = Recorder()
    result = train(tmp_path, progress=recorder)
    assert recorder.resumed_at == step
    assert result.best == whole_run[0].best
    assert_same_weights(result, whole_run[0])


@pytest.mark.slow
def test_an_interrupt_between_evaluations_loses_no_step(
    whole_run: tuple[loop.TrainingResult, Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, progress=Recorder(interrupt_at=67))
    recorder = Recorder()
    result = train(tmp_path, progress=recorder)
    assert recorder.resumed_at == 67
    assert_same_weights(result, whole_run[0])


def test_a_run_killed_in_an_evaluation_repeats_it(
    whole_run: tuple[loop.TrainingResult, Recorder], tmp_path: Path
) -> None:
    evaluations = 0

    def killed(model: Any) -> ValidationScores:
        nonlocal evaluations
        evaluations += 1
        if evaluations == 2:
            raise SystemExit
        return separation(model)

    with pytest.raises(SystemExit):
        train(tmp_path, evaluate=killed)
    recorder = Recorder()
    result = train(tmp_path, progress=recorder)
    assert recorder.resumed_at == 90
    assert [checkpoint.step for checkpoint, _ in recorder.checkpoints] == [90, 120]
    assert_same_weights(result, whole_run[0])


def test_an_interrupt_in_the_last_evaluation_is_not_lost(tmp_path: Path) -> None:
    settings = SETTINGS.last_phase(training_steps=(2,))

    def interrupted(model: Any) -> ValidationScores:
        os.kill(os.getpid(), signal.SIGINT)
        return separation(model)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, settings, evaluate=interrupted)
    result = train(tmp_path, settings, progress=(recorder := Recorder()))
    assert (result.best.step, recorder.checkpoints) == (2, [])


def test_a_finished_run_is_not_trained_again(whole_run: tuple[loop.TrainingResult, Recorder]) -> None:
    result, _ = whole_run
    recorder = Recorder()
    again = train(result.weights.parent, progress=recorder)
    assert not recorder.reports
    assert (again.best, again.steps) == (result.best, result.steps)
    assert_same_weights(again, result)


LONGER = changed(training_steps=(90, 50))


@pytest.fixture(scope="module")
def longer_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("longer")
    train(folder, LONGER)
    return folder


@pytest.mark.parametrize("first", [10, 30])
def test_a_run_goes_on_with_more_steps_as_if_it_had_had_them_from_the_start(
    whole_run: tuple[loop.TrainingResult, Recorder], longer_run: Path, tmp_path: Path, first: int
) -> None:
    """Its last phase ends between two evaluations, or at one."""
    short = changed(training_steps=(90, first))
    if first == 30:
        shutil.copytree(whole_run[0].weights.parent, tmp_path, dirs_exist_ok=True)
    else:
        train(tmp_path, short)
    recorder = Recorder()
    result = train(tmp_path, LONGER, progress=recorder)
    assert (recorder.resumed_at, recorder.was_extended) == (short.steps, (short.steps, LONGER.steps))
    assert [checkpoint.step for checkpoint, _ in recorder.checkpoints] == [
        step for step in (135, 140) if step > short.steps
    ]
    assert result.steps == 140
    with np.load(tmp_path / checkpoints.STATE) as one, np.load(longer_run / checkpoints.STATE) as other:
        assert set(one.files) == set(other.files)
        for name in set(one.files) - {"header"}:
            np.testing.assert_array_equal(one[name], other[name])
    with pytest.raises(
        ConfigError, match=r"has done 140 steps, more than the 120 of training\.training_steps; give as many or more"
    ):
        train(tmp_path)
    assert whole_run[0].steps == checkpoints.steps_done(whole_run[0].weights.parent / checkpoints.STATE) == 120


def test_steps_done_of_what_is_no_state_are_none(tmp_path: Path) -> None:
    assert checkpoints.steps_done(tmp_path / "none") == 0
    (tmp_path / "damaged").write_bytes(b"PK\x03\x04 no more")
    assert checkpoints.steps_done(tmp_path / "damaged") == 0


def test_a_folder_of_another_run_is_refused(whole_run: tuple[loop.TrainingResult, Recorder]) -> None:
    folder = whole_run[0].weights.parent
    with pytest.raises(ConfigError, match="left by a run with another configuration or other data"):
        train(folder, changed(seed=6))
    with pytest.raises(ConfigError, match="left by a run with another configuration or other data"):
        train(folder, changed(training_steps=(91, 30)))
    with pytest.raises(ConfigError, match="left by a run with another configuration or other data"):
        train(folder, sets=rising_sets(21))


class _Later(TrainingSection):
    """The section of a later version."""

    later: float = 0.0


def test_a_setting_that_comes_later_is_part_of_what_a_run_is_known_by(tmp_path: Path) -> None:
    def fingerprint(settings: TrainingSection) -> str:
        run = TrainingRun(NET, WINDOW, rising_sets(), settings, tmp_path, separation)
        return run.fingerprint(BatchSampler(run.sets, WINDOW, settings), "2.0", "float32")

    values = SETTINGS.model_dump()
    assert fingerprint(_Later(**values)) == fingerprint(SETTINGS) != fingerprint(_Later(**values, later=2))
    by_format_4 = "ff130e633d125e8146040e13862aba7b3809a7eef0dc210932326599c9b15707"
    assert fingerprint(SETTINGS) == by_format_4, "runs that were begun before a setting came go on"


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / checkpoints.STATE).write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(ConfigError, match=r"training_state\.npz: damaged"):
        train(tmp_path)


def test_weights_of_another_model_are_refused(whole_run: tuple[loop.TrainingResult, Recorder], tmp_path: Path) -> None:
    from trainer.networks.models import build_model

    other = build_model(NET.model_copy(update={"pointwise_filters": (8, 9)}), WINDOW)
    with pytest.raises(ConfigError, match="not the weights of this model"):
        load_weights(other, whole_run[0].weights)
    with pytest.raises(ConfigError, match="no such checkpoint"):
        load_weights(other, tmp_path / "none.weights.h5")


def test_what_a_killed_session_was_writing_goes_and_what_is_whole_stays(tmp_path: Path) -> None:
    whole = ["best_weights.weights.h5", "training_state.npz", ".notes"]
    for name in (
        *whole,
        ".best_weights.weights.h5.2fpj81u7.partial",
        ".best_weights.weights.h5.2fpj81u7.partial.weights.h5",
        ".training_state.npz.x.partial",
    ):
        (tmp_path / name).touch()
    checkpoints.remove_partial(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(whole)
    checkpoints.remove_partial(tmp_path / "not there")
