"""The larger network that `training.teacher` names: trained before the model, which then learns from it.

It is a run of its own in the run's folder `teacher`, with configuration, recordings, state, checkpoints, table and log:
`mww-evaluate` and `mww-judge` take its weights as those of any run. It hears the same recordings in the same splits, so
nothing of what validates or tests the model comes into the model's weights. What it is configured with says
`teacher_settings.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from trainer.config.loader import CONFIG_NAME, write_config
from trainer.config.sections import TrainerConfig
from trainer.networks.weights import CHECKPOINTS
from trainer.training.loop import train
from trainer.training.losses import Teacher
from trainer.training.teacher_settings import FOLDER, teacher_config
from trainer.training.training_run import TrainingRun
from trainer.training.validation import StreamingValidation


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
    own, taught = folder / FOLDER, teacher_config(config, folder)
    own.mkdir(parents=True, exist_ok=True)
    write_config(taught, own / CONFIG_NAME)
    write_tables(own)
    validation = validation_of(taught)
    trained = train(
        dataclasses.replace(
            run,
            network=taught.model,
            settings=taught.training,
            folder=own / CHECKPOINTS,
            records=own,
            evaluate=validation,
            within_scale=validation.within_scale,
            performance=run.performance.apart(FOLDER),
            hard_negatives=None,
            preparation={},
        )
    )
    return Teacher(trained.model, taught.model), trained.weights
