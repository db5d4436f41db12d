"""The training loop: steps, evaluations, the best checkpoint, and going on after an interrupt."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trainer.data.batches import Augmenting, BatchSampler, prefetch
from trainer.data.spec_augment import choose_array_module
from trainer.mining.hard_negatives import MinedSets
from trainer.networks.models import build_model
from trainer.networks.runtime import compute_dtype, start_tensorflow
from trainer.networks.weights import BEST_WEIGHTS, load_weights, save_weights
from trainer.training import checkpoints
from trainer.training.batch_scores import BatchScores, are_finite
from trainer.training.gradients import skipped_steps
from trainer.training.interrupt import delayed_interrupt
from trainer.training.pace import Pace
from trainer.training.progress import MiningReport, StepReport
from trainer.training.recorder import Recorder
from trainer.training.schedules import learning_rate
from trainer.training.scores import Checkpoint, ValidationScores, is_better
from trainer.training.step import TrainState
from trainer.training.step_engine import train_state
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError

REPORT_INTERVAL_S = 0.25


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
    arithmetic: str = "float model"
    """What the scores of the best checkpoint are of."""
    before: ValidationScores | None = None
    """In the same arithmetic, of the weights that a fine-tuning began with; None for a training from the start."""


def train(run: TrainingRun) -> TrainingResult:
    """Train a network and keep its best checkpoint in the run's folder.

    Weights, batches and dropout follow from the seed: on one machine two runs give the same model. The model is
    evaluated every `eval_step_interval` steps and after the last one. After Ctrl-C, or a kill, the same call goes on
    where the run was: at the interrupted step, or before the last evaluation. Settings whose last phase has another
    number of steps go on with the same run, which is the one that they would have made from the start.

    Raises `ConfigError` when the window does not fit the model, the sets lack a class, the folder holds another run, or
    the loss or its gradient is not finite at two steps in a row; `KeyboardInterrupt` after the state is saved.
    """
    loop = _Loop(run)
    loop.resume()
    try:
        with delayed_interrupt() as interrupted:
            loop.go_on(interrupted)
    finally:
        loop.close()
    return loop.result()


def run_steps(state: TrainState, sampler: BatchSampler, steps: range, ahead: int, recorder: Recorder) -> Generator[Any]:
    """Train on the batches of some steps, at the learning rate as it is, and yield what each step gives (see
    `BatchScores`), of a state that does them one by one. `ahead` as in `run_blocks`.
    """
    with closing(run_blocks(state, sampler, steps, ahead, recorder)) as blocks:
        for _, sums in blocks:
            yield sums


class Trains[Source](Protocol):
    """What does steps in blocks, as `TrainState`, whose batches come of a `BatchSampler`, does."""

    def blocks(self, steps: range) -> Iterator[range]: ...  # noqa: D102 - of TrainState
    def made_ready(self, sampler: Source, steps: range, augmenting: Augmenting) -> Any: ...  # noqa: D102
    def train_block(self, made: Any, rates: Sequence[float] | None) -> Any: ...  # noqa: D102


def run_blocks[Source](
    state: Trains[Source],
    sampler: Source,
    steps: range,
    ahead: int,
    recorder: Recorder,
    rate: Callable[[int], float] | None = None,
) -> Generator[tuple[range, Any]]:
    """Train on the batches of some steps, in the blocks that a state does at once, and yield each with what it gives
    (see `BatchScores`).

    Args:
        state: What is trained.
        sampler: Draws the batches.
        steps: Which ones.
        ahead: So many blocks are made ready in the background meanwhile.
        recorder: Told what takes how long.
        rate: The learning rate of a step; None leaves it as it is.

    Returns the blocks' steps and what they give, which may still be computed.
    """

    def make(block: range) -> Any:
        with recorder.timed("batch"):  # in the background; what of it is masks and filters is told besides
            return state.made_ready(sampler, block, lambda: recorder.timed("augmentation"))

    parts = list(state.blocks(steps))
    with closing(prefetch(make, parts, ahead)) as made_blocks:
        for block in parts:
            recorder.before_steps(block)
            with recorder.timed("waiting_for_batch"):
                made = next(made_blocks)
            with recorder.timed("step"):
                sums = state.train_block(made, None if rate is None else [rate(step) for step in block])
            for step in block:
                recorder.after_step(step + 1)
            yield block, sums


class _Loop:
    """A run at work: where it stands between its steps."""

    def __init__(self, run: TrainingRun) -> None:
        tf = start_tensorflow(settings=run.performance)
        import keras

        self._run, self._settings = run, run.settings
        self._sampler = BatchSampler(run.sets, run.slices, run.settings, choose_array_module(run.performance.gpu_only))
        keras.utils.set_random_seed(run.settings.seed)
        precision = compute_dtype(run.performance)
        model, representative = build_model(run.network, run.slices), None
        if run.simulated_export is not None:
            load_weights(model, run.simulated_export.weights)
            representative = run.simulated_export.representative
        self._train_state, self._computed_by = train_state(
            model, run.network, run.settings, run.performance, precision, run.distillation, representative
        )
        self.recorder = Recorder(run.records, run.performance, run.progress)
        self._progress, self._pace, self._mined_total = self.recorder.progress, Pace(), 0
        self._state = checkpoints.RunState(
            run.fingerprint(self._sampler, tf.__version__, precision), planned=run.settings.steps
        )
        self._state_file, self._weights_file = run.folder / checkpoints.STATE, run.folder / BEST_WEIGHTS
        self._earlier_s, self._begun, self._worked = 0.0, time.monotonic(), False

    def resume(self) -> None:
        """Take up the state of an earlier session, if there is one."""
        checkpoints.remove_partial(self._run.folder)
        state = checkpoints.load_state(self._state_file, self._state.run, self._train_state.variables)
        if state is not None:
            self._take_up(state)
        if self._run.hard_negatives is not None:
            mined = self._run.hard_negatives.restore(self._state.mined_step)
            if self._state.mined_step and mined.digest != self._state.mined:
                raise ConfigError(
                    f"{self._state_file}: the hard negatives that the run had mined by step {self._state.mined_step}"
                    " are no longer all there; bring their folder back, or delete the run to train from the start"
                )
            self._draw_from(mined)
        self.recorder.begin(self._state.evaluated_step, self._run.preparation)
        placed = self._train_state.place(self._sampler)
        if self._computed_by:
            self._progress.told(", ".join(filter(None, (self._computed_by, placed))))

    def _take_up(self, state: checkpoints.RunState) -> None:
        before, steps = state.planned, self._settings.steps
        self._progress.resumed(state.step, state.best)
        if state.step > steps:
            raise ConfigError(
                f"{self._state_file}: has done {state.step} steps, more than the {steps} of training.training_steps;"
                " give as many or more"
            )
        self._state, self._earlier_s = dataclasses.replace(state, planned=steps), state.elapsed_s
        if state.patience.is_over(self._settings):
            self._tell_of_patience(lowered=False)
        elif before not in (0, steps):
            self._progress.extended(before, steps)

    def _draw_from(self, mined: MinedSets) -> None:
        self._sampler = self._sampler.drawing_from(mined.sets)
        self._state.mined, self._mined_total = mined.digest, mined.total

    def go_on(self, interrupted: Callable[[], bool]) -> None:
        """Train and evaluate to the end. Raises `KeyboardInterrupt`, the state saved, once `interrupted` says so."""
        while True:
            if self._evaluation_due() and self._state.evaluated_step != self._state.step:
                self._save()
                with self._pace.beside_steps(evaluation=True):
                    self._evaluate_now()
            elif self._state.patience.is_over(self._settings):
                return
            elif self._mining_due():
                with self._pace.beside_steps(evaluation=False):
                    self._mine_now()
            elif self._state.step < self._settings.steps:
                self._train_on(interrupted)
            else:
                return
            if interrupted():
                self._save()
                raise KeyboardInterrupt

    def close(self) -> None:
        """Write out what is recorded, and end what draws batches."""
        try:
            self._train_state.close()
        finally:
            self.recorder.close()

    def _evaluation_due(self) -> bool:
        step = self._state.step
        return step > 0 and (step % self._settings.eval_step_interval == 0 or step == self._settings.steps)

    def _mining_due(self) -> bool:
        step, hard_negatives = self._state.step, self._run.hard_negatives
        if hard_negatives is None or not 0 < step < self._settings.steps or self._state.mined_step == step:
            return False
        return step % (hard_negatives.interval * self._settings.eval_step_interval) == 0

    def _train_on(self, interrupted: Callable[[], bool]) -> None:
        """Do steps up to the next evaluation, the end of the phase, or an interrupt."""
        state, settings = self._state, self._settings
        phase = settings.phase_of(state.step)
        self._train_state.begin_phase(phase)
        if state.step % settings.eval_step_interval == 0:
            self._train_state.collect_ranges()
        next_evaluation = (state.step // settings.eval_step_interval + 1) * settings.eval_step_interval
        last = min(next_evaluation, sum(settings.training_steps[: phase + 1]))
        given: list[Any] = []
        reported = time.monotonic()
        blocks = run_blocks(
            self._train_state,
            self._sampler,
            range(state.step, last),
            self._run.performance.prefetch_factor,
            self.recorder,
            self._rate,
        )
        with closing(blocks):
            for block, sums in blocks:
                given.append(sums)
                state.step += len(block)
                if interrupted() or state.step == last or time.monotonic() - reported >= REPORT_INTERVAL_S:
                    self._report(phase, given)
                    given, reported = [], time.monotonic()
                if interrupted():
                    break
        self.recorder.pause()

    def _rate(self, step: int) -> float:
        return learning_rate(self._settings, step, self._state.patience.lowered)

    def _report(self, phase: int, given: Sequence[Any]) -> None:
        scores, step, settings = BatchScores.of(given, self._settings.batch_size), self._state.step, self._settings
        self._state.batches += scores
        finite = are_finite(given)
        skipped, self._state.skipped_in_a_row = skipped_steps(
            finite, step - len(finite) + 1, self._state.skipped_in_a_row, self._remedy()
        )
        for each in skipped:
            self._progress.skipped(each)
        self._pace.stepped(step)
        self._worked = True
        remaining_s = self._pace.remaining_s(settings.steps - step, settings.evaluations_after(step))
        phases, rate = len(settings.training_steps), self._rate(step - 1)
        self._progress.stepped(
            StepReport(phase + 1, phases, step, settings.steps, self._elapsed_s(), remaining_s, scores.loss, rate)
        )

    def _remedy(self) -> str:
        best = self._state.best
        kept = f"; the weights of step {best.step} are kept in {self._weights_file}" if best else ""
        return (
            "Lower training.learning_rates, or limit the gradient (--set training.gradient_clipping=adaptive), and give"
            f" another --output{kept}"
        )

    def _evaluate_now(self) -> None:
        self.recorder.before_evaluation()
        with self._train_state.averaged() as model:
            checkpoint, best = self._evaluated(model)
        lowered = self._state.patience.evaluated(checkpoint, self._settings)
        self._save()
        self._progress.evaluated(checkpoint, best)
        self._tell_of_patience(lowered)

    def _tell_of_patience(self, lowered: bool) -> None:
        patience, step = self._state.patience, self._state.step
        if patience.best is None:
            return
        waited = f"step {step}: {patience.waited} evaluations in a row were no better than step {patience.best.step}"
        if lowered:
            self._progress.told(f"{waited}; the learning rate goes down to {self._rate(step):g}")
        elif patience.is_over(self._settings) and step < self._settings.steps:
            self._progress.told(
                f"{waited}; the training ends here, {self._settings.steps - step} steps early"
                " (training.early_stopping_evaluations)"
            )

    def _evaluated(self, model: Any) -> tuple[Checkpoint, bool]:
        state, settings, folder = self._state, self._settings, self._run.folder
        self._run.within_scale(model)
        checkpoint = Checkpoint(state.step, self._run.evaluate(model))
        rate = checkpoint.scores.false_accepts_per_hour
        best = state.best is None or is_better(checkpoint, state.best, settings)
        if self._run.records is not None:
            checkpoints.save_numbered(model, folder, checkpoints.CHECKPOINT, state.step)
            if rate < state.best_rate:
                checkpoints.save_numbered(model, folder, checkpoints.BEST_FAH, state.step)
        if best:
            save_weights(model, self._weights_file)
            state.best = checkpoint
        state.best_rate = min(state.best_rate, rate)
        training = state.batches.figures() | {
            "learning_rate": self._rate(state.step - 1),
            "mined_hard_negatives": self._mined_total,
        }
        self.recorder.evaluated(checkpoint, best, training, model, self._sampler.batch(state.step - 1))
        state.evaluated_step, state.batches = state.step, BatchScores()
        return checkpoint, best

    def _mine_now(self) -> None:
        """Comes after the evaluation of the same step, whose state is saved: a kill in here repeats the mining."""
        assert self._run.hard_negatives is not None
        with self.recorder.beside_steps("mining"), self._train_state.averaged() as model:
            self._run.within_scale(model)
            mined = self._run.hard_negatives.mine(model, self._state.step)
        self._draw_from(mined)
        if placed := self._train_state.place(self._sampler):
            self._progress.told(f"{self._computed_by}, {placed}")
        self._state.mined_step = self._state.step
        self._save()
        self._progress.mined(MiningReport(self._state.step, mined.new, mined.recordings, mined.highest, mined.total))

    def _save(self) -> None:
        self._state.elapsed_s = self._elapsed_s()
        checkpoints.save_state(self._state_file, self._state, self._train_state.variables)

    def _elapsed_s(self) -> float:
        return self._earlier_s + time.monotonic() - self._begun

    def result(self) -> TrainingResult:
        """Load the best weights into the model. A run has at least one evaluation, after its last step."""
        assert self._state.best is not None
        model = self._train_state.model
        load_weights(model, self._weights_file)
        elapsed_s = self._elapsed_s() if self._worked else self._earlier_s
        return TrainingResult(
            model, self._run.slices, self._state.best, self._weights_file, self._state.step, elapsed_s
        )
