"""Augmented features of the training recordings, in the store, with the sounds of the configuration's folders."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.config.sections import AugmentationSection, TrainerConfig
from trainer.data.augment.computed import computed_backgrounds, computed_rooms, speech_bank
from trainer.data.augment.features import augmented_features
from trainer.data.augment.sounds import SoundBank, Sounds, find_sounds, split_sounds, store_backgrounds, store_impulses
from trainer.data.clip_rows import ClipRows
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Progress, core_count
from trainer.data.split import Split
from trainer.data.store import FeatureStore
from wakeword.errors import ConfigError

_FORMAT = 2
"""Raise it when the same settings, sounds and seed give other clips."""
_NOT_IN_A_CLIP = {
    "copies",
    "background_paths",
    "impulse_paths",
    "computed_rooms",
    "computed_backgrounds",
    "computed_music_share",
    "computed_speech_share",
}
"""Keys that say which sounds there are and how many clips are made: the clips' name in the store has those sounds, and
their number, itself. `TimeStretch` came later: where it is off, clips of before it are the same, and are found."""
_SPEECH_CLIPS = 256
"""Recordings that give what is said around words, and behind them: many enough that none is learned by heart."""


@dataclass(frozen=True)
class Augmentation:
    """What augments the training recordings of a run, and lines for the user on what it does without."""

    settings: AugmentationSection
    sounds: Sounds
    seed: int
    told: tuple[str, ...] = ()


def prepare_augmentation(
    config: TrainerConfig,
    negatives: Sequence[SampleRecord],
    folder: Path,
    counting: Callable[[str], Progress] | None = None,
    jobs: int | None = None,
) -> Augmentation:
    """Find and decode, or compute, the sounds that are mixed into clips; `folder` keeps them. `negatives` of the
    training give what others say.

    Where a default folder is missing or empty, rooms and backgrounds are computed, or their effect is left out where
    that is switched off; a line says which. Raises `ConfigError` for another folder that is missing or without sounds,
    and where none of the sounds falls to training.
    """
    count, section, told = counting or (lambda _stage: lambda _done, _total: None), config.augmentation, list[str]()
    speech = SoundBank()
    if (
        section.SpeechBefore
        or section.SpeechAfter
        or (section.AddBackgroundNoise and section.computed_backgrounds and section.computed_speech_share)
    ):
        speech = speech_bank(folder, negatives, _SPEECH_CLIPS, jobs=jobs, progress=count("speech around words"))
    backgrounds = _recorded(config, _BACKGROUNDS, folder, count, jobs, told)
    if backgrounds is None:
        shares = {"music_share": section.computed_music_share, "speech_share": section.computed_speech_share}
        number = section.computed_backgrounds
        backgrounds = (
            computed_backgrounds(
                folder, Split.TRAIN, number, speech, **shares, jobs=jobs, progress=count("computing backgrounds")
            )
            if number
            else SoundBank()
        )
        told.append(_without(config, _BACKGROUNDS, f"over {number} computed backgrounds" if number else ""))
    rooms = _recorded(config, _ROOMS, folder, count, jobs, told)
    if rooms is None:
        number = section.computed_rooms
        computed = (
            computed_rooms(folder, Split.TRAIN, number, jobs=jobs, progress=count("computing rooms")) if number else ()
        )
        rooms = SoundBank(tuple(room.sound for room in computed))
        told.append(_without(config, _ROOMS, f"in {number} computed rooms" if number else ""))
    without = dict.fromkeys(() if backgrounds.sounds else ("AddBackgroundNoise", "BackgroundAlone"), 0.0)
    without |= dict.fromkeys(() if rooms.sounds else ("RIR",), 0.0)
    around = speech if section.SpeechBefore or section.SpeechAfter else SoundBank()
    return Augmentation(
        section.model_copy(update=without), Sounds(backgrounds, rooms, around), config.training.seed, tuple(told)
    )


@dataclass(frozen=True)
class _Kind:
    """One kind of sounds: its keys, the effect that uses it, what that is called, how its files are stored."""

    key: str
    extra: str
    effect: str
    name: str
    store: Callable[..., SoundBank]


_BACKGROUNDS = _Kind("background_dir", "background_paths", "AddBackgroundNoise", "background noise", store_backgrounds)
_ROOMS = _Kind("rir_dir", "impulse_paths", "RIR", "room", store_impulses)


def _recorded(
    config: TrainerConfig,
    kind: _Kind,
    folder: Path,
    counting: Callable[[str], Progress],
    jobs: int | None,
    told: list[str],
) -> SoundBank | None:
    """The sounds of the folders that a configuration names, and those of the training among them; None where only a
    default folder is named, and has none.
    """
    extra = getattr(config.augmentation, kind.extra)
    if not getattr(config.augmentation, kind.effect):
        return SoundBank()
    found = find_sounds((*config.paths.folders(kind.key), *extra))
    bank = kind.store(
        found.recordings, folder, jobs=jobs, progress=counting("backgrounds and rooms") if found.recordings else None
    )
    mine = split_sounds(bank, config.training.seed, config.training.split_fractions)[Split.TRAIN]
    rejections = (*found.rejections, *bank.rejections)
    if rejections:
        files = len(found.recordings) + len(found.rejections)
        told.append(
            f"paths.{kind.key}: {len(rejections)} of {files} files are not used, first {rejections[0].path}:"
            f" {rejections[0].reason}"
        )
    if left_out := str(found.left_out):
        told.append(f"paths.{kind.key}: {left_out}")
    if not found.recordings and not extra and _is_default(config, kind):
        return None
    if not mine.sounds:
        raise ConfigError(
            f"paths.{kind.key}: none of {len(bank.sounds)} usable sounds falls to training, since each belongs to one"
            " split, by its content; add some"
        )
    return mine


def _is_default(config: TrainerConfig, kind: _Kind) -> bool:
    return bool(getattr(config.paths, kind.key) == type(config.paths).model_fields[kind.key].default)


def _without(config: TrainerConfig, kind: _Kind, instead: str) -> str:
    folders = ", ".join(map(str, getattr(config.paths, kind.key)))
    return f"paths.{kind.key}: no recordings in {folders}, so clips are augmented {instead or f'without {kind.name}'}"


def augmented_clips(
    store: FeatureStore,
    label: Label,
    records: Sequence[SampleRecord],
    augmentation: Augmentation,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> ClipRows:
    """Features of augmented clips of all records of a label, computed where the store lacks them.

    Args:
        store: Where they are kept.
        label: Of wake words so many copies are made as the settings say, of other recordings about as many clips as
        their length makes.
        records: The recordings, all of this label.
        augmentation: The effects, their sounds and their seed.
        jobs: Processes; None: one a core.
        progress: Told how many clips are done.

    Returns:
        int8 `[slices, 40]` a clip, 318 slices for 3.2 s.

    Raises `ConfigError` for an unreadable file.
    """
    settings = augmentation.settings
    # Powers of two, so that there are few different numbers: each costs the start of its own processes.
    by_length = (
        2 ** max(0, round(math.log2(record.duration / settings.augmentation_duration_s))) for record in records
    )
    draws = [settings.copies] * len(records) if label is Label.POSITIVE else list(by_length)
    name = f"{label}_augmented"
    key = store.key(
        records,
        _FORMAT,
        settings.model_dump(exclude=_NOT_IN_A_CLIP | (set() if settings.TimeStretch else {"TimeStretch"})),
        augmentation.sounds.contents,
        tuple(draws),
        augmentation.seed,
    )
    clips = _clips(records, draws, augmentation, jobs or core_count(), progress or (lambda _done, _total: None))
    return store.sets(key, (name,), lambda: (clips,))[name]


def _clips(
    records: Sequence[SampleRecord],
    draws: Sequence[int],
    augmentation: Augmentation,
    processes: int,
    progress: Callable[[int, int], None],
) -> Iterator[NDArray[np.int8]]:
    """Clips of recordings with equally many draws together: one call has one number for all of its clips."""
    done, total = 0, sum(draws)
    progress(0, total)
    order = sorted(range(len(records)), key=lambda index: -draws[index])
    for count, group in groupby(order, key=lambda index: draws[index]):
        alike = [records[index] for index in group]
        for _, _, features in augmented_features(
            alike, augmentation.settings, augmentation.seed, count, processes, augmentation.sounds
        ):
            yield features
            done += 1
            progress(done, total)
