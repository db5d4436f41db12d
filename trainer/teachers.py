"""The earlier runs that a training learns from: that they fit it, and their weights.

A teacher that was trained on what validates or tests this run would carry it into the weights, so such a one is refused. A run's
`recordings.csv` is a splits table too: with it runs of several seeds share one split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from trainer.config.loader import CONFIG_NAME, load_config
from trainer.config.sections import TrainerConfig
from trainer.data.dataset import TABLE_NAME, read_recordings
from trainer.data.ingest import SampleRecord
from trainer.data.split import Split
from trainer.mixednet.lengths import window_slices
from trainer.training.checkpoints import load_weights
from trainer.training.teaching import Teacher, Teaching
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError


def check_teachers(config: TrainerConfig, records: Sequence[SampleRecord]) -> None:
    """Raise `ConfigError` for a teacher that is not there, reads another window, or was trained on what validates or tests these records."""
    slices = window_slices(config.model.network(), config.hardware.clip_duration_ms)
    held_out = {record.sha256: record.path for record in records if record.split is not Split.TRAIN}
    for checkpoint in config.training.teachers:
        taught = _config_of(checkpoint)
        theirs = window_slices(taught.model.network(), taught.hardware.clip_duration_ms)
        if theirs != slices:
            raise ConfigError(
                f"{checkpoint}: reads windows of {theirs} slices and this run has {slices}; "
                "give a teacher with the same hardware.clip_duration_ms and model.mixconv_kernel_sizes"
            )
        known = read_recordings(_folder(checkpoint))
        if not all(record.sha256 for record in known):
            raise ConfigError(f"{_folder(checkpoint) / TABLE_NAME}: of an older version, without the files' hashes; train this teacher again")
        leaking = [held_out[record.sha256] for record in known if record.split is Split.TRAIN and record.sha256 in held_out]
        if leaking:
            raise ConfigError(
                f"{checkpoint}: was trained on {leaking[0]}, which validates or tests this run ({len(leaking)} such recordings); "
                f"split both runs alike: give each the same splits table, such as --set paths.splits={_folder(checkpoint) / TABLE_NAME}"
            )


def open_teachers(config: TrainerConfig) -> Teaching | None:
    """The teachers of a configuration with their weights; None without any. Raises `ConfigError` for weights that cannot be read."""
    from trainer.mixednet.models import build_model

    section, teachers, hashes = config.training, [], []
    for checkpoint in section.teachers:
        taught = _config_of(checkpoint)
        network = taught.model.network()
        model = build_model(network, window_slices(network, taught.hardware.clip_duration_ms))
        load_weights(model, checkpoint)
        teachers.append(Teacher(model, network))
        hashes.append(hash_file(checkpoint))
    if not teachers:
        return None
    return Teaching(tuple(teachers), section.teaching_share, hashlib.sha256(" ".join(hashes).encode()).hexdigest())


def teachers_summary(config: TrainerConfig) -> str:
    """A line for the user of a configuration with teachers."""
    section = config.training
    count = len(section.teachers)
    return f"{section.teaching_share:.0%} of the loss is what {f'{count} earlier models say' if count > 1 else 'an earlier model says'}"


def _folder(checkpoint: Path) -> Path:
    return checkpoint.absolute().parent.parent


def _config_of(checkpoint: Path) -> TrainerConfig:
    if not checkpoint.is_file():
        raise ConfigError(f"{checkpoint}: does not exist; give training.teachers the checkpoints/best_weights.weights.h5 of earlier runs")
    own = _folder(checkpoint) / CONFIG_NAME
    if not own.is_file():
        raise ConfigError(f"{own}: does not exist; give a teacher within the folder of its run")
    return load_config(str(own))
