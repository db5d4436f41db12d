"""Synthetic words as a room hears them: fixed conditions in which the words of a validation are heard once more.

A synthesiser's clip is clean and close, and nearly every model finds it: validation then says the same of all of them. So words that no person has said
are also heard from afar, over noise or television, and quietly. Rooms and backgrounds are those of validation alone, and the same for every model; each
condition has several, one after the other. What follows a word is the room's own pause, with its noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trainer.data.augment.computed import computed_backgrounds, computed_rooms, speech_bank
from trainer.data.augment.conditions import heard
from trainer.data.augment.sounds import Sound
from trainer.data.ingest import SampleRecord
from trainer.data.split import Split
from wakeword.corpus.feature_cache import FeatureCache
from wakeword.presentation import SESSION
from wakeword.simulation.features import Change, present_changed
from wakeword.simulation.streams import PresentedStream

MOST_WORDS = 120
"""In each condition, chosen by their content: an evaluation hears all of them every time."""
PLACES = 4
"""Rooms and backgrounds a condition."""
_ROOMS, _BACKGROUNDS, _VOICES = 12, 2 * PLACES, 24
_FORMAT = 1
"""Part of the features' key; raise it when the same words and sounds are heard otherwise (here, or in `trainer.data.augment.conditions`)."""


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

    room: Sound
    noise: Sound | None


def hard_sessions(cache: FeatureCache, words: Sequence[SampleRecord], negatives: Sequence[SampleRecord]) -> tuple[PresentedStream, ...]:
    """A session of words in each condition; its features are computed once and found again. `negatives` of the same split talk on television.

    Raises `InfrastructureError` where the package that computes rooms is missing, `ConfigError` for a word that cannot be read.
    """
    chosen = sorted(sorted(words, key=lambda record: record.content)[:MOST_WORDS], key=lambda record: record.path.as_posix())
    if not chosen:
        return ()
    # A dozen sounds are made once a machine; starting processes for them would cost more.
    folder = cache.folder / "sounds"
    rooms = sorted(computed_rooms(folder, Split.VAL, _ROOMS, jobs=1), key=lambda room: room.plan.distance_m)
    near, far = ([room.sound for room in some] for some in (rooms[:PLACES], rooms[-PLACES:]))
    backgrounds = computed_backgrounds(folder, Split.VAL, _BACKGROUNDS, speech_bank(folder, negatives, _VOICES, jobs=1), jobs=1).sounds
    sessions = []
    for condition in CONDITIONS:
        noises: Sequence[Sound | None] = backgrounds[condition.far :: 2] if condition.snr_db is not None else [None]
        pairs = zip(far if condition.far else near, [noises[place % len(noises)] for place in range(PLACES)], strict=True)
        places = tuple(Place(room, noise) for room, noise in pairs)
        sounds = [sound.content for place in places for sound in (place.room, place.noise) if sound is not None]
        change = Change(f"{_FORMAT} {condition}: {', '.join(sounds)}", partial(heard_in_places, condition, places))
        sessions.append(present_changed(cache, [record.path for record in chosen], SESSION, change))
    return tuple(sessions)


def heard_in_places(condition: Condition, places: Sequence[Place], session: NDArray[np.int16], starts: Sequence[int]) -> NDArray[np.int16]:
    """A session, int16 `[n]`, whose words begin at `starts`: an equal share of them in each place. Nothing moves, and the length stays."""
    borders = [0, *(starts[place * len(starts) // len(places)] for place in range(1, len(places))), len(session)]
    parts = [
        heard(session[first:last], place.room, place.noise, condition.snr_db or 0.0, number, level_dbfs=condition.level_dbfs)
        for number, (place, first, last) in enumerate(zip(places, borders[:-1], borders[1:], strict=True))
    ]
    return np.concatenate(parts)
