"""The signals that are played: generated at a device's native rate, the same samples for the same arguments, nothing
stored.

Levels are rms in dBFS of the signal without its fades, where 0 dBFS is an rms of 1.0: a sine at full scale has -3.01
dBFS. All signals are float64 `[samples]`; `as_played` makes them float32 for a device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError

Samples = NDArray[np.float64]

SPEECH_BAND_HZ = (100.0, 7500.0)
"""What is set, flattened and verified. The wake-word frontend hears 125 Hz to 7.5 kHz."""
SWEEP_BAND_HZ = (50.0, 20_000.0)
FADE_SECONDS = 0.02
_BAND_LIMIT_ORDER = 6
_FULL_SCALE = 1 + 1e-9
"""With room for rounding: a sine of -3.0103 dBFS just does not clip."""
HIGHEST_SHARE = 0.98
"""Of half the sampling rate: above it the converters' own filters shape the sound."""


@dataclass(frozen=True)
class Sweep:
    """An exponential sweep and what is needed to undo it."""

    samples: Samples
    sample_rate: int
    band_hz: tuple[float, float]
    """Frequency at the first and at the last sample."""
    level_dbfs: float

    @property
    def seconds_per_e(self) -> float:
        """Time in which the frequency grows by a factor of e: L in Farina (2000).

        The k-th harmonic runs L ln(k) ahead.
        """
        return self.samples.size / self.sample_rate / math.log(self.band_hz[1] / self.band_hz[0])


def tone(
    seconds: float,
    sample_rate: int,
    level_dbfs: float,
    *,
    frequency_hz: float = 1000.0,
    fade_seconds: float = FADE_SECONDS,
) -> Samples:
    """A sine. Raises `ConfigError` when it would clip."""
    import pyfar

    count = _count(seconds, sample_rate)
    _check_frequency(frequency_hz, sample_rate)
    amplitude = math.sqrt(2) * 10 ** (level_dbfs / 20)
    sine: Samples = pyfar.signals.sine(frequency_hz, count, amplitude=amplitude, sampling_rate=sample_rate).time[0]
    return _checked(faded(sine, sample_rate, fade_seconds), level_dbfs)


def pink_noise(
    seconds: float,
    sample_rate: int,
    level_dbfs: float,
    *,
    seed: int,
    band_hz: tuple[float, float] = SPEECH_BAND_HZ,
    fade_seconds: float = FADE_SECONDS,
) -> Samples:
    """Gaussian pink noise. Its peaks lie 13 to 14 dB above its rms: -15 dBFS is about the loudest.

    Args:
        seconds: Length.
        sample_rate: Hz.
        level_dbfs: Rms without the fades.
        seed: The same one gives the same samples.
        band_hz: Lowest and highest frequency (Butterworth, 36 dB an octave at each edge).
        fade_seconds: Of each end.

    Returns float64 `[samples]`. Raises `ConfigError` when it would clip.
    """
    import pyfar

    count = _count(seconds, sample_rate)
    _check_frequency(band_hz[1], sample_rate)
    # The filter starts at rest; what it needs to settle is made in addition and cut off.
    settling = round(20 / band_hz[0] * sample_rate)
    noise = pyfar.signals.noise(settling + count, "pink", sampling_rate=sample_rate, seed=seed)
    limited: Samples = pyfar.dsp.filter.butterworth(noise, _BAND_LIMIT_ORDER, band_hz, "bandpass").time[0, settling:]
    limited = limited * (10 ** (level_dbfs / 20) / np.sqrt(np.mean(limited**2)))
    return _checked(faded(limited, sample_rate, fade_seconds), level_dbfs)


def exponential_sweep(
    seconds: float, sample_rate: int, level_dbfs: float, *, band_hz: tuple[float, float] = SWEEP_BAND_HZ
) -> Sweep:
    """Farina's sweep from the low to the high end of `band_hz`, the high end lowered to 98 % of half the sampling rate
    where needed.

    Raises `ConfigError` when it would clip.
    """
    import pyfar

    count = _count(seconds, sample_rate)
    low, high = band_hz[0], min(band_hz[1], HIGHEST_SHARE * sample_rate / 2)
    if not 0 < low < high / 2:
        raise ConfigError(f"sweep from {low:g} to {high:g} Hz at {sample_rate} Hz: give at least an octave above 0 Hz")
    amplitude = math.sqrt(2) * 10 ** (level_dbfs / 20)
    swept: Samples = pyfar.signals.exponential_sweep_time(
        count, (low, high), n_fade_out=0, amplitude=amplitude, sampling_rate=sample_rate
    ).time[0]
    # A tenth of an octave fades in; the end fades over 2 ms, which costs a hundredth of an octave.
    per_octave = seconds / math.log2(high / low)
    swept = _fade(swept, round(0.1 * per_octave * sample_rate), round(0.002 * sample_rate))
    return Sweep(_checked(swept, level_dbfs), sample_rate, (low, high), level_dbfs)


def faded(samples: Samples, sample_rate: int, fade_seconds: float) -> Samples:
    """The same samples with a raised cosine at both ends, each at most half of them long."""
    length = min(round(fade_seconds * sample_rate), samples.size // 2)
    return _fade(samples, length, length)


def as_played(samples: Samples) -> NDArray[np.float32]:
    """For a device. Raises `ConfigError` where samples exceed full scale."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > _FULL_SCALE:
        raise ConfigError(
            f"the signal peaks {20 * math.log10(peak):.1f} dB above full scale; lower its level by as much"
        )
    return samples.astype(np.float32)


def level_dbfs(samples: NDArray[np.floating]) -> float:
    """Rms level; 0 dBFS is an rms of 1.0. Minus infinity for silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return 10 * math.log10(power) if power > 0 else -math.inf


def _fade(samples: Samples, start: int, end: int) -> Samples:
    from scipy.signal.windows import hann

    result = samples.copy()
    if start:
        result[:start] *= hann(2 * start + 1)[:start]
    if end:
        result[-end:] *= hann(2 * end + 1)[end + 1 :]
    return result


def _count(seconds: float, sample_rate: int) -> int:
    if not (0 < seconds <= 3600 and 4000 <= sample_rate <= 400_000):
        raise ConfigError(f"a signal of {seconds:g} s at {sample_rate} Hz: give up to 3600 s and 4000 to 400000 Hz")
    return round(seconds * sample_rate)


def _check_frequency(frequency_hz: float, sample_rate: int) -> None:
    if not 0 < frequency_hz < sample_rate / 2:
        raise ConfigError(
            f"{frequency_hz:g} Hz at a sampling rate of {sample_rate} Hz: give a frequency below half the rate"
        )


def _checked(samples: Samples, level: float) -> Samples:
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > _FULL_SCALE:
        raise ConfigError(
            f"level {level:g} dBFS: the signal would clip by {20 * math.log10(peak):.1f} dB; lower it by as much"
        )
    return samples
