"""The training loop: steps, evaluations, the best checkpoint, and going on after an interrupt."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from trainer.config.mixednet import MixedNetConfig
from trainer.config.training_sections import PerformanceSection
from trainer.data.batches import Batch, BatchSampler, FeatureSet, prefetch
from trainer.mixednet.models import build_model
from trainer.mixednet.runtime import compute_dtype, start_tensorflow
from trainer.mixednet.weights import load_weights, save_weights
from trainer.training import checkpoints
from trainer.training.batch_scores import BatchScores
from trainer.training.hard_negatives import HardNegatives, MinedSets
from trainer.training.interrupt import delayed_interrupt
from trainer.training.pace import Pace
from trainer.training.plan import TrainingPlan
from trainer.training.progress import MiningReport, Progress, Silent, StepReport
from trainer.training.recorder import Recorder
from trainer.training.scores import Checkpoint, ValidationScores, is_better
from trainer.training.step import Trainee
from trainer.training.teaching import Teaching
from wakeword.errors import ConfigError

REPORT_INTERVAL_S = 0.25

_FORMAT = 1
"""Raise it when what validation hears or what chooses a checkpoint changes: scores of before and after it cannot be compared in one run."""

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
    performance: PerformanceSection | None = None,
    records: Path | None = None,
    hard_negatives: HardNegatives | None = None,
    teaching: Teaching | None = None,
) -> TrainingResult:
    """Train a MixedNet on windows of `slices` and keep its best checkpoint in `folder`.

    Weights, batches and dropout follow from the plan's seed: on one machine two runs give the same model. The model is
    evaluated every `eval_step_interval` steps and after the last one. After Ctrl-C, or a kill, the same call goes on where
    the run was: at the interrupted step, or before the last evaluation. A plan whose last phase has another number of steps
    goes on with the same run, which is the one that this plan would have made from the start.

    With `hard_negatives` the model hears its own negatives every so many evaluations, and what it wrongly accepts joins the sets.
    With `teaching` it learns from earlier models beside the truth.

    With a folder for `records` the run keeps a log, a table of its evaluations, TensorBoard's curves and numbered checkpoints as well.

    Raises `ConfigError` when the window does not fit the model, the sets lack a class, `folder` holds another run, or the
    loss is no longer finite; `KeyboardInterrupt` after the state is saved.
    """
    performance = performance or PerformanceSection()
    tf = start_tensorflow(threads, performance)
    import keras

    sampler = BatchSampler(sets, slices, plan.batch_size, plan.seed)
    keras.utils.set_random_seed(plan.seed)
    precision = compute_dtype(performance)
    trainee = Trainee(build_model(config, slices), config, precision, plan.weight_averaging, teaching)
    recorder = Recorder(records, performance, progress or Silent())
    fingerprint = _fingerprint(config, plan, sampler, tf.__version__, precision, hard_negatives, teaching)
    run = _Run(trainee, sampler, plan, folder, evaluate, recorder, fingerprint, records is not None, performance.prefetch_factor, hard_negatives)
    run.resume()
    try:
        with delayed_interrupt() as interrupted:
            run.go_on(interrupted)
    finally:
        recorder.close()
    return run.result(slices)


class _Run:
    """The state of one run between its steps."""

    def __init__(
        self,
        trainee: Trainee,
        sampler: BatchSampler,
        plan: TrainingPlan,
        folder: Path,
        evaluate: Evaluate,
        recorder: Recorder,
        fingerprint: str,
        numbered: bool,
        batches_ahead: int,
        hard_negatives: HardNegatives | None,
    ) -> None:
        self._trainee, self._sampler, self._plan, self._evaluate = trainee, sampler, plan, evaluate
        self._recorder, self._progress, self._folder, self._numbered = recorder, recorder.progress, folder, numbered
        self._batches_ahead, self._hard_negatives = batches_ahead, hard_negatives
        self._batches, self._best_rate, self._pace = BatchScores(), math.inf, Pace()
        self._weights, self._state, self._fingerprint = folder / checkpoints.BEST_WEIGHTS, folder / checkpoints.STATE, fingerprint
        self.step, self._evaluated_step, self._mined_step, self._mined, self._mined_total = 0, 0, 0, "", 0
        self._best: Checkpoint | None = None
        self._earlier_s, self._begun, self._worked = 0.0, time.monotonic(), False

    def resume(self) -> None:
        """Take up the state of an earlier session, if there is one."""
        checkpoints.remove_partial(self._folder)
        state = checkpoints.load_state(self._state, self._fingerprint, self._trainee.variables)
        if state is not None:
            self.step, self._evaluated_step, self._best = state.step, state.evaluated_step, state.best
            self._earlier_s = state.elapsed_s
            self._batches, self._best_rate = state.batches, state.best_rate
            self._mined_step, self._mined = state.mined_step, state.mined
            self._progress.resumed(state.step, state.best)
            if state.step > self._plan.steps:
                raise ConfigError(
                    f"{self._state}: has done {state.step} steps, more than the {self._plan.steps} of training.training_steps; give as many or more"
                )
            if state.planned not in (0, self._plan.steps):
                self._progress.extended(state.planned, self._plan.steps)
        if self._hard_negatives is not None:
            mined = self._hard_negatives.restore(self._mined_step)
            if self._mined_step and mined.digest != self._mined:
                raise ConfigError(
                    f"{self._state}: the hard negatives that the run had mined by step {self._mined_step} are no longer all there; "
                    "bring their folder back, or delete the run to train from the start"
                )
            self._draw_from(mined)
        self._recorder.begin(self._evaluated_step)

    def _draw_from(self, mined: MinedSets) -> None:
        self._sampler = self._sampler.drawing_from(mined.sets)
        self._mined, self._mined_total = mined.digest, mined.total

    def go_on(self, interrupted: Callable[[], bool]) -> None:
        """Train and evaluate to the end of the plan. Raises `KeyboardInterrupt`, the state saved, once `interrupted` says so."""
        while True:
            if self._evaluation_due() and self._evaluated_step != self.step:
                self._save()
                with self._pace.beside_steps(evaluation=True):
                    self._evaluate_now()
            elif self._mining_due():
                with self._pace.beside_steps(evaluation=False):
                    self._mine_now()
            elif self.step < self._plan.steps:
                self._train_on(interrupted)
            else:
                return
            if interrupted():
                self._save()
                raise KeyboardInterrupt

    def _evaluation_due(self) -> bool:
        return self.step > 0 and (self.step % self._plan.eval_step_interval == 0 or self.step == self._plan.steps)

    def _mining_due(self) -> bool:
        if self._hard_negatives is None or not 0 < self.step < self._plan.steps or self._mined_step == self.step:
            return False
        return self.step % (self._hard_negatives.interval * self._plan.eval_step_interval) == 0

    def _train_on(self, interrupted: Callable[[], bool]) -> None:
        """Do steps up to the next evaluation, the end of the phase, or an interrupt."""
        index, phase_steps = self._plan.phase_of(self.step)
        phase = self._plan.phases[index]
        self._trainee.set_learning_rate(phase.learning_rate)
        next_evaluation = (self.step // self._plan.eval_step_interval + 1) * self._plan.eval_step_interval
        last = min(next_evaluation, phase_steps.stop)
        draw = partial(self._sampler.batch, positive_class_weight=phase.positive_class_weight, negative_class_weight=phase.negative_class_weight)
        timed = self._recorder.timed

        def make(step: int) -> Batch:
            with timed("batch"):  # in the background, masks included
                return draw(step)

        losses: list[Any] = []
        reported = time.monotonic()
        with closing(cast("Generator[Batch]", prefetch(make, range(self.step, last), self._batches_ahead))) as batches:
            while self.step < last:
                self._recorder.before_step(self.step)
                with timed("waiting_for_batch"):
                    batch = next(batches)
                with timed("step"):
                    losses.append(self._trainee.train(batch))
                self.step += 1
                self._recorder.after_step(self.step)
                if interrupted() or self.step == last or time.monotonic() - reported >= REPORT_INTERVAL_S:
                    self._report(index, losses, phase.learning_rate)
                    losses, reported = [], time.monotonic()
                if interrupted():
                    break
        self._recorder.pause()

    def _report(self, phase: int, losses: Sequence[Any], learning_rate: float) -> None:
        scores = BatchScores.of(losses, self._plan.batch_size)
        self._batches += scores
        loss = scores.loss
        if not math.isfinite(loss):
            raise ConfigError(f"the loss is {loss} at step {self.step}; lower training.learning_rates")
        self._pace.stepped(self.step)
        self._worked = True
        remaining_s = self._pace.remaining_s(self._plan.steps - self.step, self._plan.evaluations_after(self.step))
        elapsed_s = self._earlier_s + time.monotonic() - self._begun
        self._progress.stepped(StepReport(phase + 1, len(self._plan.phases), self.step, self._plan.steps, elapsed_s, remaining_s, loss, learning_rate))

    def _evaluate_now(self) -> None:
        measured = self._recorder.measured()
        with self._trainee.averaged() as model:
            checkpoint, best = self._evaluated(model, measured)
        self._save()
        self._progress.evaluated(checkpoint, best)

    def _evaluated(self, model: Any, measured: dict[str, float]) -> tuple[Checkpoint, bool]:
        checkpoint = Checkpoint(self.step, self._evaluate(model))
        best = self._best is None or is_better(checkpoint, self._best, self._plan)
        if self._numbered:
            checkpoints.save_numbered(model, self._folder, checkpoints.CHECKPOINT, self.step)
            if checkpoint.scores.false_accepts_per_hour < self._best_rate:
                checkpoints.save_numbered(model, self._folder, checkpoints.BEST_FAH, self.step)
        if best:
            save_weights(model, self._weights)
            self._best = checkpoint
        self._best_rate = min(self._best_rate, checkpoint.scores.false_accepts_per_hour)
        phase = self._plan.phases[self._plan.phase_of(self.step - 1)[0]]
        shown = self._sampler.batch(self.step - 1)
        self._recorder.evaluated(checkpoint, best, self._batches, phase.learning_rate, self._mined_total, model, shown, measured)
        self._evaluated_step, self._batches = self.step, BatchScores()
        return checkpoint, best

    def _mine_now(self) -> None:
        """Comes after the evaluation of the same step, whose state is saved: a kill in here repeats the mining."""
        assert self._hard_negatives is not None
        with self._recorder.beside_steps("mining"), self._trainee.averaged() as model:
            mined = self._hard_negatives.mine(model, self.step)
        self._draw_from(mined)
        self._mined_step = self.step
        self._save()
        self._progress.mined(MiningReport(self.step, mined.new, mined.recordings, mined.highest, mined.total))

    def _save(self) -> None:
        elapsed_s = self._earlier_s + time.monotonic() - self._begun
        mined, planned = (self._mined_step, self._mined), self._plan.steps
        state = checkpoints.RunState(self._fingerprint, self.step, self._evaluated_step, elapsed_s, self._best, self._batches, self._best_rate, *mined, planned)
        checkpoints.save_state(self._state, state, self._trainee.variables)

    def result(self, slices: int) -> TrainingResult:
        """Load the best weights into the model. A run has at least one evaluation, after its last step."""
        assert self._best is not None
        load_weights(self._trainee.model, self._weights)
        elapsed_s = self._earlier_s + (time.monotonic() - self._begun if self._worked else 0.0)
        return TrainingResult(self._trainee.model, slices, self._best, self._weights, self.step, elapsed_s)


def _fingerprint(
    config: MixedNetConfig,
    plan: TrainingPlan,
    sampler: BatchSampler,
    tensorflow: str,
    precision: str,
    hard_negatives: HardNegatives | None,
    teaching: Teaching | None,
) -> str:
    """A hash of everything that a run's course depends on. How far the last phase goes is not part of it: a run may go on with more steps."""
    endless = dataclasses.replace(plan, phases=(*plan.phases[:-1], dataclasses.replace(plan.phases[-1], steps=1)))
    settings = [
        _FORMAT,
        {key: value for key, value in config if key != "architecture"},
        dataclasses.asdict(endless),
        sampler.fingerprint(),
        tensorflow,
        precision,
    ]
    settings += [hard_negatives.fingerprint] if hard_negatives else []
    settings += [teaching.fingerprint, str(teaching.share)] if teaching else []
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()
