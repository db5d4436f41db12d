"""What the run of a larger teacher is configured with: the model's configuration, with another network and steps of its
own.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from trainer.config.loader import CONFIG_NAME, load_config
from trainer.config.sections import TrainerConfig
from trainer.networks.weights import CHECKPOINTS
from trainer.training import teacher_networks
from trainer.training.checkpoints import STATE, steps_done, stopped_early
from trainer.training.teacher_network import TeacherNetwork
from wakeword.complaints import complaint
from wakeword.errors import ConfigError
from wakeword.registry import registered

FOLDER = "teacher"
"""In a run's folder."""


def teacher_config(config: TrainerConfig, folder: Path | None = None) -> TrainerConfig:
    """The configuration of the run of the teacher.

    In the `folder` of the model's run a teacher that has ended keeps its number of steps, whatever the model has now:
    with other weights it would be another one than the model has learned from. Raises `ConfigError` where its network
    or its steps cannot be.
    """
    training = config.training
    steps = _steps_of_ended(folder) if folder else ()
    changes = _networks()[training.teacher].changes(config)
    changes["training"] = {
        "teacher": "none",
        "teacher_width": 2.0,
        "teacher_steps": [],
        "teachers": [],
        "teaching_share": 0.9,
        "teaching_temperature": 4.0,
        "quantization_aware_steps": 0,
        "quantization_aware_learning_rate": 1e-4,
        "training_steps": list(steps or training.teacher_steps or training.training_steps),
    }
    changes["hard_negative_mining"] = {"enabled": False}
    values: dict[str, dict[str, Any]] = config.model_dump(mode="json")
    try:
        taught = TrainerConfig.model_validate(
            {section: keys | changes.get(section, {}) for section, keys in values.items()}
        )
    except ValidationError as error:
        raise ConfigError(_refusal(error.errors()[0], config)) from error
    assert taught.slices == config.slices
    return taught


def steps_to_keep(config: TrainerConfig, folder: Path) -> int:
    """Steps that `training_steps` must not be below in the folder of a run: those that are done of the model, and of a
    teacher that has as many and has not ended.
    """
    done, training = steps_done(folder / CHECKPOINTS / STATE), config.training
    if training.teacher != "none" and not training.teacher_steps and not _steps_of_ended(folder):
        done = max(done, steps_done(folder / FOLDER / CHECKPOINTS / STATE))
    return done


def teacher_summary(config: TrainerConfig, folder: Path) -> str:
    """A line for the user of the run in a folder, before the teacher is trained."""
    taught, name = teacher_config(config, folder), config.training.teacher
    widths = ", ".join(f"{key} {taught.model.model_dump()[key]}" for key in taught.model.of.widths)
    steps = f"{' + '.join(f'{steps:,}' for steps in taught.training.training_steps)} steps"
    if _steps_of_ended(folder):
        return f"the teacher ({name}: {widths}) has ended, after {steps}"
    return f"a teacher is trained first ({name}: {widths}), {steps}"


def teacher_names() -> list[str]:
    """Names of all teachers' networks."""
    return sorted(_networks())


@cache
def _networks() -> dict[str, TeacherNetwork]:
    return {one.name: one for one in registered(teacher_networks, "TEACHER")}


def _steps_of_ended(folder: Path) -> tuple[int, ...]:
    """Of each phase of the teacher in a run's folder; none where it has not ended."""
    own = folder / FOLDER
    if not (own / CONFIG_NAME).is_file():
        return ()
    settings, state = load_config(str(own / CONFIG_NAME)).training, own / CHECKPOINTS / STATE
    ended = steps_done(state) >= settings.steps or stopped_early(state, settings)
    return settings.training_steps if ended else ()


def _refusal(error: ErrorDetails, config: TrainerConfig) -> str:
    """Names the key that made the teacher's: those of its own run are not the user's."""
    section, said, place = config.training, complaint(error, None), error["loc"]
    key = ".".join(map(str, place))
    if place[:1] == ("model",):
        value = f" would be {error['input']!r}" if len(place) > 1 else ""
        return (
            f"training.teacher_width is {section.teacher_width:g}, so the teacher's {key}{value}: {said}; give another"
            " training.teacher_width"
        )
    if place[:1] == ("training",) and section.teacher_steps:
        return (
            f"training.teacher_steps are {list(section.teacher_steps)}, the training_steps of the teacher: {said}; or"
            " give other training.teacher_steps"
        )
    return f"training.teacher is {section.teacher}, and in its run{f' {key}' if key else ''}: {said}"
