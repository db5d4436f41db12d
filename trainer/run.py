"""One training run, from a configuration to the best weights in a run's folder.

The folder describes itself: the resolved configuration, the recordings with their splits, the rejected ones with their reasons, the
checkpoints. `exporting.py` goes on from it and the recordings alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.config.loader import load_config, write_config
from trainer.config.sections import TrainerConfig
from trainer.data.dataset import TABLE_NAME, Sources, chosen, load_recordings, read_recordings, rejection_summary, write_recordings
from trainer.data.features import negative_features, positive_features
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Progress as CountProgress
from trainer.data.split import Split
from trainer.mixednet.lengths import window_slices
from trainer.training.feature_set import FeatureSet
from trainer.training.loop import TrainingResult, train
from trainer.training.progress import Progress as TrainingProgress
from trainer.training.validation import StreamingValidation, ValidationData, validation_data
from wakeword.contract import STEP_MS
from wakeword.corpus.feature_cache import FeatureCache, default_cache_folder
from wakeword.errors import ConfigError
from wakeword.scoring.matching import TOLERANCE_SECONDS

CONFIG_NAME = "config.yaml"
SLICES_AFTER_WORD = 20
"""With ten slices of random shift, windows end 110 to 200 ms after the word: so long after it the model learns to fire."""

# Shares of a batch. Wake words are few and alike, negatives many; joined streams hold what false accepts are made of.
POSITIVE_SHARE, JOINED_SHARE, ALONE_SHARE, AFTER_SHARE = 1.0, 3.0, 1.0, 0.5

SLICES_TOO_LATE = round(TOLERANCE_SECONDS * 1000 / STEP_MS)
"""So long after the word a detection finds it no more; a model that has not learned that fires into the pause, and its hold-off swallows the next word."""


class RunProgress(TrainingProgress, Protocol):
    """Receives what a run does, stage by stage."""

    def told(self, message: str) -> None:
        """A line for the user: what was found, a warning."""
        ...

    def counting(self, stage: str) -> CountProgress:
        """A counter for a stage that handles recordings."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """Features to train on: positives and negatives, int8 `[slices, 40]` each. `after` are the pauses after the positives."""

    positives: list[NDArray[np.int8]]
    joined: list[NDArray[np.int8]]
    alone: list[NDArray[np.int8]]
    after: list[NDArray[np.int8]]

    def clips(self) -> list[NDArray[np.int8]]:
        """All of them, as the export measures ranges on them."""
        return [*self.positives, *self.alone, *self.joined, *self.after]

    def sets(self) -> list[FeatureSet]:
        """What a batch is drawn from."""
        sets = [
            FeatureSet("positive", True, self.positives, POSITIVE_SHARE, truncation_strategy="truncate_start"),
            FeatureSet("negative_joined", False, self.joined, JOINED_SHARE),
            FeatureSet("after_positive", False, self.after, AFTER_SHARE),
        ]
        return sets + ([FeatureSet("negative_alone", False, self.alone, ALONE_SHARE)] if self.alone else [])


def train_run(config: TrainerConfig, folder: Path, progress: RunProgress, jobs: int | None = None) -> TrainingResult:
    """Train what a configuration asks for in `folder`; a run that was interrupted goes on where it was.

    Raises `ConfigError` for recordings or settings that cannot be used, and when `folder` holds a run with another configuration or
    other recordings.
    """
    network, plan = config.model.network(), config.training.plan()
    slices = window_slices(network, config.hardware.clip_duration_ms)
    _refuse_other_configuration(config, folder)
    sources = Sources(config.paths.positive_dir, config.paths.negative_dir, config.paths.generated_dir, config.paths.splits)
    ingestion = load_recordings(sources, plan.seed, jobs, progress.counting("checking recordings"))
    for line in (*ingestion.warnings, rejection_summary(ingestion.rejections)):
        if line:
            progress.told(line)
    progress.told(_split_summary(ingestion.records))
    _refuse_other_recordings(ingestion.records, folder)
    write_config(config, folder / CONFIG_NAME)
    write_recordings(ingestion, folder)
    data = training_data(ingestion.records, slices, plan.seed, progress, jobs)
    validation = StreamingValidation(
        network,
        slices,
        _validation_features(ingestion.records, progress),
        config.export.sliding_window_size,
        plan.target_false_accepts_per_hour,
        config.export.probability_cutoff,
    )
    return train(network, slices, data.sets(), plan, folder / "checkpoints", validation, progress)


def training_data(records: Sequence[SampleRecord], slices: int, seed: int, progress: RunProgress, jobs: int | None = None) -> TrainingData:
    """Features of the training split for windows of so many `slices`. The same records and seed give the same features."""
    positives = chosen(records, Split.TRAIN, Label.POSITIVE)
    negatives = chosen(records, Split.TRAIN, Label.NEGATIVE, Label.HARD_NEGATIVE)
    spoken = positive_features(positives, seed=seed, jobs=jobs, progress=progress.counting("features of positives"))
    others = negative_features(negatives, seed=seed, jobs=jobs, progress=progress.counting("features of negatives"))
    return TrainingData(
        [one.features[: one.word_end + SLICES_AFTER_WORD] for one in spoken],
        others.joined,
        others.alone,
        # Every window of these ends when it is too late to detect the word, which may still be in it.
        [one.features[max(0, one.word_end + SLICES_TOO_LATE - slices) :] for one in spoken],
    )


def _validation_features(records: Sequence[SampleRecord], progress: RunProgress) -> ValidationData:
    positives, negatives = (chosen(records, Split.VAL, label) for label in (Label.POSITIVE, Label.NEGATIVE))
    total = math.ceil(sum(record.duration for record in (*positives, *negatives)))
    count, heard_s = progress.counting("seconds of validation recordings"), 0.0

    def heard(seconds: float) -> None:
        nonlocal heard_s
        heard_s += seconds
        count(min(int(heard_s), total - 1), total)  # the last second is counted once all is done

    data = validation_data(FeatureCache(default_cache_folder()), [record.path for record in positives], [record.path for record in negatives], heard)
    count(total, total)
    return data


def _refuse_other_configuration(config: TrainerConfig, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; name a folder for the run")
    if not (folder / CONFIG_NAME).is_file():
        return
    earlier, wanted = load_config(str(folder / CONFIG_NAME)).model_dump(), config.model_dump()
    changed = [f"{section}.{key}" for section, values in wanted.items() for key, value in values.items() if value != earlier[section][key]]
    if changed:
        raise ConfigError(f"{folder}: holds a run with another {', '.join(changed)}; give another --output, or remove the folder")


def _refuse_other_recordings(records: Sequence[SampleRecord], folder: Path) -> None:
    """The weights of a run and its table of recordings must tell the same: an export chooses its cutoff by the table."""
    if (folder / TABLE_NAME).is_file() and read_recordings(folder) != tuple(records):
        raise ConfigError(f"{folder}: holds a run with other recordings than are found now; give another --output, or remove the folder")


def _split_summary(records: Sequence[SampleRecord]) -> str:
    parts = []
    for split in Split:
        positives, negatives = chosen(records, split, Label.POSITIVE), chosen(records, split, Label.NEGATIVE, Label.HARD_NEGATIVE)
        hours = sum(record.duration for record in negatives) / 3600
        speakers = len({record.speaker for record in positives})
        parts.append(f"{split.value}: {len(positives)} positives of {speakers} speakers, {len(negatives)} negatives ({hours:.2f} h)")
    return "; ".join(parts)
