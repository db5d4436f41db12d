"""The sections of a training configuration. Every key acts; an unknown one is an error.

Values are checked for type and range where they are read, and again by the dataclass that uses them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from trainer.mixednet.config import MixedNetConfig, parse_counts, parse_kernel_groups
from trainer.training.plan import MaximizationMetric, Phase, TrainingPlan
from wakeword.contract import MAX_WINDOW
from wakeword.errors import ConfigError


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | Path) else value


Folders = Annotated[tuple[Path, ...], BeforeValidator(_listed)]
"""One folder, or a list of them."""


class Section(BaseModel):
    """Base of every section: frozen, unknown keys refused, texts without blanks around them, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)


class PathsSection(Section):
    """Where recordings are. Folders may be given one by one or as a list."""

    positive_dir: Folders = (Path("dataset/positive"),)
    """Recordings of the wake word, a folder a speaker."""
    negative_dir: Folders = (Path("dataset/negative"),)
    """Recordings without it: speech, near misses, noise."""
    generated_dir: Folders = ()
    """Folders that `mww-generate` made, used for training alone: generated speech neither validates nor tests."""
    splits: Path | None = None
    """CSV with path, group and split of recordings, for those that it lists instead of the rule by speaker."""


class HardwareSection(Section):
    """What the clips are."""

    clip_duration_ms: int = Field(1500, ge=100, le=10_000)
    """Length of sound that one training window covers, before what the convolutions drop."""


class TrainingSection(Section):
    """Steps, rates and weights; a list has one value a phase."""

    training_steps: tuple[int, ...] = (20_000, 10_000)
    learning_rates: tuple[float, ...] = (1e-3, 1e-4)
    batch_size: int = 128
    eval_step_interval: int = 500
    positive_class_weight: tuple[float, ...] = (1.0, 1.0)
    negative_class_weight: tuple[float, ...] = (20.0, 20.0)
    minimization_metric: Literal["ambient_false_positives_per_hour"] = "ambient_false_positives_per_hour"
    target_minimization: float = Field(0.5, ge=0)
    maximization_metric: MaximizationMetric = "average_viable_recall"
    seed: int = Field(0, ge=0)

    def plan(self) -> TrainingPlan:
        """The training plan. Raises `ConfigError` when the lists differ in length or a value is out of range."""
        per_phase = (self.learning_rates, self.positive_class_weight, self.negative_class_weight)
        names = ("learning_rates", "positive_class_weight", "negative_class_weight")
        for name, values in zip(names, per_phase, strict=True):
            if len(values) != len(self.training_steps):
                raise ConfigError(f"training.{name} has {len(values)} values for {len(self.training_steps)} phases; give one a phase, as in training_steps")
        phases = tuple(Phase(*values) for values in zip(self.training_steps, *per_phase, strict=True))
        return TrainingPlan(phases, self.batch_size, self.eval_step_interval, self.target_minimization, self.maximization_metric, self.seed)


class ModelSection(Section):
    """The shape of the MixedNet, one entry a block in the lists."""

    architecture: Literal["mixednet"] = "mixednet"
    first_conv_filters: int = 30
    first_conv_kernel_size: int = 5
    stride: int = 3
    pointwise_filters: str = "60,60,60,60"
    mixconv_kernel_sizes: str = "[5],[9],[13],[21]"
    repeat_in_block: str = "1,1,1,1"
    residual_connection: str = "0,0,0,0"
    dropout_rate: float = 0.0
    l2_regularization: float = 0.0

    def network(self) -> MixedNetConfig:
        """The network's shape. Raises `ConfigError` when it cannot be built."""
        return MixedNetConfig(
            first_conv_filters=self.first_conv_filters,
            first_conv_kernel_size=self.first_conv_kernel_size,
            stride=self.stride,
            pointwise_filters=parse_counts(self.pointwise_filters, "model.pointwise_filters"),
            mixconv_kernel_sizes=parse_kernel_groups(self.mixconv_kernel_sizes),
            repeat_in_block=parse_counts(self.repeat_in_block, "model.repeat_in_block"),
            residual_connection=parse_counts(self.residual_connection, "model.residual_connection"),
            dropout_rate=self.dropout_rate,
            l2_regularization=self.l2_regularization,
        )


class ExportSection(Section):
    """What the manifest says."""

    wake_word: str = Field(min_length=1)
    author: str = "unknown"
    website: str = ""
    trained_languages: tuple[str, ...] = ("en",)
    probability_cutoff: float | None = Field(None, ge=0, le=1)
    """None chooses the cutoff on validation data for `training.target_minimization`."""
    sliding_window_size: int = Field(5, ge=1, le=MAX_WINDOW)
    tensor_arena_size: int = Field(0, ge=0)
    """Bytes; 0 writes the computed size."""
    minimum_esphome_version: str = "2024.7.0"


class TrainerConfig(Section):
    """A whole configuration."""

    paths: PathsSection = PathsSection()
    hardware: HardwareSection = HardwareSection()
    training: TrainingSection = TrainingSection()
    model: ModelSection = ModelSection()
    export: ExportSection
