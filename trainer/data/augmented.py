"""Augmented features of the training recordings, in the store, with the sounds of the configuration's folders."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.config.sections import TrainerConfig
from trainer.data.augment.features import augmented_features
from trainer.data.augment.settings import AugmentationSettings
from trainer.data.augment.sounds import SoundBank, Sounds, find_sounds, split_sounds, store_backgrounds, store_impulses
from trainer.data.ingest import SampleRecord
from trainer.data.parallel import Progress, core_count
from trainer.data.split import Split
from trainer.data.store import FeatureStore
from trainer.training.feature_set import ClipRows
from wakeword.errors import ConfigError


@dataclass(frozen=True)
class Augmentation:
    """What augments the training recordings of a run, and lines for the user on what it does without."""

    settings: AugmentationSettings
    sounds: Sounds
    copies: int
    told: tuple[str, ...] = ()


def prepare_augmentation(config: TrainerConfig, folder: Path, jobs: int | None = None, progress: Progress | None = None) -> Augmentation:
    """Find and decode the sounds that are mixed into clips; `folder` keeps them decoded.

    The default folders may be missing or empty: then their effect is left out, and a line says so. Raises `ConfigError` for another folder
    that is missing or without sounds, and where none of the sounds falls to training.
    """
    section, told = config.augmentation, []
    banks: list[SoundBank] = []
    for key, effect, probability, extra, store in (
        ("background_dir", "background noise", section.AddBackgroundNoise, section.background_paths, store_backgrounds),
        ("rir_dir", "room", section.RIR, section.impulse_paths, store_impulses),
    ):
        folders = (*config.paths.optional(key), *extra) if probability else ()
        found = find_sounds(folders)
        bank = store(found.recordings, folder, jobs=jobs, progress=progress)
        mine = split_sounds(bank, config.training.seed)[Split.TRAIN]
        banks.append(mine)
        if not probability:
            continue
        rejections = (*found.rejections, *bank.rejections)
        if rejections:
            files = len(found.recordings) + len(found.rejections)
            told.append(f"paths.{key}: {len(rejections)} of {files} files are not used, first {rejections[0].path}: {rejections[0].reason}")
        if left_out := str(found.left_out):
            told.append(f"paths.{key}: {left_out}")
        if not found.recordings and not extra and getattr(config.paths, key) == type(config.paths).model_fields[key].default:
            told.append(f"paths.{key}: no recordings in {', '.join(map(str, getattr(config.paths, key)))}, so clips are augmented without {effect}")
        elif not mine.sounds:
            raise ConfigError(
                f"paths.{key}: none of {len(bank.sounds)} usable sounds falls to training, since each belongs to one split, by its content; add some"
            )
    settings = section.settings(backgrounds=bool(banks[0].sounds), impulses=bool(banks[1].sounds))
    return Augmentation(settings, Sounds(*banks), section.copies, tuple(told))


def augmented_positives(
    store: FeatureStore, records: Sequence[SampleRecord], augmentation: Augmentation, seed: int, jobs: int | None = None, progress: Progress | None = None
) -> ClipRows:
    """So many copies of each utterance, `[318, 40]` each for 3.2 s. Raises `ConfigError` for an unreadable file."""
    return _stored(store, records, [augmentation.copies] * len(records), "positive_augmented", augmentation, seed, jobs, progress)


def augmented_negatives(
    store: FeatureStore, records: Sequence[SampleRecord], augmentation: Augmentation, seed: int, jobs: int | None = None, progress: Progress | None = None
) -> ClipRows:
    """Clips of every recording, about as many as its length makes. Raises `ConfigError` for an unreadable file."""
    # Powers of two, so that there are few different numbers: each costs the start of its own processes.
    draws = [2 ** max(0, round(math.log2(record.duration / augmentation.settings.augmentation_duration_s))) for record in records]
    return _stored(store, records, draws, "negative_augmented", augmentation, seed, jobs, progress)


def _stored(
    store: FeatureStore,
    records: Sequence[SampleRecord],
    draws: Sequence[int],
    name: str,
    augmentation: Augmentation,
    seed: int,
    jobs: int | None,
    progress: Progress | None,
) -> ClipRows:
    sounds = augmentation.sounds
    contents = [[sound.content for sound in bank.sounds] for bank in (sounds.backgrounds, sounds.impulses)]
    key = store.key(records, augmentation.settings, contents, tuple(draws), seed)
    clips = _clips(records, draws, augmentation, seed, jobs or core_count(), progress or (lambda _done, _total: None))
    return store.sets(key, (name,), lambda: (clips,))[name]


def _clips(
    records: Sequence[SampleRecord], draws: Sequence[int], augmentation: Augmentation, seed: int, processes: int, progress: Callable[[int, int], None]
) -> Iterator[NDArray[np.int8]]:
    """Clips of recordings with equally many draws together: one call has one number for all of its clips."""
    done, total = 0, sum(draws)
    progress(0, total)
    order = sorted(range(len(records)), key=lambda index: -draws[index])
    for count, group in groupby(order, key=lambda index: draws[index]):
        alike = [records[index] for index in group]
        for _, _, features in augmented_features(alike, augmentation.settings, seed, count, processes, augmentation.sounds):
            yield features
            done += 1
            progress(done, total)
