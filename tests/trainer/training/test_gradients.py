"""The gradient's limit, and steps whose loss or gradient is not finite."""

from __future__ import annotations

import csv
import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tests.networks import TINY
from tests.trainer.training.brought import Brought
from tests.trainer.training.test_step import SINGLE, batch, model_of
from trainer.config.lengths import receptive_field
from trainer.config.loader import load_config
from trainer.config.training_sections import GradientClipping, TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.drawn_sets import FeatureSet
from trainer.networks.weights import BEST_WEIGHTS
from trainer.training import checkpoints, loop
from trainer.training.gradients import ENOUGH, REMEMBERED, GradientLimit, skipped_steps
from trainer.training.progress import Silent, StepReport
from trainer.training.scores import ValidationScores
from trainer.training.step import TrainState
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError

pytestmark = pytest.mark.usefixtures("steps_not_compiled")

WINDOW = receptive_field(TINY, 4)
SGD = None
"""Any optimizer whose moments do not tell the gradient."""


def limited(limit: GradientLimit, norm: float) -> tuple[float, float]:
    """The norm that a gradient of two weights has after the limit, and the one that is told."""
    import tensorflow as tf

    given = [tf.constant([0.6 * norm]), tf.constant([[0.0, 0.8 * norm]])]
    within, (told,) = limit(given)
    for one, other in zip(within, given, strict=True):  # its direction stays
        np.testing.assert_allclose(
            one.numpy() * np.linalg.norm(other.numpy()), other.numpy() * np.linalg.norm(one.numpy()), rtol=1e-5
        )
    return float(tf.linalg.global_norm(within)), float(told)


def test_a_fixed_norm_is_kept_and_none_limits_nothing() -> None:
    assert limited(GradientLimit("none", SGD), 50.0) == pytest.approx((50.0, 50.0))
    assert limited(GradientLimit(2.0, SGD), 50.0) == pytest.approx((2.0, 50.0))
    assert limited(GradientLimit(2.0, SGD), 1.5) == pytest.approx((1.5, 1.5))


def test_the_adaptive_limit_is_five_times_the_median_and_one() -> None:
    limit = GradientLimit("adaptive", SGD)
    rng = np.random.default_rng(0)
    norms = [*rng.uniform(0.01, 0.03, ENOUGH - 1).tolist(), 0.9]
    for norm in norms:  # too few are known: the fixed limit alone
        assert limited(limit, norm)[0] == pytest.approx(norm, rel=1e-5)
    for norm in (0.02, 0.3, 4.0):
        expected = 5 * sorted(norms)[(len(norms) - 1) // 2]
        assert expected < 0.3
        assert limited(limit, norm) == pytest.approx((min(norm, expected), norm), rel=1e-5)
        norms.append(norm)
    for _ in range(REMEMBERED):  # what is long ago is forgotten
        limited(limit, 7.0)
    assert limited(limit, 30.0) == pytest.approx((1.0, 30.0), rel=1e-5)


@pytest.mark.parametrize("clipping", ["none", "adaptive"])
def test_a_step_that_is_not_finite_changes_nothing(clipping: GradientClipping) -> None:
    config, settings = SINGLE.model_copy(update={"dropout_rate": 0.0}), TrainingSection(gradient_clipping=clipping)
    slices = receptive_field(config, 6)
    state = TrainState(model_of(config, slices), config, settings)
    state.set_learning_rate(1e-2)
    for number in range(3):
        state.train_step(batch(slices, number))
    before = [variable.value.numpy() for variable in state.variables]
    bad = batch(slices, 3)
    bad.weights[5] = np.inf
    assert not np.isfinite(state.train_step(bad).numpy()[[0, 4]]).all()
    for variable, was in zip(state.variables, before, strict=True):
        np.testing.assert_array_equal(variable.value.numpy(), was)
    loss, *_, norm = state.train_step(batch(slices, 4)).numpy()
    assert np.isfinite(loss)
    assert norm > 0


def test_the_limit_acts_in_the_step() -> None:
    """By plain SGD's definition Adam's first step does not show a norm, so its first moments do."""
    slices = receptive_field(SINGLE, 6)
    first_moments = []
    for clipping in ("none", 1e-3):
        state = TrainState(model_of(SINGLE, slices), SINGLE, TrainingSection(gradient_clipping=clipping))
        norm = float(state.train_step(batch(slices, 0))[4])
        moments = [variable.value.numpy() / 0.1 for variable in state.variables if variable.path.endswith("_momentum")]
        first_moments.append((norm, float(np.sqrt(sum(np.sum(moment**2) for moment in moments)))))
    assert first_moments[0][0] == pytest.approx(first_moments[1][0])
    assert first_moments[0][1] == pytest.approx(first_moments[0][0], rel=1e-4)
    assert first_moments[1][1] == pytest.approx(1e-3, rel=1e-4)


def test_two_in_a_row_end_a_training_and_single_ones_do_not() -> None:
    assert skipped_steps([True, False, True, False], 11, 0, "") == ([12, 14], 1)
    assert skipped_steps([True, False], 15, 1, "") == ([16], 1)
    with pytest.raises(ConfigError, match=r"at 2 steps in a row, up to step 15: these changed nothing\. Rest\."):
        skipped_steps([False], 15, 1, "Rest.")


@dataclass
class Watching(Silent):
    """What a run says, and an interrupt at a step."""

    interrupt_at: int = -1
    steps: list[int] = field(default_factory=list)

    def skipped(self, step: int) -> None:
        self.steps.append(step)

    def stepped(self, report: StepReport) -> None:
        if report.step == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)


SETTINGS = TrainingSection(
    training_steps=(24,),
    learning_rates=(3e-3,),
    positive_class_weight=(1.0,),
    negative_class_weight=(1.0,),
    batch_size=8,
    eval_step_interval=8,
    seed=5,
    gradient_clipping="adaptive",
)


def run_in(folder: Path, share_of_broken: float, progress: Watching) -> TrainingRun:
    """Some batches hold a window whose loss is infinite."""
    rng = np.random.default_rng(3)
    clips = [rng.integers(-100, 100, (50, 40)).astype(np.int8) for _ in range(9)]
    sets = [
        FeatureSet("words", True, clips[:4], truncation_strategy="truncate_start"),
        FeatureSet("negatives", False, clips[4:8]),
        FeatureSet("broken", False, clips[8:], sampling_weight=share_of_broken, penalty_weight=float("inf")),
    ]
    scores = ValidationScores(0.5, 9.0, 0.25, 0.125)
    return TrainingRun(TINY, WINDOW, sets, SETTINGS, folder / "checkpoints", lambda _: scores, progress, records=folder)


def test_a_single_step_is_skipped_and_told_and_a_resumed_run_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)
    watched = Watching()
    whole = loop.train(run_in(tmp_path / "whole", 0.02, watched))
    drawn = BatchSampler(run_in(tmp_path, 0.02, watched).sets, WINDOW, SETTINGS)
    assert watched.steps == [step + 1 for step in range(24) if 8 in drawn.batch(step).clips] == [11, 20]
    last = watched.steps[-1]
    assert f"step {last}: its loss or gradient is not finite" in (tmp_path / "whole/training.log").read_text()
    with (tmp_path / "whole/validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["skipped_steps"]) for row in rows) == len(watched.steps)
    assert all(0 < float(row["gradient_norm_median"]) <= float(row["gradient_norm_largest"]) for row in rows)
    with pytest.raises(KeyboardInterrupt):
        loop.train(run_in(tmp_path / "parts", 0.02, Watching(interrupt_at=last)))
    parts = loop.train(run_in(tmp_path / "parts", 0.02, Watching()))
    assert parts.steps == whole.steps == 24
    states = [np.load(tmp_path / name / "checkpoints" / checkpoints.STATE) for name in ("whole", "parts")]
    for name in set(states[0].files) - {"header"}:
        np.testing.assert_array_equal(states[0][name], states[1][name])
    assert (tmp_path / "parts/validation.csv").read_text() == (tmp_path / "whole/validation.csv").read_text()


def test_it_ends_when_it_repeats_and_the_best_weights_stay(tmp_path: Path) -> None:
    """A third of the windows are broken from the ninth step on."""
    watched = Watching()
    run = run_in(tmp_path, 0.0, watched)
    broken = run_in(tmp_path, 1.0, watched).sets
    with pytest.raises(ConfigError, match=r"not finite at 2 steps in a row, up to step 10.*weights of step 8 are kept"):
        loop.train(replace(run, hard_negatives=Brought(run.sets, broken)))
    assert (run.folder / BEST_WEIGHTS).is_file()
    assert checkpoints.steps_done(run.folder / checkpoints.STATE) == 8


@pytest.mark.parametrize("value", ["often", "0", "-1", "true", "[1]"])
def test_other_limits_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="it must be none, adaptive, or a norm above 0"):
        load_config("standard", (), ["export.wake_word=computer", f"training.gradient_clipping={value}"])


@pytest.mark.parametrize(("value", "read"), [("none", "none"), ("adaptive", "adaptive"), ("2", 2.0)])
def test_limits_are_read(value: str, read: object) -> None:
    section = load_config("standard", (), ["export.wake_word=computer", f"training.gradient_clipping={value}"]).training
    assert section.gradient_clipping == read
