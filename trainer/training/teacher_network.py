"""What a larger network is that teaches a model: what it has of another configuration."""

from __future__ import annotations

from typing import Any, Protocol

from trainer.config.sections import TrainerConfig


class TeacherNetwork(Protocol):
    """A module of `trainer.training.teacher_networks` has one as `TEACHER`."""

    @property
    def name(self) -> str:
        """As `training.teacher` names it."""
        ...

    def changes(self, config: TrainerConfig) -> dict[str, dict[str, Any]]:
        """Section by section, what a run of the teacher has in place of what the model's run has. It reads windows of
        as many slices.
        """
        ...
