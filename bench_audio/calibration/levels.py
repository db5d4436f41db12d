"""Sound levels: frequency weightings A and C, time weightings fast and slow, equivalent level, third-octave bands.

Levels are dBFS here (0 dBFS: an rms of 1.0); the sound pressure level is that plus the microphone's sensitivity.
Filters are pyfar's, designed after IEC 61672-1 and IEC 61260-1. A mean (the offset of a microphone's converter) is not
sound and is removed first.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from wakeword.errors import ConfigError
from wakeword.records import Record

Weighting = Literal["A", "C", "Z"]
"""Z is none."""
TIME_CONSTANTS_SECONDS = {"fast": 0.125, "slow": 1.0}
"""IEC 61672-1, 5.8.1."""
BANDS_HZ = (50.0, 10_000.0)
_BAND_ORDER = 10


class BandLevel(Record):
    """One third-octave band, unweighted."""

    centre_hz: PositiveFloat
    spl: float


class NoiseFloor(Record):
    """The room without a signal: equivalent levels in dB SPL."""

    seconds: PositiveFloat
    la_eq: float
    lc_eq: float
    bands: tuple[BandLevel, ...]


class LevelAtBoard(Record):
    """How loud it is at the board: band-limited pink noise, through the inverse filter where there is one."""

    target_spl: float
    weighting: Weighting
    signal_band_hz: tuple[PositiveFloat, PositiveFloat]
    seconds: PositiveFloat
    played_dbfs: float
    """Before the inverse filter."""
    measured_spl: float
    """Equivalent level over `seconds`, with `weighting`."""
    slow_min_spl: float
    slow_max_spl: float
    """Lowest and highest level with the time weighting S (1 s)."""
    la_eq: float
    lc_eq: float
    full_scale_played_spl: float
    """Unweighted sound pressure level at the board that an rms of 1.0, played, stands for within the band."""

    @property
    def speech_band_spl(self) -> float:
        """Unweighted, within the signal's band."""
        return self.full_scale_played_spl + self.played_dbfs


@dataclass(frozen=True)
class Bands:
    """Levels of third-octave bands."""

    centres_hz: NDArray[np.float64]
    """Exact centres `[bands]`, base 10."""
    levels: NDArray[np.float64]
    """dBFS `[bands]`, unweighted."""


def weighted(samples: NDArray[np.floating], sample_rate: int, weighting: Weighting) -> NDArray[np.float64]:
    """The samples without their mean, through the weighting's filter, float64 `[samples]`.

    Raises `ConfigError` for a sampling rate at which no filter of class 1 can be designed.
    """
    import pyfar

    sound = samples.astype(np.float64) - np.mean(samples, dtype=np.float64)
    if weighting == "Z":
        return sound
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            design = pyfar.dsp.filter.frequency_weighting_filter(None, weighting, sampling_rate=sample_rate)
        except UserWarning as warning:
            raise ConfigError(
                f"sampling rate {sample_rate} Hz: {warning} Use a device at 16, 44.1 or 48 kHz, or a multiple of these"
            ) from None
    result: NDArray[np.float64] = design.process(pyfar.Signal(sound, sample_rate)).time[0]
    return result


def equivalent_level(samples: NDArray[np.floating], sample_rate: int, weighting: Weighting) -> float:
    """Leq over all samples in dBFS: the level of a steady sound of the same energy. Minus infinity for silence."""
    return decibels(float(np.mean(weighted(samples, sample_rate, weighting) ** 2))) if samples.size else -math.inf


def time_weighted_level(
    samples: NDArray[np.floating], sample_rate: int, weighting: Weighting, speed: Literal["fast", "slow"]
) -> NDArray[np.float64]:
    """The level over time, `[samples]` dBFS, as the hand of a sound level meter shows it: squares through a low-pass of
    one pole.
    """
    from scipy.signal import lfilter

    pole = math.exp(-1 / (TIME_CONSTANTS_SECONDS[speed] * sample_rate))
    power = lfilter([1 - pole], [1, -pole], weighted(samples, sample_rate, weighting) ** 2)
    level: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-30))
    return level


def third_octaves(samples: NDArray[np.floating], sample_rate: int, band_hz: tuple[float, float] = BANDS_HZ) -> Bands:
    """Equivalent levels of the third-octave bands that overlap `band_hz` and lie whole below half the sampling rate."""
    import pyfar
    from scipy.signal import sosfilt

    centres, _, upper = pyfar.constants.fractional_octave_frequencies_exact(3, band_hz)
    inside = centres[upper < sample_rate / 2]
    if not inside.size:
        raise ConfigError(
            f"no third-octave band between {band_hz[0]:g} and {band_hz[1]:g} Hz at a sampling rate of {sample_rate} Hz;"
            " use a faster device"
        )
    bank = pyfar.dsp.filter.fractional_octave_bands(
        None, 3, sample_rate, (float(inside[0]), float(inside[-1])), order=_BAND_ORDER
    )
    # pyfar would hold all bands at once: gigabytes for some minutes of sound.
    sound = weighted(samples, sample_rate, "Z")
    powers = np.array([np.mean(sosfilt(np.ascontiguousarray(sections), sound) ** 2) for sections in bank.coefficients])
    return Bands(inside, 10 * np.log10(np.maximum(powers, 1e-30)))


def band_level(samples: NDArray[np.floating], sample_rate: int, band_hz: tuple[float, float]) -> float:
    """Unweighted equivalent level in dBFS of a signal that lies within `band_hz`, without what lies half an octave and
    more outside: rumble, mostly.
    """
    import pyfar

    low, high = band_hz[0] / math.sqrt(2), band_hz[1] * math.sqrt(2)
    sound = pyfar.Signal(weighted(samples, sample_rate, "Z"), sample_rate)
    # Above half the sampling rate nothing is left to take away.
    bounded = high < 0.98 * sample_rate / 2
    limited = pyfar.dsp.filter.butterworth(
        sound, 6, (low, high) if bounded else low, "bandpass" if bounded else "highpass"
    )
    return decibels(float(np.mean(limited.time**2)))


def decibels(power: float) -> float:
    """Ten times the common logarithm; minus infinity for nothing."""
    return 10 * math.log10(power) if power > 0 else -math.inf
