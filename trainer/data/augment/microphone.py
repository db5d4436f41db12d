"""What a device's microphone and its hardware do to sound: float32 `[n]` at 16 kHz in and out, full scale 1. Digital
silence stays silent.

They come last, in this order, since a room, a television and a voice all go through the one microphone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wakeword import contract

Waveform = NDArray[np.float32]

_NYQUIST_HZ = contract.SAMPLE_RATE_HZ / 2
_HIGH_PASS_HZ, _LOW_PASS_HZ = (80.0, 300.0), (3500.0, 7500.0)
_NOISE_DBFS = (-95.0, -45.0)
"""From a recording that was silenced and dithered (about -85 dBFS) to a cheap microphone."""
_NOISE_BELOW_PEAK_DB = 25.0
"""A device's own noise does not hide a voice that the device is meant to hear."""
_NOISE_POLE = (0.0, 0.9)
"""Of the low-pass filter of dark noise: 0 is white noise."""
_NOISE_ZERO = (0.3, 1.0)
"""Of the high-pass filter of bright noise, used twice: 1 has nothing at 0 Hz, as noise-shaped dither."""
_BRIGHT_NOISE, _NOISE_BEGINS, _NOISE_BEGINS_WITHIN = 0.5, 0.6, 0.85
"""Share of bright noise; share of noise that begins within the clip, and up to which part of it."""

_FRAME_S = 0.01
_ATTACK_S, _RELEASE_S = (0.005, 0.05), (0.2, 2.0)
_TARGET_DBFS = (-30.0, -14.0)
_MOST_GAIN_DB, _LEAST_GAIN_DB = (6.0, 30.0), -12.0
_HEARD_BEFORE_DBFS = (-60.0, -20.0)
"""The level that the gain is set to when the clip begins."""
_FLOOR_DBFS = -80.0

_CLIPPED_DB = (1.0, 10.0)


def band_limits(sound: Waveform, draw: np.random.Generator) -> Waveform:
    """Without lows and highs: a high-pass at 80 to 300 Hz and a low-pass at 3.5 to 7.5 kHz, Butterworth filters of
    order 1 to 4.
    """
    from scipy.signal import butter, sosfilt

    low, high = (
        math.exp(draw.uniform(math.log(first), math.log(last))) / _NYQUIST_HZ
        for first, last in (_HIGH_PASS_HZ, _LOW_PASS_HZ)
    )
    filters = np.concatenate(
        [
            butter(int(draw.integers(1, 5)), low, "high", output="sos"),
            butter(int(draw.integers(1, 5)), high, "low", output="sos"),
        ]
    )
    return np.asarray(sosfilt(filters.astype(np.float32), sound), np.float32)


def level(sound: Waveform, draw: np.random.Generator, limits_dbfs: tuple[float, float]) -> Waveform:
    """Its peak at a drawn level below full scale, whatever it was."""
    wanted = 10 ** (draw.uniform(*limits_dbfs) / 20)
    peak = float(np.abs(sound).max(initial=0))
    return sound * np.float32(wanted / peak) if peak else sound


def self_noise(sound: Waveform, draw: np.random.Generator) -> Waveform:
    """With noise of -95 to -45 dBFS under it, at least 25 dB below its peak: dark to white, or as bright as
    noise-shaped dither.

    In more than half of the draws it begins within the clip, after digital silence: a recording begins, or a noise
    suppressor opens. A word that follows is heard by a frontend whose noise estimate has not settled, and a model that
    never met this misses it.
    """
    from scipy.signal import lfilter

    dbfs, pole, zero = draw.uniform(*_NOISE_DBFS), draw.uniform(*_NOISE_POLE), draw.uniform(*_NOISE_ZERO)
    bright, begins = draw.random(2) < (_BRIGHT_NOISE, _NOISE_BEGINS)
    start = round(draw.uniform(0, _NOISE_BEGINS_WITHIN) * len(sound)) if begins else 0
    peak = float(np.abs(sound).max(initial=0))
    if not peak:
        return sound
    rms = min(10 ** (dbfs / 20), peak * 10 ** (-_NOISE_BELOW_PEAK_DB / 20))
    forward, back = ([1, -2 * zero, zero**2], [1]) if bright else ([1], [1, -pole])
    # Power that the filter makes of white noise, so that the level is the drawn one.
    power = sum(tap**2 for tap in forward) if bright else 1 / (1 - pole**2)
    white = draw.standard_normal(len(sound), np.float32)
    noise = lfilter(
        np.array(forward, np.float32) * np.float32(rms / math.sqrt(power)), np.array(back, np.float32), white
    )
    mixed = sound.copy()
    mixed[start:] += noise[start:]
    return mixed


def automatic_gain(sound: Waveform, draw: np.random.Generator) -> Waveform:
    """With a gain that goes down at once when it gets loud, and comes back slowly in a pause. What is then beyond full
    scale is clipped.

    The level of every 10 ms is followed with a drawn attack (5 to 50 ms) and release (0.2 to 2 s) and brought towards a
    drawn target, by 12 dB down and 6 to 30 dB up at most.
    """
    attack, release = (
        1 - math.exp(-_FRAME_S / math.exp(draw.uniform(math.log(low), math.log(high))))
        for low, high in (_ATTACK_S, _RELEASE_S)
    )
    target, most, followed = (
        draw.uniform(*_TARGET_DBFS),
        draw.uniform(*_MOST_GAIN_DB),
        draw.uniform(*_HEARD_BEFORE_DBFS),
    )
    frame = round(_FRAME_S * contract.SAMPLE_RATE_HZ)
    count = -(-len(sound) // frame)
    frames = np.pad(sound, (0, count * frame - len(sound))).reshape(count, frame)
    levels = 10 * np.log10(np.maximum(np.mean(frames.astype(np.float64) ** 2, axis=1), 10 ** (_FLOOR_DBFS / 10)))
    follower = np.empty(count)
    for place, now in enumerate(levels.tolist()):
        followed += (attack if now > followed else release) * (now - followed)
        follower[place] = followed
    gains = 10 ** (np.clip(target - follower, _LEAST_GAIN_DB, most) / 20)
    gain = np.interp(np.arange(len(sound)), (np.arange(count) + 0.5) * frame, gains).astype(np.float32)
    ridden: Waveform = np.clip(sound * gain, -1, 1)
    return ridden


def clipping(sound: Waveform, draw: np.random.Generator) -> Waveform:
    """With what is louder than 1 to 10 dB below its peak cut off."""
    ceiling = np.float32(np.abs(sound).max(initial=0) * 10 ** (-draw.uniform(*_CLIPPED_DB) / 20))
    return np.clip(sound, -ceiling, ceiling)
