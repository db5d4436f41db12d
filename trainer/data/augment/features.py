"""Augmented clips as the device hears them: placed, augmented, through the device's own frontend, in parallel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trainer.config.sections import AugmentationSection
from trainer.data.augment.chain import Augmenter
from trainer.data.augment.context import PlacedClip
from trainer.data.augment.sounds import Sounds
from trainer.data.ingest import Label, SampleRecord
from trainer.data.words import WordPlace, word_place
from wakeword.audio import read_samples
from wakeword.errors import ConfigError
from wakeword.frontend import device_features
from wakeword.processes import process_map
from wakeword.workers import call, elsewhere

_DRAWS_A_TASK = 16
"""Draws that one message to a worker asks for: a clip is decoded once for them."""

type Drawn = tuple[int, int, NDArray[np.int8]]


@dataclass(frozen=True)
class _Task:
    index: int
    record: SampleRecord
    draws: range


def augmented_features(
    clips: Sequence[SampleRecord],
    settings: AugmentationSection,
    seed: int,
    draws: int,
    processes: int = 1,
    sounds: Sounds | None = None,
    first_draw: int = 0,
) -> Iterator[Drawn]:
    """Features of augmented clips: positives end with their word and the drawn jitter, others are placed anywhere.

    What is drawn for a clip comes from the seed, its label, speaker and file name and the draw: not from its index, the
    other clips or the number of processes. Results that nobody has asked for yet wait in memory at 13 kB a draw.

    Args:
        clips: The recordings.
        settings: Effects and their probabilities.
        seed: Of all random numbers.
        draws: How many of each clip.
        processes: 1: in this process.
        sounds: What is mixed in.
        first_draw: Number of the first of the draws.

    Returns:
        Clip index, draw and int8 features `[slices, 40]` of every draw of every clip, in order. `slices` is the same
        for all: `contract.slice_count(settings.samples)`, 318 for 3.2 s.

    Raises `ConfigError` for missing sounds and less than one draw or process; while it is iterated, `ConfigError` for
    an unreadable clip, and `InfrastructureError` when a worker dies.
    """
    if draws < 1 or processes < 1:
        raise ConfigError(f"augmentation with {draws} draws a clip in {processes} processes; give at least 1 of each")
    stop = first_draw + draws
    starts = range(first_draw, stop, _DRAWS_A_TASK)
    tasks = [
        _Task(index, record, range(start, min(start + _DRAWS_A_TASK, stop)))
        for index, record in enumerate(clips)
        for start in starts
    ]
    return _run(Augmenter(settings, sounds), seed, tasks, processes)


def _run(augmenter: Augmenter, seed: int, tasks: Sequence[_Task], processes: int) -> Iterator[Drawn]:
    if elsewhere() is None and (processes == 1 or len(tasks) < 2):
        for task in tasks:
            yield from _features(augmenter, seed, task)
        return
    with process_map(call, tasks, processes, partial, _features, augmenter, seed) as results:
        for result in results:
            yield from result


def augmented_clip(
    augmenter: Augmenter, record: SampleRecord, samples: NDArray[np.int16], word: WordPlace | None, seed: int, draw: int
) -> PlacedClip:
    """One draw of a clip.

    Args:
        augmenter: The effects and their sounds.
        record: The recording, whose name decides what is drawn.
        samples: Its decoded samples, int16 `[n]`.
        word: The place of its wake word in them; None for a recording without one.
        seed: Of all random numbers.
        draw: Number of the draw.

    Returns:
        int16 `[settings.samples]`, and where the word ends in them.
    """
    name = _name(record)
    placed = augmenter.placed(samples, word, seed, name, draw)
    return replace(placed, samples=augmenter.augment(placed.samples, seed, name, draw))


def _name(record: SampleRecord) -> str:
    """What stays the same when the dataset's folder is moved or a clip is added."""
    return f"{record.label}/{record.speaker}/{record.path.name}"


def _features(augmenter: Augmenter, seed: int, task: _Task) -> list[Drawn]:
    samples = read_samples(task.record.path)
    word = word_place(task.record.path, samples) if task.record.label is Label.POSITIVE else None
    clips = (augmented_clip(augmenter, task.record, samples, word, seed, draw) for draw in task.draws)
    return [(task.index, draw, device_features(clip.samples)) for draw, clip in zip(task.draws, clips, strict=True)]
