"""Sounds of a household that are computed: noises, machines, the kitchen, music. float64 `[n]` at 16 kHz, of any level.

They stand for recordings where there are none: what matters is that a voice must be heard over steady noise, over tones
that move in rhythm, and over knocks, not that anybody would buy the music.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wakeword import contract

type Sound = NDArray[np.float64]

_NYQUIST_HZ = contract.SAMPLE_RATE_HZ / 2
_LOWEST_HZ = 20.0
_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
_PROGRESSIONS = ((0, 4, 5, 3), (0, 3, 4, 4), (0, 5, 3, 4), (0, 3, 0, 4), (5, 3, 0, 4), (0, 6, 5, 4))
"""Steps of the scale on which the chords stand, a bar each."""
_DRUMS = 0.25
"""Louder, they are all that a device hears of the music."""


def noise(seconds: float, draw: np.random.Generator) -> Sound:
    """One of: steady noise of some colour, a hum with its overtones, a fan or engine, knocks and dishes."""
    kinds: tuple[Callable[[int, np.random.Generator], Sound], ...] = (_coloured, _coloured, _hum, _fan, _clatter)
    return kinds[int(draw.integers(len(kinds)))](round(seconds * contract.SAMPLE_RATE_HZ), draw)


def music(seconds: float, draw: np.random.Generator) -> Sound:
    """A band: chords in a rhythm, a bass, a melody, drums, each at its own level; some of them may be missing."""
    count = round(seconds * contract.SAMPLE_RATE_HZ)
    beat = 60 / draw.uniform(65, 150)
    scale, key = (_MAJOR, _MINOR)[int(draw.integers(2))], draw.uniform(100, 200)
    chords = _PROGRESSIONS[int(draw.integers(len(_PROGRESSIONS)))]
    bars = int(seconds / (4 * beat)) + 1
    timbre, lead = _timbre(draw), _timbre(draw)
    mixed = np.zeros(count)
    levels = 10 ** (draw.uniform(-12, 0, 4) / 20) * (draw.random(4) < 0.8)
    levels[0] = max(levels[0], 0.3)
    strums = (1, 2, 4, 8)[int(draw.integers(4))]
    for bar in range(bars):
        root = chords[bar % len(chords)]
        for strum in range(strums):
            at = 4 * beat * (bar + strum / strums)
            for third in (0, 2, 4):
                _play(mixed, at, 4 * beat / strums, _pitch(key, scale, root + third), timbre, levels[0])
        for half in range(2):
            _play(mixed, beat * (4 * bar + 2 * half), 1.8 * beat, _pitch(key, scale, root) / 2, _BASS, 1.5 * levels[1])
        at = 4 * beat * bar
        while levels[2] and at < 4 * beat * (bar + 1):
            length = beat * (0.5, 1, 1, 2)[int(draw.integers(4))]
            _play(mixed, at, length, 2 * _pitch(key, scale, root + int(draw.integers(8))), lead, levels[2])
            at += length
        for eighth in range(8 if levels[3] else 0):
            _drum(mixed, beat * (4 * bar + eighth / 2), eighth, _DRUMS * levels[3], draw)
    return mixed + 1e-4 * draw.standard_normal(count)


def of_rms(sound: Sound, rms: float = 1.0) -> Sound:
    """The same sound with another root mean square; silence stays silent."""
    now = float(np.sqrt(np.mean(sound**2)))
    scaled: Sound = sound * (rms / now) if now else sound
    return scaled


def _coloured(count: int, draw: np.random.Generator) -> Sound:
    """Power falls by 0 to 6 dB an octave (white to brown), and the level wanders by some decibels."""
    return _shaped(count, draw, draw.uniform(0, 2)) * 10 ** (_wander(count, draw, 1.0, draw.uniform(0, 4)) / 20)


def _hum(count: int, draw: np.random.Generator) -> Sound:
    """Mains at 50 or 60 Hz with overtones, over noise."""
    time = np.arange(count) / contract.SAMPLE_RATE_HZ
    mains = (50, 60)[int(draw.integers(2))]
    orders = np.arange(1, int(draw.integers(4, 40)))
    strengths = orders ** -draw.uniform(0.5, 1.5) * draw.uniform(0.2, 1, len(orders))
    tones = sum(
        strength * np.sin(2 * np.pi * (mains * order * time + draw.random()))
        for order, strength in zip(orders, strengths, strict=True)
    )
    return of_rms(np.asarray(tones)) + of_rms(_shaped(count, draw, 1.0), 10 ** (draw.uniform(-20, 0) / 20))


def _fan(count: int, draw: np.random.Generator) -> Sound:
    """Noise that blades chop, and the tone of a motor that is not quite steady."""
    from scipy.signal import butter, sosfilt

    time = np.arange(count) / contract.SAMPLE_RATE_HZ
    air = sosfilt(
        butter(2, draw.uniform(400, 4000) / _NYQUIST_HZ, output="sos"), _shaped(count, draw, draw.uniform(0, 1))
    )
    chopped = of_rms(air) * (1 + draw.uniform(0, 0.6) * np.sin(2 * np.pi * draw.uniform(8, 80) * time))
    motor = np.cumsum(draw.uniform(60, 500) * (1 + 0.01 * _wander(count, draw, 2.0, 1.0))) / contract.SAMPLE_RATE_HZ
    whine = sum(np.sin(2 * np.pi * order * motor) / order for order in range(1, 6))
    both: Sound = chopped + of_rms(np.asarray(whine), 10 ** (draw.uniform(-25, -3) / 20))
    return both


def _clatter(count: int, draw: np.random.Generator) -> Sound:
    """Knocks and dishes: some decaying tones each, at times of their own, over noise."""
    sound = of_rms(_shaped(count, draw, draw.uniform(0.5, 1.5)), 0.01)
    a_second = draw.uniform(1, 6)
    for _ in range(int(draw.poisson(a_second * count / contract.SAMPLE_RATE_HZ)) + 1):
        at, seconds = int(draw.integers(count)), draw.uniform(0.02, 0.4)
        time = np.arange(min(round(4 * seconds * contract.SAMPLE_RATE_HZ), count - at)) / contract.SAMPLE_RATE_HZ
        tones = draw.uniform(200, 7000, int(draw.integers(2, 7)))
        ring = np.sin(2 * np.pi * tones[:, None] * time + draw.uniform(0, 6, (len(tones), 1))).sum(
            axis=0
        ) + draw.standard_normal(len(time))
        sound[at : at + len(time)] += 10 ** (draw.uniform(-25, 0) / 20) * ring * np.exp(-time / (seconds / 3))
    return sound


def _shaped(count: int, draw: np.random.Generator, slope: float) -> Sound:
    """Gaussian noise whose power falls with frequency to the power of `slope`, from 20 Hz on; its root mean square is
    1.
    """
    spectrum = np.fft.rfft(draw.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / contract.SAMPLE_RATE_HZ)
    spectrum *= np.maximum(frequency, _LOWEST_HZ) ** (-slope / 2) * (frequency >= _LOWEST_HZ)
    return of_rms(np.fft.irfft(spectrum, count))


def _wander(count: int, draw: np.random.Generator, a_second: float, deviation: float) -> Sound:
    points = draw.normal(0, deviation, int(count / contract.SAMPLE_RATE_HZ * a_second) + 2)
    return np.interp(np.arange(count) / contract.SAMPLE_RATE_HZ * a_second, np.arange(len(points)), points)


type _Timbre = tuple[NDArray[np.float64], float, float]
"""Strengths of the overtones, seconds of attack, decays a second."""

_BASS: _Timbre = (np.array([1.0, 0.6, 0.3, 0.1]), 0.01, 2.0)


def _timbre(draw: np.random.Generator) -> _Timbre:
    overtones = np.arange(1, int(draw.integers(3, 12)))
    return (
        overtones ** -draw.uniform(0.7, 2.0) * draw.uniform(0.3, 1, len(overtones)),
        float(draw.uniform(0.003, 0.08)),
        float(draw.uniform(0.5, 6)),
    )


def _pitch(key: float, scale: tuple[int, ...], step: int) -> float:
    octave, place = divmod(step, len(scale))
    return float(key * 2 ** (octave + scale[place] / 12))


def _play(mixed: Sound, at: float, seconds: float, pitch: float, timbre: _Timbre, level: float) -> None:
    begin = round(at * contract.SAMPLE_RATE_HZ)
    time = (
        np.arange(max(0, min(round(seconds * contract.SAMPLE_RATE_HZ), len(mixed) - begin))) / contract.SAMPLE_RATE_HZ
    )
    if not level or not len(time):
        return
    strengths, attack, decay = timbre
    orders = np.arange(1, len(strengths) + 1)
    heard = orders * pitch < _NYQUIST_HZ
    tones = strengths[heard] @ np.sin(2 * np.pi * pitch * orders[heard, None] * time)
    envelope = np.minimum(time / attack, 1) * np.exp(-decay * time) * np.minimum((time[-1] - time) / 0.01, 1)
    mixed[begin : begin + len(time)] += level * tones * envelope


def _drum(mixed: Sound, at: float, eighth: int, level: float, draw: np.random.Generator) -> None:
    """Bass drum on one and three, snare on two and four, hi-hat on every eighth."""
    begin = round(at * contract.SAMPLE_RATE_HZ)
    time = np.arange(max(0, min(contract.SAMPLE_RATE_HZ // 4, len(mixed) - begin))) / contract.SAMPLE_RATE_HZ
    hiss = np.diff(draw.standard_normal(len(time) + 1))
    struck = 0.3 * hiss * np.exp(-time / 0.02)
    if eighth in (0, 4):
        struck += 3 * np.sin(2 * np.pi * (50 * time + 3 * (1 - np.exp(-time / 0.03)))) * np.exp(-time / 0.08)
    elif eighth in (2, 6):
        struck += (hiss + np.sin(2 * np.pi * 190 * time)) * np.exp(-time / 0.06)
    mixed[begin : begin + len(time)] += level * struck
