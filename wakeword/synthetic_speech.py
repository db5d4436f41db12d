"""Speech-like sound that is computed: voiced sounds with moving formants, hissing ones, pauses. For measuring how a
model's figures move, not for recall.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import SAMPLE_RATE_HZ

_FORMANTS_HZ = ((250, 900, 80), (800, 2600, 120), (2000, 3500, 200))
"""Lowest and highest frequency and half the width of each formant."""
_HARMONICS = 39
_PITCH_HZ = (80, 260)
_HIGHEST_HZ = 7600


def synthetic_speech(seconds: float, seed: int = 0) -> NDArray[np.int16]:
    """Speech-like samples at 16 kHz, int16 `[round(seconds * 16000)]`; the same seed gives the same sound."""
    draw = np.random.default_rng(seed)
    count = round(seconds * SAMPLE_RATE_HZ)
    time = np.arange(count) / SAMPLE_RATE_HZ

    def walk(low: float, high: float, per_second: float) -> NDArray[np.float64]:
        """A value that moves from one drawn point to the next, so many a second."""
        points = draw.uniform(low, high, int(seconds * per_second) + 2)
        return np.interp(time * per_second, np.arange(len(points)), points)

    pitch = walk(*_PITCH_HZ, 3)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    formants = [(walk(low, high, 6), width) for low, high, width in _FORMANTS_HZ]
    voiced = np.zeros(count)
    for harmonic in range(1, _HARMONICS + 1):
        frequency = harmonic * pitch
        gain = sum(1 / (1 + ((frequency - centre) / width) ** 2) for centre, width in formants)
        voiced += gain * np.sin(harmonic * phase) * (frequency < _HIGHEST_HZ) / np.sqrt(harmonic)
    hissing = draw.standard_normal(count) * np.clip(walk(-2, 1, 8), 0, 1)
    loudness = 6000 * walk(0, 1, 1) ** 2
    sound = (voiced * np.clip(walk(-1, 2, 7), 0, 1) + 0.5 * hissing) * loudness + 20 * draw.standard_normal(count)
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
