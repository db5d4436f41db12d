"""The training loop: steps, evaluations, the best checkpoint, and going on after an interrupt."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trainer.mixednet.config import MixedNetConfig
from trainer.mixednet.models import build_model
from trainer.training import checkpoints
from trainer.training.batches import BatchSampler, prefetch
from trainer.training.feature_set import FeatureSet
from trainer.training.interrupt import delayed_interrupt
from trainer.training.plan import TrainingPlan
from trainer.training.progress import Progress, Silent, StepReport
from trainer.training.runtime import start_tensorflow
from trainer.training.scores import Checkpoint, ValidationScores, is_better
from trainer.training.step import Trainee
from wakeword.errors import ConfigError

REPORT_INTERVAL_S = 0.25

Evaluate = Callable[[Any], ValidationScores]
"""Scores a `keras.Model` of `build_model` on validation data; `SlidingModel` runs its weights over whole recordings."""


@dataclass(frozen=True)
class TrainingResult:
    """A finished run."""

    model: Any
    """The `keras.Model` with the weights of the best checkpoint."""
    slices: int
    """Its training window."""
    best: Checkpoint
    weights: Path
    """The file of the best weights."""
    steps: int
    elapsed_s: float
    """Of all sessions of the run, evaluations included."""


def train(
    config: MixedNetConfig,
    slices: int,
    sets: Sequence[FeatureSet],
    plan: TrainingPlan,
    folder: Path,
    evaluate: Evaluate,
    progress: Progress | None = None,
    threads: int | None = None,
) -> TrainingResult:
    """Train a MixedNet on windows of `slices` and keep its best checkpoint in `folder`.

    Weights, batches and dropout follow from the plan's seed: on one machine two runs give the same model. The model is
    evaluated every `eval_step_interval` steps and after the last one. After Ctrl-C, or a kill, the same call goes on where
    the run was: at the interrupted step, or before the last evaluation.

    Raises `ConfigError` when the window does not fit the model, the sets lack a class, `folder` holds another run, or the
    loss is no longer finite; `KeyboardInterrupt` after the state is saved.
    """
    tf = start_tensorflow(threads)
    import keras

    sampler = BatchSampler(sets, slices, plan.batch_size, plan.seed)
    keras.utils.set_random_seed(plan.seed)
    trainee = Trainee(build_model(config, slices))
    run = _Run(trainee, sampler, plan, folder, evaluate, progress or Silent(), _fingerprint(config, plan, sampler, tf.__version__))
    run.resume()
    with delayed_interrupt() as interrupted:
        run.go_on(interrupted)
    return run.result(slices)


class _Run:
    """The state of one run between its steps."""

    def __init__(
        self, trainee: Trainee, sampler: BatchSampler, plan: TrainingPlan, folder: Path, evaluate: Evaluate, progress: Progress, fingerprint: str
    ) -> None:
        self._trainee, self._sampler, self._plan, self._evaluate, self._progress = trainee, sampler, plan, evaluate, progress
        self._weights, self._state, self._fingerprint = folder / checkpoints.BEST_WEIGHTS, folder / checkpoints.STATE, fingerprint
        self.step, self._evaluated_step = 0, 0
        self._best: Checkpoint | None = None
        self._first_step, self._earlier_s, self._begun = 0, 0.0, time.monotonic()

    def resume(self) -> None:
        """Take up the state of an earlier session, if there is one."""
        state = checkpoints.load_state(self._state, self._fingerprint, self._trainee.variables)
        if state is not None:
            self.step, self._evaluated_step, self._best = state.step, state.evaluated_step, state.best
            self._first_step, self._earlier_s = state.step, state.elapsed_s
            self._progress.resumed(state.step, state.best)

    def go_on(self, interrupted: Callable[[], bool]) -> None:
        """Train and evaluate to the end of the plan. Raises `KeyboardInterrupt`, the state saved, once `interrupted` says so."""
        while True:
            if self._evaluation_due() and self._evaluated_step != self.step:
                self._save()
                self._evaluate_now()
            elif self.step < self._plan.steps:
                self._train_on(interrupted)
            else:
                return
            if interrupted():
                self._save()
                raise KeyboardInterrupt

    def _evaluation_due(self) -> bool:
        return self.step > 0 and (self.step % self._plan.eval_step_interval == 0 or self.step == self._plan.steps)

    def _train_on(self, interrupted: Callable[[], bool]) -> None:
        """Do steps up to the next evaluation, the end of the phase, or an interrupt."""
        index, phase_steps = self._plan.phase_of(self.step)
        phase = self._plan.phases[index]
        self._trainee.set_learning_rate(phase.learning_rate)
        next_evaluation = (self.step // self._plan.eval_step_interval + 1) * self._plan.eval_step_interval
        last = min(next_evaluation, phase_steps.stop)
        make = partial(self._sampler.batch, positive_class_weight=phase.positive_class_weight, negative_class_weight=phase.negative_class_weight)
        losses: list[Any] = []
        reported = time.monotonic()
        for batch in prefetch(make, range(self.step, last)):
            losses.append(self._trainee.train(batch))
            self.step += 1
            if interrupted() or self.step == last or time.monotonic() - reported >= REPORT_INTERVAL_S:
                self._report(index, losses, phase.learning_rate)
                losses, reported = [], time.monotonic()
            if interrupted():
                return

    def _report(self, phase: int, losses: Sequence[Any], learning_rate: float) -> None:
        loss = float(np.mean([loss.numpy() for loss in losses]))
        if not math.isfinite(loss):
            raise ConfigError(f"the loss is {loss} at step {self.step}; lower training.learning_rates")
        session_s = time.monotonic() - self._begun
        remaining_s = session_s / (self.step - self._first_step) * (self._plan.steps - self.step)
        elapsed_s = self._earlier_s + session_s
        self._progress.stepped(StepReport(phase + 1, len(self._plan.phases), self.step, self._plan.steps, elapsed_s, remaining_s, loss, learning_rate))

    def _evaluate_now(self) -> None:
        checkpoint = Checkpoint(self.step, self._evaluate(self._trainee.model))
        best = self._best is None or is_better(checkpoint.scores, self._best.scores, self._plan)
        if best:
            checkpoints.save_weights(self._trainee.model, self._weights)
            self._best = checkpoint
        self._evaluated_step = self.step
        self._save()
        self._progress.evaluated(checkpoint, best)

    def _save(self) -> None:
        elapsed_s = self._earlier_s + time.monotonic() - self._begun
        state = checkpoints.RunState(self._fingerprint, self.step, self._evaluated_step, elapsed_s, self._best)
        checkpoints.save_state(self._state, state, self._trainee.variables)

    def result(self, slices: int) -> TrainingResult:
        """Load the best weights into the model. A run has at least one evaluation, after its last step."""
        assert self._best is not None
        checkpoints.load_weights(self._trainee.model, self._weights)
        elapsed_s = self._earlier_s + (time.monotonic() - self._begun if self.step > self._first_step else 0.0)
        return TrainingResult(self._trainee.model, slices, self._best, self._weights, self.step, elapsed_s)


def _fingerprint(config: MixedNetConfig, plan: TrainingPlan, sampler: BatchSampler, tensorflow: str) -> str:
    """A hash of everything that a run's course depends on."""
    settings = json.dumps([dataclasses.asdict(config), dataclasses.asdict(plan), sampler.fingerprint(), tensorflow])
    return hashlib.sha256(settings.encode()).hexdigest()
