"""The model's own network with more filters: it reads the same slices and knows more of them."""

from __future__ import annotations

from typing import Any

from trainer.config.sections import TrainerConfig
from trainer.training.teacher_network import TeacherNetwork


class Wide:
    """See `training.teacher`."""

    name = "wide"

    def changes(self, config: TrainerConfig) -> dict[str, dict[str, Any]]:
        """Every key of widths times `training.teacher_width`."""
        factor, network = config.training.teacher_width, config.model
        return {"model": {key: _wider(getattr(network, key), factor) for key in network.of.widths}}


def _wider(value: Any, factor: float) -> Any:
    """A number of filters, or each of a list of them; widths that are no whole numbers stay such."""
    if isinstance(value, tuple):
        return [_wider(one, factor) for one in value]
    return value * factor if isinstance(value, float) else max(1, round(value * factor))


TEACHER: TeacherNetwork = Wide()
