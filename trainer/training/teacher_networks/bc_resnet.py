"""A BC-ResNet over the model's window (`trainer.config.architectures.bc_resnet`)."""

from __future__ import annotations

from typing import Any

from trainer.config.network import NetworkConfig
from trainer.config.sections import TrainerConfig
from trainer.training.teacher_network import TeacherNetwork
from wakeword.contract import STEP_MS

DROPOUT = 0.1
"""The paper's."""


class BcResNetTeacher:
    """See `training.teacher`."""

    name = "bc_resnet"

    def changes(self, config: TrainerConfig) -> dict[str, dict[str, Any]]:
        """Another architecture, which reads as many slices as it is told to: those of the model."""
        network = NetworkConfig(
            architecture="bc_resnet",
            bc_resnet_width=config.training.teacher_width,
            stride=config.model.stride,
            dropout_rate=DROPOUT,
        )
        return {
            "model": network.model_dump(mode="json"),
            "hardware": {"clip_duration_ms": config.slices * STEP_MS},
        }


TEACHER: TeacherNetwork = BcResNetTeacher()
