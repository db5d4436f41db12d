"""The larger network that `training.teacher` names: trained before the model, which then learns from it.

It is a run of its own in the run's folder `teacher`, with configuration, recordings, state, checkpoints, table and log:
`mww-evaluate` and `mww-judge` take its weights as those of any run. It hears the same recordings in the same splits, so
nothing of what validates or tests the model comes into the model's weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.config.loader import CONFIG_NAME, write_config
from trainer.config.sections import TrainerConfig
from trainer.training import teacher_networks
from trainer.training.loop import train
from trainer.training.losses import Teacher
from trainer.training.teacher_network import TeacherNetwork
from trainer.training.training_run import TrainingRun
from trainer.training.validation import StreamingValidation
from wakeword.errors import ConfigError
from wakeword.registry import registered

FOLDER = "teacher"
"""In a run's folder."""


def train_teacher(
    run: TrainingRun,
    config: TrainerConfig,
    folder: Path,
    validation_of: Callable[[TrainerConfig], StreamingValidation],
    write_tables: Callable[[Path], None],
) -> tuple[Teacher, Path]:
    """Train the teacher of a run to its end; one that was interrupted goes on where it was, one that has ended is read.

    Args:
        run: The model's training, without teachers.
        config: Its configuration.
        folder: Of the run.
        validation_of: Scores a network of a configuration on the run's validation data.
        write_tables: Writes the run's recordings into a folder.

    Returns the teacher with its best weights, and their file. Raises `ConfigError` as `train` does.
    """
    own, taught = folder / FOLDER, teacher_config(config)
    own.mkdir(parents=True, exist_ok=True)
    write_config(taught, own / CONFIG_NAME)
    write_tables(own)
    validation = validation_of(taught)
    trained = train(
        dataclasses.replace(
            run,
            network=taught.model,
            settings=taught.training,
            folder=own / "checkpoints",
            records=own,
            evaluate=validation,
            within_scale=validation.within_scale,
            performance=run.performance.apart(FOLDER),
            hard_negatives=None,
            preparation={},
        )
    )
    return Teacher(trained.model, taught.model), trained.weights


def teacher_config(config: TrainerConfig) -> TrainerConfig:
    """The configuration of the run of the teacher. Raises `ConfigError` where its network or its steps cannot be."""
    training = config.training
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
        "training_steps": list(training.teacher_steps or training.training_steps),
    }
    changes["hard_negative_mining"] = {"enabled": False}
    values: dict[str, dict[str, Any]] = config.model_dump(mode="json")
    try:
        taught = TrainerConfig.model_validate(
            {section: keys | changes.get(section, {}) for section, keys in values.items()}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"training.teacher {training.teacher}, of a teacher with these settings: "
            f"{first['msg'].removeprefix('Value error, ')}"
        ) from error
    assert taught.slices == config.slices
    return taught


def teacher_summary(config: TrainerConfig) -> str:
    """A line for the user, before the teacher is trained."""
    taught = teacher_config(config)
    widths = ", ".join(f"{key} {taught.model.model_dump()[key]}" for key in taught.model.of.widths)
    return (
        f"a teacher is trained first ({config.training.teacher}: {widths}),"
        f" {' + '.join(f'{steps:,}' for steps in taught.training.training_steps)} steps"
    )


@cache
def _networks() -> dict[str, TeacherNetwork]:
    return {one.name: one for one in registered(teacher_networks, "TEACHER")}


def teacher_names() -> list[str]:
    """Names of all teachers' networks."""
    return sorted(_networks())
