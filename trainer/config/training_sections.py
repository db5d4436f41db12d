"""The sections that say what is trained, how, and with what of the machine."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from trainer.config.base import Section
from trainer.config.batch_settings import BatchSettings, FilterAugment, QuietAugment
from trainer.config.learning import LearningSettings
from trainer.config.teaching import TeachingSettings
from wakeword import contract

HeldOut = Literal["auto"] | tuple[str, ...]
MaximizationMetric = Literal["auto", "average_viable_recall", "expected_recall", "recall"]
_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=0)]


def _limit(value: object) -> object:
    try:
        norm = 1.0 if value in ("none", "adaptive") else float(str(value))
    except ValueError:
        norm = 0.0
    if not 0 < norm < float("inf"):
        raise ValueError("it must be none, adaptive, or a norm above 0, for example 1.0")
    return value


_Clipping = Literal["none", "adaptive"] | Annotated[float, Field(gt=0)]
GradientClipping = Annotated[_Clipping, BeforeValidator(_limit, json_schema_input_type=_Clipping)]

_MASKS = ("time_mask_max_size", "time_mask_count", "freq_mask_max_size", "freq_mask_count")
_PER_PHASE = (
    "learning_rates",
    "triplet_weight",
    "positive_class_weight",
    "negative_class_weight",
    "hard_negative_class_weight",
    *_MASKS,
)
_FILLED = {"hard_negative_class_weight": 40.0, "triplet_weight": 0.0, **dict.fromkeys(_MASKS, 0)}
"""Keys with a value a phase that is the same in all phases unless it is given."""


class TrainingSection(LearningSettings, TeachingSettings, BatchSettings):
    """Steps, rates and weights; a list has one value a phase."""

    training_steps: tuple[Annotated[int, Field(ge=1)], ...] = Field((20_000, 10_000), min_length=1)
    """Steps of each phase."""
    learning_rates: tuple[_Positive, ...] = (1e-3, 1e-4)
    """Of each phase; see `schedule`."""
    batch_size: int = Field(128, ge=1)
    """Windows a step."""
    eval_step_interval: int = Field(500, ge=1)
    """Steps between two evaluations on validation data."""
    positive_class_weight: tuple[_Positive, ...] = (1.0, 1.0)
    """Weight of a wake word in the loss, a value a phase."""
    negative_class_weight: tuple[_Positive, ...] = (20.0, 20.0)
    """Weight of a negative in the loss, a value a phase."""
    hard_negative_class_weight: tuple[_Positive, ...] = (40.0, 40.0)
    """Weight of a hard negative in the loss, a value a phase or one for all; 40 in all where it is not given."""
    time_mask_max_size: tuple[_Count, ...] = (0, 0)
    """Longest masked stretch of time in slices of 10 ms, a value a phase or one for all; 0 is off, also where it is not
    given."""
    time_mask_count: tuple[_Count, ...] = (0, 0)
    """Masked stretches of time in a window, likewise."""
    freq_mask_max_size: tuple[Annotated[_Count, Field(le=contract.FEATURE_CHANNELS)], ...] = (0, 0)
    """Most masked mel bins in a row, likewise."""
    freq_mask_count: tuple[_Count, ...] = (0, 0)
    """Masked rows of mel bins in a window, likewise."""
    filter_augment: FilterAugment = FilterAugment()
    """Other rooms, microphones and levels, drawn for each window at each step; off where its share or all else is
    0."""
    quiet_augment: QuietAugment = QuietAugment()
    """Other quiet parts, drawn for each window at each step; off where both are 0. A model is to know a word by what is
    loud in it."""
    weight_averaging: float = Field(0.999, ge=0, lt=1)
    """What a running mean of the weights keeps of itself a step. Evaluations, checkpoints and export have the mean; 0:
    no mean."""
    final_weight_averaging: float = Field(0, ge=0, lt=1)
    """What the mean keeps a step in its final phase, such as 0.9995: a longer memory where the learning rate is low
    evens out more. 0: no final phase."""
    final_averaging_from: int | None = Field(None, ge=1)
    """Steps after which the final phase of the mean begins. None: with the last phase of `training_steps`."""
    gradient_clipping: GradientClipping = "none"
    """Limit of each step's gradient, by its global norm, which `validation.csv` tells: against single steps that throw
    a training back. A number: this norm; adaptive: five times the running median, and never above 1; none: no limit."""
    quantization_aware_steps: int = Field(0, ge=0)
    """Steps of fine-tuning after all phases, in which the exported int8 arithmetic is simulated, so that the weights
    learn to live with its rounding; for small models. 0: none."""
    quantization_aware_learning_rate: float = Field(1e-4, gt=0)
    """Of those steps."""
    minimization_metric: Literal["ambient_false_positives_per_hour"] = "ambient_false_positives_per_hour"
    """What checkpoints must bring below `target_minimization` before anything else counts."""
    target_minimization: float = Field(0.5, ge=0)
    """False accepts an hour that are low enough, for checkpoints and for the exported cutoff."""
    maximization_metric: MaximizationMetric = "auto"
    """What checkpoints at or below `target_minimization` compete on. auto: `expected_recall` where synthetic words
    validate, else `average_viable_recall`. `expected_recall` does not saturate, and is there only where words are heard
    in hard conditions: where they are synthetic; with other words it is refused."""
    held_out_engines: HeldOut = "auto"
    """Speech engines of which nothing trains, where synthetic voices validate because nobody's recordings do: a list of
    names of generated.csv. auto: the seed chooses. []: none; families of voices are held out all the same. Hibari
    counts as Kokoro, whose voices taught its own."""
    split_fractions: tuple[_Positive, _Positive, _Positive] = (0.7, 0.15, 0.15)
    """Expected shares of the groups that train, validate and test, together 1: more validation where there are few
    groups, less where there are many. They do not count where an engine is held out, or families of voices are few.
    `paths.splits` goes before them."""
    seed: int = Field(0, ge=0)
    """The same seed, recordings and settings give the same splits, batches and, on one machine, weights."""

    @model_validator(mode="before")
    @classmethod
    def _one_value_a_phase(cls, values: Any) -> Any:
        """A run of one or three phases need not repeat what is off or the same in all of them."""
        steps = (
            values.get("training_steps", cls.model_fields["training_steps"].default)
            if isinstance(values, dict)
            else None
        )
        if not isinstance(steps, list | tuple):
            return values
        repeated = {
            name: list(given) * len(steps)
            for name in _FILLED
            if isinstance(given := values.get(name), list | tuple) and len(given) == 1
        }
        return {name: [value] * len(steps) for name, value in _FILLED.items()} | values | repeated

    @model_validator(mode="after")
    def _as_many_values_as_phases(self) -> Self:
        for name in _PER_PHASE:
            values, phases = getattr(self, name), len(self.training_steps)
            if len(values) != phases:
                fitting = ", ".join(
                    f"{value:g}" for value in [*values, *[values[-1] if values else 1] * phases][:phases]
                )
                raise ValueError(
                    f"training.training_steps has {phases}"
                    f" {'value, so there is one phase' if phases == 1 else f'values, so there are {phases} phases'},"
                    f" and training.{name} has {len(values)}; give one a phase, for example --set"
                    f" training.{name}=[{fitting}]"
                )
        return self

    @model_validator(mode="after")
    def _teacher_has_a_number_a_phase(self) -> Self:
        if self.teacher_steps and len(self.teacher_steps) != len(self.training_steps):
            raise ValueError(
                f"training.teacher_steps has {len(self.teacher_steps)} values, and training.training_steps"
                f" {len(self.training_steps)}; give one a phase, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _warm_up_ends_before_the_training(self) -> Self:
        if self.warm_up_steps >= self.steps:
            raise ValueError(
                f"training.warm_up_steps is {self.warm_up_steps}, and training.training_steps are {self.steps} in all;"
                " give fewer than these"
            )
        return self

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        if not math.isclose(sum(self.split_fractions), 1, abs_tol=1e-6):
            raise ValueError(
                f"training.split_fractions {list(self.split_fractions)} make {sum(self.split_fractions):g}; train,"
                " validation and test together must make 1, for example [0.7, 0.15, 0.15]"
            )
        self._check_averaging()
        return self

    @model_validator(mode="after")
    def _nothing_is_set_that_acts_nowhere(self) -> Self:
        for name in ("filter_augment", "quiet_augment"):
            section: FilterAugment | QuietAugment = getattr(self, name)
            share, kinds = section.share, [key for key in type(section).model_fields if key != "share"]
            given = [key for key in kinds if getattr(section, key)]
            if share not in (0, type(section).model_fields["share"].default) and not given:
                raise ValueError(
                    f"training.{name}.share is {share:g}, and {', '.join(kinds)} are 0, so no window is changed; give"
                    f" one of them, or leave training.{name}.share out"
                )
            # The presets filter, and a share of 0 switches that off.
            if not share and given and name == "quiet_augment":
                raise ValueError(
                    f"training.{name}.share is 0, so training.{name}.{given[0]} would do nothing; give a share above"
                    f" 0, or leave training.{name} out"
                )
        if self.is_taught and self.teaching_share == 1:
            for name in ("loss", "label_smoothing"):
                value = getattr(self, name)
                if value != type(self).model_fields[name].default:
                    raise ValueError(
                        f"training.{name} is {value}, which changes the truth's part of the loss alone, and with"
                        " training.teaching_share 1 that has none; give a smaller share, or leave training."
                        f"{name} out"
                    )
        return self

    def _check_averaging(self) -> None:
        if self.final_averaging_from is not None and not self.final_weight_averaging:
            raise ValueError(
                f"training.final_averaging_from is {self.final_averaging_from}, and"
                " training.final_weight_averaging is 0; give that one, for example 0.9995"
            )
        if self.final_weight_averaging and not self.weight_averaging:
            raise ValueError(
                f"training.final_weight_averaging is {self.final_weight_averaging:g}, and training.weight_averaging is"
                " 0, so there is no mean; give that one, for example 0.999"
            )
        if self.final_weight_averaging and self.final_averaging_begins >= self.steps:
            raise ValueError(
                f"training.final_averaging_from is {self.final_averaging_begins}, and the training ends at"
                f" {self.steps}; give less"
            )

    @property
    def final_averaging_begins(self) -> int:
        """Steps after which the mean of the weights has its final phase."""
        first = sum(self.training_steps[:-1])
        return first if self.final_averaging_from is None else self.final_averaging_from

    @property
    def steps(self) -> int:
        """Steps of all phases together."""
        return sum(self.training_steps)

    def phase_of(self, step: int) -> int:
        """The phase of a step, both counted from 0: the place of its values in the lists. Past the end it is the last
        one.
        """
        return min(bisect_right(list(accumulate(self.training_steps)), step), len(self.training_steps) - 1)

    def evaluations_after(self, step: int) -> int:
        """Evaluations that are due from a step on, that of the step itself included; the last step always has one."""
        at_interval = self.steps // self.eval_step_interval - max(step - 1, 0) // self.eval_step_interval
        return at_interval + (self.steps % self.eval_step_interval > 0)

    def last_phase(self, **changes: Any) -> TrainingSection:
        """This section with its last phase alone, at its rate to the end, and with other values for some keys, which
        are not checked.
        """
        values = {name: getattr(self, name)[-1:] for name in ("training_steps", *_PER_PHASE)}
        to_the_end = {"schedule": "phases", "early_stopping_evaluations": 0}
        return self.model_copy(update=values | to_the_end | changes)


class HardNegativeMiningSection(Section):
    """What the model wrongly accepts is mined: within a training from its own negatives, and by `mww-mine` from any
    audio.
    """

    enabled: bool = False
    """Mine within the training. What is mined is trained on unheard: recordings that hold the wake word must not be
    among the negatives."""
    fp_threshold: float = Field(0.8, ge=0, lt=1)
    """Probability above which a window without the wake word is wrongly accepted."""
    max_samples: int = Field(5000, ge=1)
    """Clips that are mined at most, in a whole training or into one folder."""
    mining_interval_epochs: int = Field(5, ge=1)
    """Epochs from one mining to the next; an epoch is `training.eval_step_interval` steps, and mining follows an
    evaluation."""


class PerformanceSection(Section):
    """What of the machine a run uses, and what it records of itself. But for `mixed_precision` nothing here changes the
    weights' meaning.
    """

    gpu_only: bool = False
    """Refuse to train without a GPU, instead of training on the CPU."""
    mixed_precision: bool | Literal["float16", "bfloat16"] = False
    """Multiply in 16 bits, with weights in 32: faster on GPUs. true: bfloat16 from compute capability 8.0 on, float16
    with dynamic loss scaling from 7.0 on, and refused on what is slower with it. A name is taken on any device, also
    on a CPU: to see what it does."""
    step: Literal["auto", "jax", "tensorflow"] = "auto"
    """What computes the steps. auto: JAX where it starts and has what the training asks for, else TensorFlow.
    jax: faster, and a training that it lacks something of is refused. tensorflow: has everything, and always does the
    steps of --find-lr and mww-autotune. The weights differ by rounding."""
    num_workers: int = Field(0, ge=0)
    """Processes for recordings, features and augmentation where no --jobs is given; 0: one a core."""
    num_threads_per_worker: int = Field(1, ge=1)
    """Threads of numerical libraries in each process that checks recordings and computes features."""
    prefetch_factor: int = Field(3, ge=1)
    """Batches that are made ready in the background ahead of the step."""
    max_memory_gb: float = Field(0, ge=0)
    """Main memory in GiB that the run may take, by estimate: fewer processes compute, and a run that cannot fit is
    refused before its features. 0: none."""
    feature_cache_gb: float | None = Field(None, gt=0)
    """GiB that features of validation may take on disk, for the next run and other commands; those used longest ago go
    first. None: `$MWW_CACHE_GB`, or 8."""
    inter_op_parallelism: int = Field(0, ge=0)
    """Threads that run TensorFlow operations side by side; 0: TensorFlow's choice."""
    intra_op_parallelism: int = Field(0, ge=0)
    """Threads within one TensorFlow operation; 0: TensorFlow's choice."""
    enable_profiling: bool = False
    """Write a profile every `profile_every_n_steps` steps."""
    profile_every_n_steps: int = Field(1000, ge=1)
    """Steps between two profiles."""
    profile_output_dir: Path | None = None
    """Folder of the profiles. None: `profiles` in the run's folder."""
    tensorboard_enabled: bool = True
    """Write a log for TensorBoard."""
    tensorboard_log_dir: Path | None = None
    """Folder of that log. None: `tensorboard` in the run's folder."""

    def apart(self, name: str) -> PerformanceSection:
        """The same, with curves and profiles of a part of the run in folders of its name, apart from the training's."""
        places = {key: getattr(self, key) for key in ("tensorboard_log_dir", "profile_output_dir")}
        return self.model_copy(update={key: path / name for key, path in places.items() if path is not None})
