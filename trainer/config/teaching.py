"""Who teaches a training, as keys of the section `training`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainer.config.base import Files, Section


class TeachingSettings(Section):
    """The keys of `training` that say what is learned beside the truth."""

    teachers: Files = ()
    """Checkpoints of earlier runs of the same recordings; the mean of their logits is learned beside the truth."""
    teacher: Literal["none", "wide", "bc_resnet"] = "none"
    """A larger network that is trained first, in the folder `teacher` of the run, and then teaches the model: what it
    knows of a sound is more than a label says. wide: the same network with more filters. bc_resnet: Kim et al. 2021,
    which no device could hold; several times as slow to train. It joins `teachers`, where there are any."""
    teacher_width: float = Field(2.0, ge=1, le=8)
    """How large the teacher is. wide: times the model's filters or units, above 1. bc_resnet: times the narrowest
    one's."""
    teacher_steps: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Steps of the teacher, a value a phase. Empty: those of `training_steps`."""
    teaching_share: float = Field(0.9, gt=0, le=1)
    """How much of the loss is the teachers', where there are any."""
    teaching_temperature: float = Field(4.0, gt=0)
    """What logits are divided by before the model's are compared with the teachers' (Hinton et al. 2015): higher tells
    more of how nearly a sound is the wake word; at 1 a teacher that is sure tells no more than the label."""

    @model_validator(mode="after")
    def _the_teacher_is_there(self) -> Self:
        fields = type(self).model_fields
        for name in ("teacher_width", "teacher_steps"):
            if self.teacher == "none" and getattr(self, name) != fields[name].default:
                raise ValueError(
                    f"training.{name} is given, and training.teacher is none; give --set training.teacher=wide or"
                    f" bc_resnet, or leave training.{name} out"
                )
        if self.teacher == "wide" and self.teacher_width == 1:
            raise ValueError(
                "training.teacher_width is 1, and training.teacher wide would be no larger than the model; give more,"
                " for example 2"
            )
        return self

    @property
    def is_taught(self) -> bool:
        """Whether anybody teaches."""
        return bool(self.teachers) or self.teacher != "none"
