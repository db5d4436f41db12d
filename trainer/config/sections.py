"""The sections of a training configuration. Every key acts; an unknown one is an error.

Values are checked for type and range where they are read; what several sections must agree on is
checked by `trainer.config.checks` before any work.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from trainer.config.base import Section, constant, fixed
from trainer.config.data_sections import AugmentationSection, HardwareSection, PathsSection, SpeakerClusteringSection
from trainer.config.lengths import window_slices
from trainer.config.network import NetworkConfig
from trainer.config.training_sections import HardNegativeMiningSection, PerformanceSection, TrainingSection
from wakeword.contract import MAX_WINDOW
from wakeword.model.manifest_rules import version_rule, website_rule

__all__ = [
    "AugmentationSection",
    "ExportSection",
    "HardNegativeMiningSection",
    "HardwareSection",
    "NetworkConfig",
    "PathsSection",
    "PerformanceSection",
    "SizeTargetsSection",
    "SpeakerClusteringSection",
    "TrainerConfig",
    "TrainingSection",
]

_DEVICE = "ESPHome's micro_wake_word reads models with int8 input and uint8 output, and no others"


class ExportSection(Section):
    """What the exported model is, and what its manifest says."""

    wake_word: str = Field(min_length=1)
    """The wake word as it is written."""
    author: str = "unknown"
    """Who trained the model."""
    website: str = ""
    """Address where more is said about it; empty is left out of the manifest."""
    trained_languages: tuple[str, ...] = ()
    """Languages of the wake words; empty: those of the generated ones, and en where there are none."""
    quantize: bool = True
    """False writes a float32 streaming model instead, without a manifest: for computers, no device runs it."""
    inference_input_type: Annotated[str, fixed("int8", _DEVICE)] = constant("int8")
    """Fixed by the device."""
    inference_output_type: Annotated[str, fixed("uint8", _DEVICE)] = constant("uint8")
    """Fixed by the device."""
    probability_cutoff: float | None = Field(None, ge=0, le=1)
    """None chooses the cutoff on validation data for `training.target_minimization`."""
    sliding_window_size: int = Field(5, ge=1, le=MAX_WINDOW)
    """Probabilities whose mean the device compares with the cutoff."""
    tensor_arena_size: int = Field(0, ge=0)
    """Bytes; 0 writes the computed size. One with which no device could load the model is refused."""
    max_recall_drop: float = Field(0.02, ge=0, le=1)
    """Share of the wake words that int8 arithmetic may lose against the float model, at no more false accepts. An
    export that loses more, by more than chance explains, is refused; 1: none is."""
    minimum_esphome_version: str = "2024.7.0"
    """Oldest ESPHome that runs the model."""

    @model_validator(mode="after")
    def _esphome_takes_it(self) -> Self:
        rules = {
            "website": website_rule(self.website) if self.website else None,
            "minimum_esphome_version": version_rule(self.minimum_esphome_version),
        }
        for key, fault in rules.items():
            if fault is not None:
                raise ValueError(f"export.{key}: {fault}")
        return self


class SizeTargetsSection(Section):
    """How large the model may be: a larger one is refused before it is trained."""

    max_flash_kb: float | None = Field(None, gt=0)
    """Most KiB of flash that the int8 file may take, so that nobody trains for hours what the firmware has no room for.
    None: any size."""
    max_ram_kb: float | None = Field(None, gt=0)
    """Most KiB of memory that the tensor arenas of an ESP32-S3 may take, by the estimate that a manifest gets; for
    boards that share little memory. None: any size."""


class TrainerConfig(Section):
    """A whole configuration."""

    paths: PathsSection = PathsSection()
    hardware: HardwareSection = HardwareSection()
    training: TrainingSection = TrainingSection()
    model: NetworkConfig = NetworkConfig()
    augmentation: AugmentationSection = AugmentationSection()
    performance: PerformanceSection = PerformanceSection()
    speaker_clustering: SpeakerClusteringSection = SpeakerClusteringSection()
    hard_negative_mining: HardNegativeMiningSection = HardNegativeMiningSection()
    size_targets: SizeTargetsSection = SizeTargetsSection()
    export: ExportSection

    @property
    def slices(self) -> int:
        """Slices of a training window."""
        return window_slices(self.model, self.hardware.clip_duration_ms)
