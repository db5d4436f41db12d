"""The weights of a run with what the run knows: its configuration, its network, its validation recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config.loader import CONFIG_NAME, load_config
from trainer.config.mixednet import MixedNetConfig
from trainer.config.sections import TrainerConfig
from trainer.data.dataset import TABLE_NAME, chosen, read_recordings, refuse_changed
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.export.agreement import measure_agreement
from trainer.mixednet.lengths import window_slices
from trainer.mixednet.runtime import require_tensorflow
from trainer.mixednet.weights import open_weights
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
class Trained:
    """The weights of a run with what the run knows, its recordings as they were when it was trained."""

    checkpoint: Path
    config: TrainerConfig
    network: MixedNetConfig
    slices: int
    model: Any
    """The `keras.Model` with the weights."""
    records: tuple[SampleRecord, ...]
    positives: list[SampleRecord]
    """Of the validation split, as `negatives` are."""
    negatives: list[SampleRecord]

    def agreement_of(self, content: bytes) -> Agreement:
        """How far an exported model is from this one on the beginnings of validation recordings. Raises as `measure_agreement` does."""
        compared = [_beginning(record.path) for kind in (self.positives, self.negatives) for record in kind[:AGREEMENT_CLIPS]]
        return measure_agreement(content, self.model, self.network, self.slices, compared)


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to."""
    return checkpoint.absolute().parent.parent


def open_checkpoint(checkpoint: Path, config: TrainerConfig) -> Trained:
    """Load the weights of a run. Raises `ConfigError` when checkpoint, run and configuration do not belong together, or recordings have changed."""
    folder = run_folder(checkpoint)
    records = read_recordings(folder)
    positives, negatives = (chosen(records, Split.VAL, label) for label in (Label.POSITIVE, Label.NEGATIVE))
    if not positives or not negatives:
        raise ConfigError(f"{folder / TABLE_NAME}: holds no validation recordings of both kinds; train again")
    refuse_changed((*positives, *negatives), folder)
    network = config.model
    slices = window_slices(network, config.hardware.clip_duration_ms)
    return Trained(checkpoint, config, network, slices, open_weights(network, slices, checkpoint), records, positives, negatives)


def agreement_with_checkpoint(model: TfliteModel, checkpoint: Path) -> Agreement:
    """What `mww-verify --checkpoint` asks of the trainer: compare a model with the weights that it came from, on the run's validation recordings.

    Raises `ConfigError` as `open_checkpoint` does and for a model of another stride, `InfrastructureError` without TensorFlow.
    """
    require_tensorflow()
    return open_checkpoint(checkpoint, run_config(checkpoint)).agreement_of(model.content)


def run_config(checkpoint: Path, source: str | None = None, overrides: Sequence[Path] = (), settings: Sequence[str] = ()) -> TrainerConfig:
    """The configuration of a checkpoint's run, or the `source` given instead. Raises `ConfigError` when checkpoint or run are not there."""
    if not checkpoint.is_file():
        raise ConfigError(f"{checkpoint}: does not exist; give the checkpoints/best_weights.weights.h5 of a run, or train first")
    own = run_folder(checkpoint) / CONFIG_NAME
    if source is None and not own.is_file():
        raise ConfigError(f"{own}: does not exist; give a checkpoint within the folder of its run")
    return load_config(source or str(own), overrides, settings)


def _beginning(path: Path) -> NDArray[np.int8]:
    """Device features of the first seconds of a recording, or of a feature set."""
    if is_stored(path):
        return next(stored_clips(path))[: AGREEMENT_SECONDS * 1000 // STEP_MS]
    blocks = islice(stream_samples(path, SAMPLE_RATE_HZ), AGREEMENT_SECONDS)
    return device_features(np.concatenate(list(blocks)))
