"""Synthetic speech as a room hears it: fixed conditions in which words and negatives of a validation are heard once
more.

A synthesiser's clip is clean and close, and nearly every model finds it: validation then says the same of all of them.
So where no person has said the words, they are also heard from afar, over noise or television, and quietly. Rooms and
backgrounds are those of validation alone, and the same for every model; each condition has several, one after the
other. What follows a word is the room's own pause, with its noise.

Negatives are heard in the same conditions, and noises alone besides. Clean ones are hardly ever accepted: a model with
which clean negatives let expect 0.65 false accepts an hour had 5.4 among recordings of people and noises.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.augment.computed import computed_backgrounds, computed_rooms, speech_bank
from trainer.data.augment.conditions import noise_instead, with_room_and_noise
from trainer.data.augment.sounds import StoredSound
from trainer.data.ingest import SampleRecord
from trainer.data.split import Split
from wakeword.corpus.feature_cache import FeatureCache
from wakeword.presentation import SESSION, Presentation
from wakeword.simulation.features import Change, present_changed
from wakeword.simulation.streams import PresentedStream

MOST_WORDS = 120
"""In each condition, chosen by their content: an evaluation hears all of them every time."""
PLACES = 4
"""Rooms and backgrounds a condition."""
MOST_NEGATIVES_S = 1200.0
"""Of negatives in each condition, chosen by their content too."""
_ROOMS, _BACKGROUNDS, _VOICES = 12, 2 * PLACES, 24
IN_A_ROOM = Presentation("session", gap_seconds=0.5, tail_seconds=0.5)
"""Negatives with the pauses of a stream; the noise of a room goes on in them, so as in a session all of it counts as
hours.
"""
_NOISES = 24
"""Noises and pieces of music that are heard alone."""
_FORMAT = 1
"""Part of the features' key; raise it when the same words and sounds are heard otherwise (here, or in
`trainer.data.augment.conditions`).
"""


@dataclass(frozen=True)
class Condition:
    """Where words are heard. `far`: from the farthest rooms, else from the nearest."""

    name: str
    far: bool = False
    snr_db: float | None = None
    level_dbfs: float | None = None


CONDITIONS = (
    Condition("far", far=True),
    Condition("10 dB over noise", snr_db=10.0),
    Condition("5 dB over noise, far", far=True, snr_db=5.0),
    Condition("quiet", level_dbfs=-40.0),
)


@dataclass(frozen=True)
class Place:
    """A room and what is heard in it besides."""

    room: StoredSound
    noise: StoredSound | None


@dataclass(frozen=True, eq=False)
class HardStreams:
    """Sessions of positives in hard conditions, and streams of negatives, the last of them noises alone."""

    positives: tuple[PresentedStream, ...] = ()
    negatives: tuple[PresentedStream, ...] = ()


def hard_streams(
    cache: FeatureCache, positives: Sequence[SampleRecord], negatives: Sequence[SampleRecord]
) -> HardStreams:
    """Positives and negatives in each condition; their features are computed once and found again.

    Negatives also talk on television.

    Raises `InfrastructureError` where the package that computes rooms is missing, `ConfigError` for a recording that
    cannot be read.
    """
    positive_paths = _by_path(sorted(positives, key=lambda record: record.content)[:MOST_WORDS])
    if not positive_paths:
        return HardStreams()
    with_audio = sorted((record for record in negatives if record.is_sound), key=lambda record: record.content)
    negative_paths = _by_path(_up_to(MOST_NEGATIVES_S, with_audio))
    # Some seventy short sounds are made once a machine; starting processes for them would cost more.
    folder = cache.folder / "sounds"
    rooms = sorted(computed_rooms(folder, Split.VAL, _ROOMS, jobs=1), key=lambda room: room.plan.distance_m)
    near, far = ([room.sound for room in some] for some in (rooms[:PLACES], rooms[-PLACES:]))
    backgrounds = computed_backgrounds(
        folder, Split.VAL, _BACKGROUNDS, speech_bank(folder, negatives, _VOICES, jobs=1), jobs=1
    ).sounds
    sessions, streams = [], []
    for condition in CONDITIONS:
        noises: Sequence[StoredSound | None] = (
            backgrounds[condition.far :: 2] if condition.snr_db is not None else [None]
        )
        pairs = zip(
            far if condition.far else near, [noises[place % len(noises)] for place in range(PLACES)], strict=True
        )
        places = tuple(Place(room, noise) for room, noise in pairs)
        sounds = [sound.content for place in places for sound in (place.room, place.noise) if sound is not None]
        change = Change(f"{_FORMAT} {condition}: {', '.join(sounds)}", partial(in_places, condition, places))
        sessions.append(present_changed(cache, positive_paths, SESSION, change))
        streams += [present_changed(cache, negative_paths, IN_A_ROOM, change)] if negative_paths else []
    if negative_paths:
        noises = computed_backgrounds(folder, Split.VAL, _NOISES, jobs=1).sounds
        change = Change(
            f"{_FORMAT} alone: {', '.join(sound.content for sound in noises)}", partial(noises_alone, noises)
        )
        streams.append(present_changed(cache, negative_paths, IN_A_ROOM, change))
    return HardStreams(tuple(sessions), tuple(streams))


def _by_path(records: Iterable[SampleRecord]) -> list[Path]:
    return [record.path for record in sorted(records, key=lambda record: record.path.as_posix())]


def _up_to(seconds: float, records: Iterable[SampleRecord]) -> Iterator[SampleRecord]:
    """The first of the records that together are no longer than that; longer ones are left out."""
    left = seconds
    for record in records:
        if record.duration <= left:
            left -= record.duration
            yield record


def in_places(
    condition: Condition, places: Sequence[Place], session: NDArray[np.int16], starts: Sequence[int]
) -> NDArray[np.int16]:
    """A stream, int16 `[n]`, whose recordings begin at `starts`: an equal share of them in each place.

    Nothing moves, and the length stays.
    """
    borders = [0, *(starts[place * len(starts) // len(places)] for place in range(1, len(places))), len(session)]
    parts = [
        with_room_and_noise(
            session[first:last],
            place.room,
            place.noise,
            condition.snr_db or 0.0,
            number,
            level_dbfs=condition.level_dbfs,
        )
        for number, (place, first, last) in enumerate(zip(places, borders[:-1], borders[1:], strict=True))
    ]
    return np.concatenate(parts)


def noises_alone(noises: Sequence[StoredSound], stream: NDArray[np.int16], _starts: Sequence[int]) -> NDArray[np.int16]:
    """Noises one after the other instead of a stream, int16 `[n]`, each for an equal share of it and as loud as what it
    replaces.
    """
    borders = [len(stream) * place // len(noises) for place in range(len(noises) + 1)]
    parts = [
        noise_instead(stream[first:last], noise, number)
        for number, (noise, first, last) in enumerate(zip(noises, borders[:-1], borders[1:], strict=True))
    ]
    return np.concatenate(parts)
