"""The weights of a run with what the run knows: its configuration, its network, its validation recordings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config.sections import TrainerConfig
from trainer.data.dataset import TABLE_NAME, read_recordings, refuse_changed, select_records
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.inference.agreement import measure_agreement, measure_onnx_agreement
from trainer.inference.runs import run_config, run_folder
from trainer.networks.runtime import require_tensorflow
from trainer.networks.weights import open_weights
from wakeword.audio import stream_samples
from wakeword.contract import SAMPLE_RATE_HZ, STEP_MS
from wakeword.errors import ConfigError
from wakeword.frontend import device_features
from wakeword.model.flatbuffer import TfliteModel
from wakeword.model.float_model import Agreement
from wakeword.stored_features import is_stored, stored_clips

if TYPE_CHECKING:
    from numpy.typing import NDArray

AGREEMENT_CLIPS, AGREEMENT_SECONDS = 30, 10
"""Validation recordings of each kind on which an exported and the float model are compared, and how much of each."""


@dataclass(frozen=True)
class RunCheckpoint:
    """The weights of a run with what the run knows, its recordings as they were when it was trained."""

    checkpoint: Path
    config: TrainerConfig
    model: Any
    """The `keras.Model` with the weights."""
    records: tuple[SampleRecord, ...]
    positives: list[SampleRecord]
    """Of the validation split, as `negatives` are."""
    negatives: list[SampleRecord]

    def agreement_of(self, content: bytes) -> Agreement:
        """How far an exported model is from this one on the beginnings of validation recordings.

        Raises as `measure_agreement` does.
        """
        return measure_agreement(content, self.model, self.config.model, self.config.slices, self._compared())

    def onnx_agreement_of(self, content: bytes) -> Agreement:
        """The same of the model of an .onnx file. Raises as `measure_onnx_agreement` does."""
        return measure_onnx_agreement(content, self.model, self.config.model, self.config.slices, self._compared())

    def _compared(self) -> list[NDArray[np.int8]]:
        return [
            _beginning(record.path) for kind in (self.positives, self.negatives) for record in kind[:AGREEMENT_CLIPS]
        ]


def open_checkpoint(checkpoint: Path, config: TrainerConfig) -> RunCheckpoint:
    """Load the weights of a run.

    Raises `ConfigError` when checkpoint, run and configuration do not belong together, or recordings have changed.
    """
    folder = run_folder(checkpoint)
    records = read_recordings(folder)
    positives, negatives = (select_records(records, Split.VAL, label) for label in (Label.POSITIVE, Label.NEGATIVE))
    if not positives or not negatives:
        raise ConfigError(f"{folder / TABLE_NAME}: holds no validation recordings of both kinds; train again")
    refuse_changed((*positives, *negatives), folder)
    return RunCheckpoint(
        checkpoint, config, open_weights(config.model, config.slices, checkpoint), records, positives, negatives
    )


def agreement_with_checkpoint(model: TfliteModel, checkpoint: Path) -> Agreement:
    """What `mww-verify --checkpoint` asks of the trainer: compare a model with the weights that it came from, on the
    run's validation recordings.

    Raises `ConfigError` as `open_checkpoint` does and for a model of another stride, `InfrastructureError` without
    TensorFlow.
    """
    require_tensorflow()
    return open_checkpoint(checkpoint, run_config(checkpoint)).agreement_of(model.content)


def _beginning(path: Path) -> NDArray[np.int8]:
    """Device features of the first seconds of a recording, or of a feature set."""
    if is_stored(path):
        return next(stored_clips(path))[: AGREEMENT_SECONDS * 1000 // STEP_MS]
    blocks = islice(stream_samples(path, SAMPLE_RATE_HZ), AGREEMENT_SECONDS)
    return device_features(np.concatenate(list(blocks)))
