"""The learning rate of each step, patience, and runs that are interrupted on the way."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.networks import TINY
from tests.trainer.training.test_optimizers import assert_same_states
from tests.trainer.training.test_records import WINDOW, curves, feature_sets
from trainer.config.loader import CONFIG_NAME, load_config, write_config
from trainer.config.sections import TrainerConfig
from trainer.config.training_sections import TrainingSection
from trainer.training import checkpoints, loop
from trainer.training.patience import Patience
from trainer.training.progress import Silent, StepReport
from trainer.training.run import checked_recordings
from trainer.training.schedules import cosine, learning_rate
from trainer.training.scores import Checkpoint, ValidationScores
from trainer.training.step import TrainState
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError

BASE = TrainingSection(training_steps=(10, 10), learning_rates=(1e-2, 1e-3), batch_size=8, eval_step_interval=2, seed=5)


def changed(**values: Any) -> TrainingSection:
    return TrainingSection(**(BASE.model_dump() | values))


def test_phases_have_their_own_rates() -> None:
    assert [learning_rate(BASE, step) for step in (0, 9, 10, 19)] == [1e-2, 1e-2, 1e-3, 1e-3]


@given(st.integers(1, 300), st.floats(0, 1), st.floats(0, 0.9))
def test_a_cosine_rises_and_falls_as_its_papers_write(steps: int, warm: float, final: float) -> None:
    warm_up = int(warm * (steps - 1))
    shares = [cosine(step, steps, warm_up, final) for step in range(steps)]
    np.testing.assert_allclose(shares[:warm_up], np.arange(1, warm_up + 1) / warm_up if warm_up else [])
    assert shares[warm_up] == pytest.approx(1)
    period = steps - warm_up
    falling = [final + 0.5 * (1 - final) * (1 + math.cos(now / period * math.pi)) for now in range(period)]
    np.testing.assert_allclose(shares[warm_up:], falling)


def test_a_cosine_spans_all_phases_and_begins_with_the_first_rate() -> None:
    section = changed(schedule="cosine", warm_up_steps=4, cosine_final_fraction=0.1)
    rates = [learning_rate(section, step) for step in range(20)]
    assert rates[:5] == pytest.approx([2.5e-3, 5e-3, 7.5e-3, 1e-2, 1e-2])
    assert rates[12] == pytest.approx(1e-2 * 0.55), "half way down"
    assert rates[-1] == pytest.approx(1e-3, rel=0.1)


def test_a_plateau_lowers_the_first_rate() -> None:
    section = changed(schedule="plateau", plateau_factor=0.5)
    assert [learning_rate(section, 15, lowered) for lowered in range(3)] == [1e-2, 5e-3, 2.5e-3]


def test_what_is_tuned_after_a_training_has_its_last_rate_to_the_end() -> None:
    for section in (changed(schedule="cosine", warm_up_steps=9), changed(early_stopping_evaluations=2)):
        tuned = section.last_phase(training_steps=(3,))
        assert [learning_rate(tuned, step) for step in range(3)] == [1e-3] * 3
        assert not Patience(waited=10).is_over(tuned)


RECALLS = st.lists(st.sampled_from((0.1, 0.2, 0.3, 0.4)), min_size=1, max_size=30)


@given(RECALLS, st.integers(1, 4), st.integers(0, 6))
def test_patience_is_that_of_a_list_of_all_evaluations(recalls: list[float], patience: int, stopping: int) -> None:
    section = BASE.model_copy(
        update={"schedule": "plateau", "plateau_patience": patience, "early_stopping_evaluations": stopping}
    )
    state, waited, lowered = Patience(), 0, 0
    for number, recall in enumerate(recalls, 1):
        waited = 0 if number == 1 or recall > max(recalls[: number - 1]) else waited + 1
        over = stopping > 0 and waited >= stopping
        falls = waited > 0 and waited % patience == 0 and not over
        lowered += falls
        assert state.evaluated(Checkpoint(2 * number, ValidationScores(recall, 0, recall)), section) == falls
        assert (state.waited, state.lowered, state.is_over(section)) == (waited, lowered, over)
        assert state.best is not None and recalls[state.best.step // 2 - 1] == max(recalls[:number])
        if over:
            break


@dataclass
class Watching(Silent):
    """Keeps what a run tells, and interrupts it at a step."""

    interrupt_at: int = -1
    lines: list[str] = field(default_factory=list)
    rates: dict[int, float] = field(default_factory=dict)
    extensions: list[tuple[int, int]] = field(default_factory=list)

    def extended(self, before: int, steps: int) -> None:
        self.extensions.append((before, steps))

    def told(self, message: str) -> None:
        self.lines.append(message)

    def stepped(self, report: StepReport) -> None:
        self.rates[report.step] = report.learning_rate
        if report.step == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)


@dataclass
class Scripted:
    """Scores by the number of the evaluation, and a process that dies in one."""

    recalls: Sequence[float]
    done: int = 0
    dies_at: int = 0

    def __call__(self, model: Any) -> ValidationScores:  # noqa: ARG002  # the signature of an evaluation
        self.done += 1
        if self.done == self.dies_at:
            raise SystemExit
        recall = self.recalls[self.done - 1]
        return ValidationScores(recall, 0.0, recall)


pytestmark = pytest.mark.usefixtures("steps_not_compiled")


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rates that the optimizer has at each step."""
    rates: list[float] = []
    step = TrainState.train_step

    def train_step(self: TrainState, batch: Any) -> Any:
        rates.append(float(self._optimizer.learning_rate))
        return step(self, batch)

    monkeypatch.setattr(TrainState, "train_step", train_step)
    return rates


def run_of(folder: Path, section: TrainingSection, recalls: Sequence[float], **changes: Any) -> TrainingRun:
    run = TrainingRun(TINY, WINDOW, feature_sets(), section, folder / "checkpoints", Scripted(recalls))
    return replace(run, **changes)


RISING = [number / 10 for number in range(1, 11)]
COSINE = changed(schedule="cosine", warm_up_steps=4, cosine_final_fraction=0.1)
PLATEAU = changed(schedule="plateau", plateau_patience=2, plateau_factor=0.5)
WAITING = [0.3, 0.2, 0.2, 0.2, 0.3, 0.4, 0.1, 0.4, 0.5, 0.5]


def test_each_step_has_its_rate_and_tensorboard_shows_it(tmp_path: Path, used: list[float]) -> None:
    watching = Watching()
    loop.train(run_of(tmp_path, COSINE, RISING, records=tmp_path, progress=watching))
    wanted = [learning_rate(COSINE, step) for step in range(20)]
    assert used == pytest.approx(wanted)
    assert [watching.rates[step + 1] for step in range(20)] == pytest.approx(wanted)
    shown = dict(curves(tmp_path)["training/learning_rate"])
    assert shown == pytest.approx({step: wanted[step - 1] for step in range(2, 21, 2)})


def test_a_rate_goes_down_where_no_evaluation_is_better(tmp_path: Path, used: list[float]) -> None:
    watching = Watching()
    result = loop.train(run_of(tmp_path, PLATEAU, WAITING, records=tmp_path, progress=watching))
    of_evaluations = [1e-2] * 3 + [5e-3] * 2 + [2.5e-3] * 3 + [1.25e-3] * 2
    assert used == pytest.approx([rate for rate in of_evaluations for _ in range(2)])
    assert watching.lines == [
        f"step {step}: {waited} evaluations in a row were no better than step {best}; the learning rate goes down to"
        f" {rate}"
        for step, waited, best, rate in ((6, 2, 2, "0.005"), (10, 4, 2, "0.0025"), (16, 2, 12, "0.00125"))
    ]
    assert all(line in (tmp_path / "training.log").read_text() for line in watching.lines)
    assert result.steps == 20


@pytest.mark.parametrize("section", [BASE, COSINE, PLATEAU], ids=["phases", "cosine", "plateau"])
def test_a_run_that_was_interrupted_and_killed_has_the_rates_and_weights_of_one_that_was_not(
    section: TrainingSection, tmp_path: Path, used: list[float]
) -> None:
    whole = run_of(tmp_path / "whole", section, WAITING)
    loop.train(whole)
    wanted, used[:] = used[:], []
    folder = tmp_path / "parted"
    with pytest.raises(KeyboardInterrupt):
        loop.train(run_of(folder, section, WAITING, progress=Watching(interrupt_at=5)))
    with pytest.raises(SystemExit):
        loop.train(run_of(folder, section, (), evaluate=Scripted(WAITING, 2, dies_at=4)))
    loop.train(run_of(folder, section, (), evaluate=Scripted(WAITING, 3)))
    assert used == wanted
    assert_same_states(whole.folder, folder / "checkpoints")


def test_more_steps_are_another_cosine(tmp_path: Path) -> None:
    loop.train(run_of(tmp_path, changed(schedule="cosine"), RISING))
    with pytest.raises(ConfigError, match="another configuration"):
        loop.train(run_of(tmp_path, changed(schedule="cosine", training_steps=(10, 12)), RISING))


def test_a_folder_of_a_cosine_says_why_more_steps_are_refused(tmp_path: Path) -> None:
    def config(steps: int) -> TrainerConfig:
        settings = ("export.wake_word=computer", "training.schedule=cosine", f"training.training_steps=[10,{steps}]")
        return load_config("fast_test", settings=settings)

    write_config(config(10), tmp_path / CONFIG_NAME)
    with pytest.raises(ConfigError, match="all its learning rates depend on the number of steps; give another --out"):
        checked_recordings(config(20), tmp_path, Silent())


STOPPING = changed(training_steps=(1, 19), early_stopping_evaluations=3)


def test_a_training_ends_where_no_evaluation_is_better(tmp_path: Path) -> None:
    watching = Watching()
    run = run_of(tmp_path, STOPPING, WAITING, records=tmp_path, progress=watching)
    result = loop.train(run)
    assert (result.steps, result.best.step) == (8, 2)
    (line,) = watching.lines
    assert line == (
        "step 8: 3 evaluations in a row were no better than step 2; the training ends here, 12 steps early"
        " (training.early_stopping_evaluations)"
    )
    assert line in (tmp_path / "training.log").read_text()
    again = loop.train(replace(run, evaluate=Scripted(()), progress=Watching()))
    assert (again.steps, again.best) == (8, result.best), "it has ended, also for a later session"
    watching = Watching()
    longer = replace(run, settings=STOPPING.model_copy(update={"training_steps": (1, 59)}), evaluate=Scripted(()))
    assert loop.train(replace(longer, progress=watching)).steps == 8, "with more steps it would have ended there, too"
    assert watching.lines == [line.replace("12 steps", "52 steps")], "it says why nothing is done"
    assert not watching.extensions
    assert checkpoints.stopped_early(run.folder / checkpoints.STATE, STOPPING)
    assert not checkpoints.stopped_early(run.folder / checkpoints.STATE, BASE)
    assert not checkpoints.stopped_early(tmp_path / "none", STOPPING)


def test_with_phases_a_training_ends_in_the_last_one_alone(tmp_path: Path) -> None:
    """Where synthetic words validate, the checkpoint that is kept is nearly always one of the last phase."""
    section = changed(early_stopping_evaluations=3)
    result = loop.train(run_of(tmp_path, section, [0.9, 0.2, 0.2, 0.2, 0.2, *[0.3] * 5]))
    assert result.steps == 16, "the first three of the second phase, and none of the first, were waited for"


def test_a_run_that_waited_in_its_first_phase_is_not_over_before_the_first_evaluation_of_the_next(
    tmp_path: Path,
) -> None:
    section = changed(early_stopping_evaluations=3)
    with pytest.raises(KeyboardInterrupt):
        loop.train(run_of(tmp_path, section, [0.9, *[0.2] * 5], progress=Watching(interrupt_at=11)))
    assert loop.train(run_of(tmp_path, section, [0.2, 0.95, 0.2, 0.2, 0.2])).steps == 20


def test_a_resumed_training_has_waited_as_long_as_one_that_was_not_interrupted(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop.train(run_of(tmp_path, STOPPING, WAITING, progress=Watching(interrupt_at=5)))
    with pytest.raises(SystemExit):
        loop.train(run_of(tmp_path, STOPPING, (), evaluate=Scripted(WAITING, 2, dies_at=4)))
    assert loop.train(run_of(tmp_path, STOPPING, (), evaluate=Scripted(WAITING, 3))).steps == 8


def test_an_evaluation_at_the_end_of_a_shorter_run_counts_for_no_longer_one(tmp_path: Path) -> None:
    """The one of step 7 is there only because the run ended; one of 20 steps from the start has none."""
    short = changed(training_steps=(1, 6), early_stopping_evaluations=3)
    loop.train(run_of(tmp_path, short, [0.3, 0.2, 0.2, 0.9]))
    long = short.model_copy(update={"training_steps": (1, 19)})
    assert loop.train(run_of(tmp_path, long, [0.2, 0.2, 0.2])).steps == 8
