"""The quiet parts of the windows of a batch, filled or erased anew at each step: a model is to know a word by what is
loud in it.

The device's frontend divides each channel by a running mean of itself (PCAN). After digital silence a tone of
-78 dBFS gives 183 of 255 and one of -6 dBFS 221, so what is faint in and around a word looks nearly as loud as the
word. There a room, a breath and a codec leave sound that no synthesiser makes, and a model that was trained on
synthesisers takes it for another word. Simulated, "jarvis" of the preset `quick`, 96
recordings of people at one cutoff: 55 % found as recorded, 86 % with all features below 150 of 255 erased, 6 % with
those of the word filled up to 60.

- *Fill*: each slice gets a floor that lies a drawn distance below its loudest channel and falls no faster than a drawn
  rate, as in a room; tilted over frequency, channel by channel, and rough in time. What is below it is raised to it.
- *Erase*: what is below a drawn level is silence, as where a noise hides it (the frontend subtracts steady noise). The
  loudest 50 steps of a window are kept.

All of it is done on the host by NumPy, and drawn from (seed, step), so that it is the same on any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.config.batch_settings import QuietAugment
from wakeword import contract

_STREAM: Final = 3
"""Sets these random numbers apart from the batch's, the masks' and the filters' of the same seed and step."""
_SILENCE, _LOUDEST = contract.INPUT_ZERO_POINT, 127
FARTHEST = 180
"""Steps below the loudest channel."""
KEPT = 50
"""Steps below the loudest value of a window that are never erased: a word stays a word."""
_NEAREST, _NOTHING = 25, 512
"""Steps: nearer than that a floor would be louder than the word itself; so far below there is none."""
_DECAY = (1.5, 14.0)
"""Steps a slice."""
_TABLE = 4096
"""Slices of random numbers from which each window's roughness is cut."""
_TILT, _RIPPLE, _ROUGH = 30.0, 12.0, 24
"""Steps: at the highest channel, of a channel, and from the lowest to the highest of a value."""


@dataclass(frozen=True)
class QuietParts:
    """What is drawn for a batch."""

    distance: NDArray[np.int16]
    """Of the floor below the loudest channel, `[batch, 40]` in steps of int8; `_NOTHING` where nothing is filled."""
    decay: NDArray[np.float32]
    """Steps a slice that the floor falls at most, `[batch]`."""
    rough: NDArray[np.int16]
    """Added to the floor, `[batch, slices, 40]`."""
    erased: NDArray[np.int16]
    """What is below it is silence, `[batch]`, int8's scale; -128 where nothing is erased."""


def draw_quiet_parts(settings: QuietAugment, batch: int, slices: int, seed: int, step: int) -> QuietParts:
    """The quiet parts of one batch. They depend on the arguments alone."""
    draw, channels = np.random.default_rng(np.random.SeedSequence((seed, step, _STREAM))), contract.FEATURE_CHANNELS
    filled, erased = draw.random((2, batch)) < settings.share
    distance = draw.uniform(settings.fill, FARTHEST, (batch, 1))
    tilt = draw.uniform(-_TILT, _TILT, (batch, 1)) * np.linspace(-1, 1, channels)
    ripple = draw.uniform(-_RIPPLE, _RIPPLE, (batch, channels))
    decay = np.exp(draw.uniform(math.log(_DECAY[0]), math.log(_DECAY[1]), batch))
    # A window's roughness is a part of one table: a number for each value of a batch would take longer than the step.
    table = draw.integers(0, _ROUGH, (_TABLE + slices, channels), np.int16)
    parts = np.lib.stride_tricks.sliding_window_view(table, slices, axis=0)
    rough = parts[draw.integers(0, _TABLE, batch)].transpose(0, 2, 1)
    below = np.where(filled[:, None] & bool(settings.fill), np.maximum(_NEAREST, distance + tilt + ripple), _NOTHING)
    return QuietParts(
        np.rint(below).astype(np.int16),
        decay.astype(np.float32),
        rough,
        np.where(erased, _SILENCE + draw.uniform(0, settings.erase, batch), _SILENCE).astype(np.int16),
    )


def quiet_augment(features: NDArray[np.int8], settings: QuietAugment, seed: int, step: int) -> NDArray[np.int8]:
    """A batch of features int8 `[batch, slices, 40]`, its quiet parts filled and erased. The array that is given is
    left as it is.
    """
    parts = draw_quiet_parts(settings, features.shape[0], features.shape[1], seed, step)
    changed = features.astype(np.int16)
    if settings.fill:
        floor = falling(changed.max(axis=2), parts.decay)[:, :, None] + parts.rough
        floor -= parts.distance[:, None, :]
        np.maximum(changed, np.minimum(floor, _LOUDEST, out=floor), out=changed)
    if settings.erase:
        highest = np.minimum(parts.erased, changed.max(axis=(1, 2)) - KEPT)
        changed[changed < highest[:, None, None]] = _SILENCE
    return changed.astype(np.int8)


def falling(loudest: NDArray[np.int16], decay: NDArray[np.float32]) -> NDArray[np.int16]:
    """Levels `[batch, slices]` as a room keeps them: they fall by no more than `decay` a slice, `[batch]`.

    At a slice it is the highest of all earlier ones, less what has decayed since: a running maximum of level plus decay
    times time. Silence before the first sound is left.
    """
    lost = decay[:, None] * np.arange(loudest.shape[1], dtype=np.float32)
    return np.rint(np.maximum.accumulate(loudest + lost, axis=1) - lost).astype(np.int16)
