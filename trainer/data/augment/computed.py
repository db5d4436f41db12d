"""Rooms and backgrounds for who has no recordings of them: computed once, kept in the store of decoded sounds.

They depend on their split and number, not on the seed of a training, so that every run on a machine has them after the
first. No room, piece of music or noise of one split serves another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.augment import backgrounds
from trainer.data.augment.rooms import RoomPlan, impulse_response, room_plan
from trainer.data.augment.sounds import SoundBank, StoredSound, kept_sound, key_of
from trainer.data.ingest import SampleRecord
from trainer.data.parallel import Progress, map_in_processes
from trainer.data.split import Split
from wakeword import contract
from wakeword.audio import stream_samples, to_int16
from wakeword.corpus.walk import Rejection
from wakeword.draws import derived_generator
from wakeword.extras import require

_ROOM_FORMAT, _BACKGROUND_FORMAT, _SPEECH_FORMAT = 1, 2, 1
"""Raise one when the same plan gives another sound."""
BACKGROUND_S = 15.0
_SPEECH_S = 15.0
"""So much of a recording is kept as speech."""
_VOICES = (1, 1, 2, 3, 5)
"""Of a background of speech: somebody on television, a conversation, many people."""


@dataclass(frozen=True)
class ComputedRoom:
    """A room and its stored impulse response."""

    plan: RoomPlan
    sound: StoredSound


def computed_rooms(
    folder: Path, split: Split, count: int, *, jobs: int | None = None, progress: Progress | None = None
) -> tuple[ComputedRoom, ...]:
    """The first `count` rooms of a split, in order; those that the store at `folder` lacks are computed, about 0.3 s of
    a core each.

    Interrupted, the next call goes on where this one was. Raises `InfrastructureError` where pyroomacoustics is not
    installed, `OSError` when the store cannot be written.
    """
    require("computing rooms (augmentation.computed_rooms)", "pyroomacoustics")
    plans = [room_plan(split, number) for number in range(count)]
    sounds = map_in_processes(partial(_room, folder, version("pyroomacoustics")), plans, jobs=jobs, progress=progress)
    return tuple(ComputedRoom(plan, sound) for plan, sound in zip(plans, sounds, strict=True))


def computed_backgrounds(
    folder: Path,
    split: Split,
    count: int,
    speech: SoundBank | None = None,
    *,
    music_share: float = 0.3,
    speech_share: float = 0.4,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> SoundBank:
    """Backgrounds of 15 s, in order: shares of music and of others' speech, the rest noises of a household.

    Args:
        folder: The store of sounds; those that it lacks are computed.
        split: Whose backgrounds: no two splits share one.
        count: How many.
        speech: Recordings of the same split (`speech_bank`); without any, the share of speech goes to noises and music.
        music_share: Of all.
        speech_share: Of all.
        jobs: Processes; None: one a core.
        progress: Told how many are done.

    Returns:
        The stored sounds.

    Raises `OSError` when the store cannot be written.
    """
    talk = round(count * speech_share) if speech is not None and speech.sounds else 0
    rest = count - talk
    music = round(rest * music_share / (1 - speech_share)) if speech_share < 1 else 0
    kinds = ["speech"] * talk + ["music"] * min(music, rest) + ["noise"] * (rest - min(music, rest))
    numbered = [(kind, kinds[:place].count(kind)) for place, kind in enumerate(kinds)]
    make = partial(_background, folder, split, speech or SoundBank())
    return SoundBank(tuple(map_in_processes(make, numbered, jobs=jobs, progress=progress)))


def speech_bank(
    folder: Path,
    records: Sequence[SampleRecord],
    count: int,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> SoundBank:
    """The beginning of up to `count` recordings without the wake word, for backgrounds of speech and for what is said
    around a clip.

    Which ones is told by the recordings' content alone, short ones first: noise, music and whole evenings are seldom
    cut into sentences. An unreadable one is a rejection. Raises `OSError` when the store cannot be written.
    """
    heard = (record for record in records if record.is_sound)
    chosen = sorted(heard, key=lambda record: (record.duration > _SPEECH_S, key_of(record.sha256, record.path.name)))
    sounds: dict[str, StoredSound] = {}
    rejections: list[Rejection] = []
    for outcome in map_in_processes(partial(_beginning, folder), chosen[:count], jobs=jobs, progress=progress):
        if isinstance(outcome, Rejection):
            rejections.append(outcome)
        else:
            sounds.setdefault(outcome.content, outcome)
    return SoundBank(tuple(sounds[content] for content in sorted(sounds)), tuple(rejections))


def _room(folder: Path, library: str, plan: RoomPlan) -> StoredSound:
    return _made(folder, Path(str(plan)), key_of(_ROOM_FORMAT, library, plan), partial(impulse_response, plan))


def _background(folder: Path, split: Split, speech: SoundBank, which: tuple[str, int]) -> StoredSound:
    kind, number = which
    draw = derived_generator("background", split, kind, number)
    source = Path(f"computed {kind} {number}")
    if kind != "speech":
        make = {"music": backgrounds.music, "noise": backgrounds.noise}[kind]
        return _made(folder, source, key_of(_BACKGROUND_FORMAT, split, which), partial(make, BACKGROUND_S, draw))
    voices = [_said(speech, draw) for _ in range(int(draw.choice(_VOICES)))]
    return _made(
        folder,
        source,
        key_of(_BACKGROUND_FORMAT, [[sound.content for sound in voice] for voice in voices]),
        partial(_talk, voices),
    )


def _said(speech: SoundBank, draw: np.random.Generator) -> list[StoredSound]:
    """What one voice of a background says one after the other, and a little more than is heard of it."""
    said: list[StoredSound] = []
    while sum(sound.samples for sound in said) < BACKGROUND_S * contract.SAMPLE_RATE_HZ:
        said.append(speech.sounds[int(draw.integers(len(speech.sounds)))])
    return said


def _talk(voices: Sequence[Sequence[StoredSound]]) -> NDArray[np.float64]:
    """All voices at once, each as loud as the others."""
    count = round(BACKGROUND_S * contract.SAMPLE_RATE_HZ)
    mixed = np.zeros(count)
    for said in voices:
        voice = np.concatenate([backgrounds.of_rms(sound.read().astype(np.float64)) for sound in said])[:count]
        mixed += voice
    return mixed


def _made(folder: Path, source: Path, key: str, make: partial[NDArray[np.float64]]) -> StoredSound:
    """A sound that is computed where the store lacks it; its peak is that of int16."""

    def block() -> Iterator[NDArray[np.int16]]:
        sound = make()
        yield to_int16((sound / np.abs(sound).max()).astype(np.float32))

    kept = kept_sound(folder, key, source, block)
    assert isinstance(kept, StoredSound), "what is computed is neither silent nor unreadable"
    return kept


def _beginning(folder: Path, record: SampleRecord) -> StoredSound | Rejection:
    return kept_sound(
        folder, key_of(_SPEECH_FORMAT, "speech", record.content, _SPEECH_S), record.path, partial(_first, record.path)
    )


def _first(path: Path) -> Iterable[NDArray[np.int16]]:
    left = round(_SPEECH_S * contract.SAMPLE_RATE_HZ)
    for block in stream_samples(path):
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return
