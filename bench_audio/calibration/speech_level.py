"""Active speech level after the idea of ITU-T P.56, method B: the level of speech while somebody speaks, its pauses
left out.

A recording's rms falls with each pause that it holds, its peak says nothing about loudness. Here the envelope (two
low-passes of 30 ms over the magnitude) is held for 200 ms; time in which it is above a threshold is active. Thresholds
lie a factor of 2 apart, each gives an active level, and the result is where the level lies 15.9 dB above its threshold,
interpolated. Solving for it exactly would not be better: in noisy recordings several thresholds do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError

TIME_CONSTANT_SECONDS = 0.03
HANGOVER_SECONDS = 0.2
MARGIN_DB = 15.9
_THRESHOLDS = 2.0 ** np.arange(-30, 1)
"""P.56 begins at 2^-15, the smallest step of 16 bits; floating point goes further down."""


@dataclass(frozen=True)
class SpeechLevel:
    """How loud speech is."""

    active_dbfs: float
    """Rms level of the active time."""
    activity: float
    """Active time as a share of all time, 0-1."""


def active_speech_level(samples: NDArray[np.floating], sample_rate: int) -> SpeechLevel:
    """Active level of a recording `[samples]`, full scale 1.0. Raises `ConfigError` for one that is silent or shorter
    than 0.1 s.
    """
    from scipy.ndimage import maximum_filter1d
    from scipy.signal import lfilter

    if samples.size < 0.1 * sample_rate:
        raise ConfigError(f"{samples.size / sample_rate:.3f} s are too short for a speech level; give 0.1 s or more")
    sound = samples.astype(np.float64)
    energy = float(np.sum(sound**2))
    if energy == 0:
        raise ConfigError("a silent recording has no speech level; leave it out")
    pole = math.exp(-1 / (TIME_CONSTANT_SECONDS * sample_rate))
    smoothing = ([1 - pole], [1, -pole])
    envelope = lfilter(*smoothing, lfilter(*smoothing, np.abs(sound)))
    # A sample is active where the envelope was above the threshold at most 200 ms ago.
    held = maximum_filter1d(
        envelope,
        round(HANGOVER_SECONDS * sample_rate) + 1,
        origin=round(HANGOVER_SECONDS * sample_rate) // 2,
        mode="constant",
    )
    active = held.size - np.searchsorted(np.sort(held), _THRESHOLDS)
    thresholds, active = _THRESHOLDS[active > 0], active[active > 0]
    if not active.size:
        raise ConfigError("the recording is too soft for a speech level; leave it out")
    levels = 10 * np.log10(energy / active)
    margins = levels - 20 * np.log10(thresholds)
    above = int(np.argmax(margins <= MARGIN_DB))
    # A lone click lies above the margin at all thresholds: the highest is the nearest.
    level = float(levels[-1]) if margins[above] > MARGIN_DB or above == 0 else _between(margins, levels, above)
    return SpeechLevel(level, energy / sound.size / 10 ** (level / 10))


def _between(margins: NDArray[np.float64], levels: NDArray[np.float64], above: int) -> float:
    """The level at the margin wanted, by a straight line between the thresholds at `above - 1` and at `above`."""
    share = (margins[above - 1] - MARGIN_DB) / (margins[above - 1] - margins[above])
    return float(levels[above - 1] + share * (levels[above] - levels[above - 1]))
