"""What is said right before and after a clip: other speech of the training, without a pause, as loud as the clip.

A word alone in silence is not what a device hears: it stands in a sentence, or is called while somebody talks. Speech
is added where the clip has only silence or a room's noise; the effects come after it, so that room, noise and
microphone are the same for all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.augment.sounds import SoundBank
from wakeword import contract

_FRAME = contract.SAMPLE_RATE_HZ // 100
_LOUD_DB = 25.0
"""A frame so far below the loudest one is a pause."""
_LEVEL_DB = (-6.0, 3.0)
_FADE = contract.SAMPLE_RATE_HZ // 200
"""5 ms, against clicks."""
_LISTENED = contract.SAMPLE_RATE_HZ
"""So much more of a recording is read than is needed, to find where somebody speaks."""
_AFTER_S = 0.1
"""What follows a word begins so long after it at most: the window that hears the word ends 110 to 200 ms after it."""


@dataclass(frozen=True)
class PlacedClip:
    """A clip cut or padded to its augmented length."""

    samples: NDArray[np.int16]
    word_end: int | None
    """One past the word's last sample; None for a clip without a marked word."""
    own: tuple[int, int]
    """First and one past the last sample that are the word's, or, without a marked word, the clip's: speech may be put
    around them."""


def speech_before(placed: PlacedClip, speech: SoundBank, draw: np.random.Generator) -> PlacedClip:
    """With speech that ends where the clip's own begins."""
    room = placed.own[0]
    said = _excerpt(speech, room, draw, ends_in_speech=True)
    return _with(placed, room - len(said), said, draw)


def speech_after(placed: PlacedClip, speech: SoundBank, draw: np.random.Generator) -> PlacedClip:
    """With speech that begins where the clip's own ends, or up to 0.1 s later."""
    start = placed.own[1] + round(draw.uniform(0, _AFTER_S) * contract.SAMPLE_RATE_HZ)
    return _with(placed, start, _excerpt(speech, max(0, len(placed.samples) - start), draw, ends_in_speech=False), draw)


def _excerpt(
    speech: SoundBank, longest: int, draw: np.random.Generator, *, ends_in_speech: bool
) -> NDArray[np.float64]:
    """A piece of a recording that ends, or begins, while somebody speaks: float64 `[up to longest]`, of
    active level 1."""
    chosen = speech.sounds[int(draw.integers(len(speech.sounds)))]
    read = min(chosen.samples, longest + _LISTENED)
    sound = chosen.read(int(draw.integers(chosen.samples - read, endpoint=True)), read).astype(np.float64)
    loud = np.flatnonzero(_loud(sound))
    if not longest or not len(loud):
        return np.zeros(0)
    turn = _FRAME * int(loud[int(draw.integers(len(loud)))])
    piece = sound[max(0, turn + _FRAME - longest) : turn + _FRAME] if ends_in_speech else sound[turn : turn + longest]
    piece = piece / active_rms(sound)
    fade = np.linspace(0, 1, min(_FADE, len(piece)))
    piece[: len(fade)] *= fade
    piece[-len(fade) :] *= fade[::-1]
    return piece


def _with(placed: PlacedClip, start: int, said: NDArray[np.float64], draw: np.random.Generator) -> PlacedClip:
    """`said` from sample `start` on, as loud as the clip's own sound, give or take some decibels."""
    own = placed.samples[placed.own[0] : placed.own[1]].astype(np.float64)
    gain = active_rms(own) * 10 ** (draw.uniform(*_LEVEL_DB) / 20)
    mixed = placed.samples.astype(np.float64)
    mixed[start : start + len(said)] += gain * said
    return PlacedClip(np.clip(np.rint(mixed), -32768, 32767).astype(np.int16), placed.word_end, placed.own)


def active_rms(sound: NDArray[np.float64]) -> float:
    """Root mean square of the frames of 10 ms that are within 25 dB of the loudest one; 0 for silence."""
    loud = _loud(sound)
    count = len(loud) * _FRAME
    frames = np.pad(sound, (0, count - len(sound))).reshape(-1, _FRAME)[loud] if len(loud) else np.zeros((0, _FRAME))
    return float(np.sqrt(np.mean(frames**2))) if len(frames) else 0.0


def _loud(sound: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which frames of 10 ms are speech: bool `[ceil(n / 160)]`."""
    count = -(-len(sound) // _FRAME)
    power = (
        np.mean(np.pad(sound, (0, count * _FRAME - len(sound))).reshape(count, _FRAME) ** 2, axis=1)
        if count
        else np.zeros(0)
    )
    loud: NDArray[np.bool_] = (power > 0) & (power >= power.max(initial=0) * 10 ** (-_LOUD_DB / 10))
    return loud
