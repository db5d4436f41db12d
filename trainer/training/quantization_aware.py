"""Quantisation-aware fine-tuning: the phase after ordinary training, whose steps compute as the int8 export will.

The phase is a run of its own in the run's folder `quantization_aware`: its state, checkpoints, table and log. It begins
with the best float weights, which stay where they are. Ranges are collected from the data that the export's converter
is given: before the first step from those weights, and again at every evaluation, each time from the weights in
question. The export collects them once more from the weights that are kept, so that what was evaluated is what is
exported; ranges that were learned, or kept from the beginning, would not be those of the file.

Its checkpoints compete among themselves and with the float weights, all of them in int8 arithmetic. Scores of float
models stay out of it: a float model scores higher than its own export, and would win by that alone.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.training_sections import TrainingSection
from trainer.data.drawn_sets import FeatureSet
from trainer.networks.weights import QUANTIZATION_AWARE, load_weights, save_weights
from trainer.training.loop import TrainingResult, train
from trainer.training.scores import Checkpoint, ValidationScores, is_better
from trainer.training.training_run import SimulatedExport, TrainingRun
from wakeword.corpus.recordings import hash_file
from wakeword.files import write_atomically

KEYS = ("quantization_aware_steps", "quantization_aware_learning_rate")
"""Of `training`."""
ORIGIN = "float_weights.sha256"
"""Names the weights that the phase began with."""
ARITHMETIC = "simulated int8 arithmetic"


@dataclasses.dataclass(frozen=True)
class Phase:
    """What the phase has that the training before it had not."""

    representative: NDArray[np.float32]
    """What ranges are collected on: the stream that the export's converter is given, `[slices, 40]`."""
    evaluate: Callable[[Any], ValidationScores]
    """Scores a `keras.Model` of `build_model` in the export's arithmetic."""
    within_scale: Callable[[Any], None]
    sets: Sequence[FeatureSet]
    """What batches are drawn from, mined hard negatives among them."""


def fine_tune(run: TrainingRun, trained: TrainingResult, folder: Path, phase: Phase) -> TrainingResult:
    """Fine-tune the best weights of a finished training; a phase that was interrupted goes on where it was.

    Args:
        run: The training before it, whose settings say how long the phase is.
        trained: Its result.
        folder: Of the run.
        phase: What the phase computes with.

    Returns the best weights in int8 arithmetic, which are the float ones where no checkpoint of the phase is as good.
    `ConfigError` is raised as by `train`.
    """
    own = folder / QUANTIZATION_AWARE
    _begin(own, trained.weights)
    tuning = dataclasses.replace(
        run,
        settings=_settings(run.settings),
        performance=run.performance.apart(QUANTIZATION_AWARE),
        folder=own,
        records=own if run.records else None,
        sets=phase.sets,
        evaluate=phase.evaluate,
        within_scale=phase.within_scale,
        hard_negatives=None,
        preparation={},
        simulated_export=SimulatedExport(trained.weights, phase.representative),
    )
    load_weights(trained.model, trained.weights)
    start = Checkpoint(0, phase.evaluate(trained.model))
    result = dataclasses.replace(train(tuning), arithmetic=ARITHMETIC, before=start.scores)
    if is_better(result.best, start, tuning.settings):
        return result
    # The file is what an export reads; the phase's own best is measured again from its state when it goes on.
    save_weights(trained.model, result.weights)
    load_weights(result.model, result.weights)
    return dataclasses.replace(result, best=start)


def steps_before(settings: TrainingSection) -> TrainingSection:
    """The settings of the training before the phase: the same with the phase and without it."""
    defaults = TrainingSection.model_fields
    return settings.model_copy(update={name: defaults[name].default for name in KEYS})


def _begin(own: Path, weights: Path) -> None:
    """A training that went on has other weights: what was fine-tuned of the older ones is removed."""
    origin, name = own / ORIGIN, hash_file(weights)
    if origin.is_file() and origin.read_text() != name:
        shutil.rmtree(own)
    own.mkdir(parents=True, exist_ok=True)
    write_atomically(origin, name)


def _settings(settings: TrainingSection) -> TrainingSection:
    """The phase as a training of one phase, with the weights and masks of the last one."""
    return steps_before(
        settings.last_phase(
            training_steps=(settings.quantization_aware_steps,),
            learning_rates=(settings.quantization_aware_learning_rate,),
            final_weight_averaging=0.0,
            triplet_weight=(0.0,),
            final_averaging_from=None,
        )
    )
