"""One iteration's training: some hundred steps from given weights, by a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.config.sections import TrainerConfig
from trainer.config.training_sections import PerformanceSection, TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.clip_rows import ClipRows
from trainer.data.dataset import MIN_HARD_NEGATIVES, select_records
from trainer.data.drawn_sets import FeatureSet
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Progress
from trainer.data.spec_augment import choose_array_module
from trainer.data.split import Split
from trainer.inference.models import FloatModel
from trainer.networks.models import build_model
from trainer.networks.runtime import compute_dtype
from trainer.networks.weights import load_weights
from trainer.training.batch_scores import BatchScores, are_finite
from trainer.training.checkpoints import steps_done, times_lowered
from trainer.training.gradients import skipped_steps
from trainer.training.interrupt import delayed_interrupt
from trainer.training.loop import run_steps
from trainer.training.progress import Silent
from trainer.training.recorder import Recorder
from trainer.training.schedules import learning_rate
from trainer.training.step import TrainState
from trainer.training.weight_mean import WeightMean
from trainer.tuning.accepted import accepted_windows
from trainer.tuning.policy import TuningRecipe
from wakeword.contract import PROBABILITY_MAX

NEARLY_ACCEPTED = 0.5
"""Training negatives count as nearly accepted from this share of the cutoff on: the model has heard them often, and is
surer of others.
"""
AVERAGED_SHARE, AVERAGED_EVERY = 0.5, 10
"""Weights are averaged over this last part of an iteration, every so many steps: at a constant rate the last step's are
a matter of chance.
"""


LEAST_OF_A_COSINE = 0.1
"""A tuning begins with at least this share of a cosine's highest rate: at the rate of its last steps, which may be next
to nothing, a few hundred steps would change nothing.
"""


@dataclass(frozen=True)
class IterationTraining:
    """What an iteration's training says of itself. The weights are in the model."""

    loss: float
    """Mean weighted loss of its steps."""
    mined: int
    """Windows of training negatives that were drawn as hard ones."""


def first_recipe(config: TrainerConfig, records: Sequence[SampleRecord], state: Path) -> TuningRecipe:
    """How the run of these recordings trained at its end: what the tuning starts from. The file `state`, where it is
    there, says how far the run has come.
    """
    section, weights, ratios = config.training, config.training.sampling_weights, config.training.batch_ratios
    positives = weights.positive + weights.positive_augmented
    negatives = weights.after_positive + weights.negative_joined + weights.negative_alone + weights.negative_augmented
    if any(not record.is_sound for record in select_records(records, Split.TRAIN, Label.NEGATIVE)):
        negatives += weights.feature_sets
    negatives += weights.hard_negative if select_records(records, Split.TRAIN, Label.HARD_NEGATIVE) else 0.0
    if ratios:
        positives, negatives = float(ratios[0]), float(ratios[1] + ratios[2])
    of_negative, of_hard = section.negative_class_weight[-1], section.hard_negative_class_weight[-1]
    if section.class_weights == "balanced":
        of_negative = of_hard = positives / negatives  # of a wake word's, which weighs 1 in an iteration
    return TuningRecipe(
        learning_rate=_last_rate(section, state),
        negative_class_weight=of_negative,
        hard_negative_class_weight=of_hard,
        word_share=positives / (positives + negatives),
    )


def _last_rate(settings: TrainingSection, state: Path) -> float:
    if settings.schedule == "phases":
        return settings.learning_rates[-1]
    last = min(steps_done(state) or settings.steps, settings.steps) - 1
    rate = learning_rate(settings, last, times_lowered(state))
    return max(rate, LEAST_OF_A_COSINE * settings.learning_rates[0]) if settings.schedule == "cosine" else rate


class FineTuner:
    """A model in training that begins every iteration anew, from weights in a file and an optimizer without a past.

    So an iteration depends on those weights, its recipe and its number alone, and a tuning that was interrupted goes on
    to the same result.
    """

    def __init__(self, config: TrainerConfig, sets: Sequence[FeatureSet], steps: int, runner: FloatModel) -> None:
        """`steps` of each iteration; `runner` runs the weights over training negatives.

        Raises `ConfigError` for settings that this machine cannot do.
        """
        import keras

        network, self._config, self._sets, self._steps = config.model, config, tuple(sets), steps
        self._array_module = choose_array_module(config.performance.gpu_only)
        self._slices, self._runner = config.slices, runner
        keras.utils.set_random_seed(config.training.seed)
        settings = config.training.model_copy(
            update={
                "weight_averaging": 0.0,
                "final_weight_averaging": 0.0,
                "triplet_weight": config.training.triplet_weight[-1:],
            }
        )
        self._state = TrainState(
            build_model(network, self._slices), network, settings, compute_dtype(config.performance)
        )
        # Added up in float64, so that the mean is rounded once.
        self._mean = WeightMean(self.model.weights, "float64")
        self._untouched = [variable.value.numpy() for variable in self._state.variables]
        self._mined: tuple[tuple[Path, str, float], FeatureSet | None] | None = None

    @property
    def model(self) -> Any:
        """The `keras.Model` that is trained."""
        return self._state.model

    def fingerprint(self) -> str:
        """A hash of all that batches are drawn from."""
        return BatchSampler(self._sets, self._slices, self._config.training).fingerprint()

    def train(
        self, weights: Path, sha256: str, cutoff: int, recipe: TuningRecipe, number: int, count: Progress
    ) -> IterationTraining:
        """Train one iteration.

        Args:
            weights: The file that it starts from.
            sha256: Of the file.
            cutoff: The one that validation chose with these weights, uint8.
            recipe: How to train.
            number: Of the iteration: its batches are those of no other.
            count: Told the steps that are done, of how many.

        Returns the mean loss and the number of mined windows; the weights are in `model`.

        Raises `KeyboardInterrupt` between two steps, and `ConfigError` when the loss or its gradient is not finite
        at two steps in a row.
        """
        for variable, value in zip(self._state.variables, self._untouched, strict=True):
            variable.assign(value)
        load_weights(self.model, weights)
        mined = self._accepted(weights, sha256, cutoff) if recipe.mine else None
        self._state.set_learning_rate(recipe.learning_rate)
        settings = self._config.training.last_phase(
            negative_class_weight=(recipe.negative_class_weight,),
            hard_negative_class_weight=(recipe.hard_negative_class_weight,),
            class_weights="given",
            batch_ratios=None,  # the recipe's share of wake words takes their place
        )
        sampler = BatchSampler(self._drawn(recipe, mined), self._slices, settings, self._array_module)
        # Batches that no step of the run and no other iteration has seen.
        first = self._config.training.steps + number * self._steps
        loss = self._steps_of(sampler, range(first, first + self._steps), count)
        return IterationTraining(loss, len(mined.clips) if mined else 0)

    def _steps_of(self, sampler: BatchSampler, steps: range, count: Progress) -> float:
        losses: list[Any] = []
        ahead, moments = self._config.performance.prefetch_factor, 0
        count(0, len(steps))
        trained = run_steps(self._state, sampler, steps, ahead, Recorder(None, PerformanceSection(), Silent()))
        with delayed_interrupt() as interrupted, closing(trained):
            for done, sums in enumerate(trained, 1):
                losses.append(sums)
                if interrupted():
                    raise KeyboardInterrupt
                if (left := len(steps) - done) <= AVERAGED_SHARE * len(steps) and left % AVERAGED_EVERY == 0:
                    self._mean.take_in(min(moments, 1), 1)
                    moments += 1
                count(done, len(steps))
        skipped_steps(
            are_finite(losses),
            1,
            0,
            "Lower training.learning_rates, which the tuning's rates come from, or set"
            " training.gradient_clipping=adaptive",
        )
        self._mean.assign(moments)
        return BatchScores.of(losses, self._config.training.batch_size).loss

    def _drawn(self, recipe: TuningRecipe, mined: FeatureSet | None) -> list[FeatureSet]:
        """The run's sets at the recipe's share of wake words, with what the model accepts beside the hard negatives."""
        positives, negatives = (
            sum(drawn.sampling_weight for drawn in self._sets if drawn.truth is truth) for truth in (True, False)
        )
        sets = [*self._sets, *([mined] if mined else ())]
        negatives += mined.sampling_weight if mined else 0.0
        factor = recipe.word_share / (1 - recipe.word_share) * negatives / positives
        return [
            replace(drawn, sampling_weight=drawn.sampling_weight * factor) if drawn.truth else drawn for drawn in sets
        ]

    def _accepted(self, weights: Path, sha256: str, cutoff: int) -> FeatureSet | None:
        """Training negatives that the weights in the model nearly accept; None where they are too few to be worth more
        than their weight.
        """
        level = NEARLY_ACCEPTED * cutoff / PROBABILITY_MAX
        key = (weights, sha256, level)
        if self._mined is None or self._mined[0] != key:
            self._runner.load(self.model)
            # There are none where published feature sets are all the negatives: nothing is mined from those.
            joined = next((drawn.clips for drawn in self._sets if drawn.name == "negative_joined"), ())
            found = accepted_windows(self._runner, ClipRows.of(joined), self._slices, level)
            section = self._config.training
            weight, penalty = section.sampling_weights.hard_negative, section.penalty_weights.hard_negative
            enough = len(found) >= MIN_HARD_NEGATIVES and weight > 0
            self._mined = (
                key,
                FeatureSet("accepted", False, found, weight, penalty, "random", hard=True) if enough else None,
            )
        return self._mined[1]
