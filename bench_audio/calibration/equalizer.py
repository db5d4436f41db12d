"""A regularised inverse of the loudspeaker in its room, as a minimum-phase FIR filter whose boost is bounded.

What is inverted is the smoothed magnitude, not the impulse response: the fine structure changes with every centimetre,
and no inverse of it would hold at the board's microphone. Outside the band the regularisation lets the filter fall off,
so that nothing is boosted there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from bench_audio.calibration.microphone import MicrophoneCurve
from bench_audio.calibration.sweep import Response
from bench_audio.signals import SPEECH_BAND_HZ
from wakeword.errors import ConfigError
from wakeword.records import Record

SMOOTHING = 6
"""Fraction of an octave over which magnitudes are averaged."""
MAX_BOOST_DB = 10.0
_KNEE_DB = 1.0
_SECONDS = 0.085
"""Length of the filter: 12 Hz of resolution, a quarter of a third octave at 100 Hz."""
_SPECTRUM_SECONDS = 0.68
"""Of the response: its bins lie 1.5 Hz apart, and sound of a room with an RT60 of 0.7 s has died away."""
_POINTS_PER_OCTAVE = 24
_PASSES = 2
_EDGE = 1.01
_SIXTH = 2 ** (1 / SMOOTHING)


class Curve(Record):
    """A response from played to recorded samples, averaged over a sixth of an octave, in dB relative to its mean within
    the band.
    """

    frequencies_hz: tuple[PositiveFloat, ...]
    """`[points]`, 24 to the octave, from one end of the band to the other and beyond where the sweep went."""
    levels_db: tuple[float, ...]
    """`[points]`."""
    highest_db: float
    """Deviation from the mean within the band, as the next two."""
    lowest_db: float
    rms_db: float


@dataclass(frozen=True)
class InverseFilter:
    """A filter to play through. Its gain in dB, averaged over the logarithmic frequency within the band, is 0 but for
    what the bound takes away.
    """

    taps: NDArray[np.float64]
    """`[taps]`, minimum phase."""
    sample_rate: int
    band_hz: tuple[float, float]
    max_boost_db: float
    """Bound of the gain at any frequency; cuts have none."""

    def apply(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Filtered samples `[samples]`, as long as the given ones, at the filter's rate."""
        from scipy.signal import oaconvolve

        filtered: NDArray[np.float64] = oaconvolve(samples, self.taps)[: samples.size]
        return filtered

    def gains_db(self, frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        """The filter's gain `[frequencies]`."""
        from scipy.signal import freqz

        _, gains = freqz(self.taps, worN=frequencies_hz, fs=self.sample_rate)
        levels: NDArray[np.float64] = 20 * np.log10(np.maximum(np.abs(gains), 1e-10))
        return levels


def response_curve(
    response: Response, microphone: MicrophoneCurve | None = None, band_hz: tuple[float, float] = SPEECH_BAND_HZ
) -> Curve:
    """The smoothed response, the microphone's own taken out."""
    size = _spectrum_size(response.sample_rate)
    bins, power = _power(response, microphone, size)
    points = _points(response, band_hz)
    levels = 20 * np.log10(np.interp(points, bins, _smoothed(power, response.sample_rate, size)))
    inside = within(points, band_hz)
    levels -= levels[inside].mean()
    judged = levels[inside]
    return Curve(
        frequencies_hz=tuple(points.tolist()),
        levels_db=tuple(levels.tolist()),
        highest_db=float(judged.max()),
        lowest_db=float(judged.min()),
        rms_db=float(np.sqrt(np.mean(judged**2))),
    )


def within(frequencies_hz: NDArray[np.float64], band_hz: tuple[float, float] = SPEECH_BAND_HZ) -> NDArray[np.bool_]:
    """Which frequencies lie within a band, its ends among them."""
    return (frequencies_hz >= band_hz[0] * 0.999) & (frequencies_hz <= band_hz[1] * 1.001)


def design_inverse(
    response: Response,
    microphone: MicrophoneCurve | None = None,
    band_hz: tuple[float, float] = SPEECH_BAND_HZ,
    max_boost_db: float = MAX_BOOST_DB,
) -> InverseFilter:
    """The inverse of the smoothed response within `band_hz`. Raises `ConfigError` for a boost outside 0 to 24 dB."""
    import pyfar
    from scipy.signal.windows import hann

    check_boost(max_boost_db)
    rate = response.sample_rate
    size = 1 << math.ceil(math.log2(_SECONDS * rate))
    # Designed some eight times longer than it is cut to, as the cepstrum behind the minimum phase wraps around.
    long = _spectrum_size(rate)
    bins, power = _power(response, microphone, long)
    points = _points(response, band_hz)
    inside = points[within(points, band_hz)]
    # One pass leaves what smoothing hides: peaks and dips of the fine structure weigh differently once a slope is taken
    # out. The window's own spectrum must not change its sign, or passes add ripple instead of taking it away: Hann's
    # hardly does, a rectangle's does.
    gain = np.zeros(bins.size)
    for _ in range(_PASSES):
        gain -= 20 * np.log10(_smoothed(power * 10 ** (gain / 10), rate, long, "hann"))
    gain -= float(np.interp(inside, bins, gain).mean())
    system = pyfar.Signal(10 ** (-gain / 20), rate, n_samples=long, domain="freq")
    inverse = pyfar.dsp.RegularizedSpectrumInversion.from_frequency_range(system, band_hz, beta=1.0).invert
    limited = pyfar.dsp.soft_limit_spectrum(inverse, max_boost_db, _KNEE_DB)
    taps = pyfar.dsp.minimum_phase(limited, n_fft=long, truncate=False).time[0, :size]
    taps = taps * np.concatenate([np.ones(size - size // 4), hann(size // 2)[size // 4 :]])
    # Cutting a filter off makes its gain ripple; the bound holds for what is played.
    excess = (
        float(InverseFilter(taps, rate, band_hz, max_boost_db).gains_db(np.fft.rfftfreq(long, 1 / rate)).max())
        - max_boost_db
    )
    return InverseFilter(taps * 10 ** (-max(excess, 0.0) / 20), rate, band_hz, max_boost_db)


def check_boost(max_boost_db: float) -> None:
    """Raise `ConfigError` for a boost outside 0 to 24 dB."""
    if not 0 <= max_boost_db <= 24:
        raise ConfigError(f"--max-boost {max_boost_db:g}: give 0 to 24 dB; more than that breaks loudspeakers")


def _points(response: Response, band_hz: tuple[float, float]) -> NDArray[np.float64]:
    """Frequencies to look at: the band's ends among them, and what the sweep excited fully beyond them."""
    octaves = math.log2(band_hz[1] / band_hz[0])
    steps = round(octaves * _POINTS_PER_OCTAVE)
    first = math.ceil(math.log2(response.band_hz[0] * math.sqrt(2) / band_hz[0]) / octaves * steps)
    last = math.floor(math.log2(response.band_hz[1] / 1.05 / band_hz[0]) / octaves * steps)
    points: NDArray[np.float64] = band_hz[0] * 2 ** (np.arange(min(first, 0), max(last, steps) + 1) * octaves / steps)
    return points


def _power(
    response: Response, microphone: MicrophoneCurve | None, size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bins in Hz and the response's power in them, the microphone's taken out."""
    from scipy.signal.windows import hann

    bins = np.fft.rfftfreq(size, 1 / response.sample_rate)
    samples = response.samples[:size].copy()
    samples[-(samples.size // 8) :] *= hann(2 * (samples.size // 8))[samples.size // 8 :]
    power = np.abs(np.fft.rfft(samples, size)) ** 2
    if microphone is not None:
        power = power / 10 ** (microphone.levels_at(bins) / 10)
    # Where the sweep did not go there is nothing to average over: what lies at its ends goes on.
    low, high = response.band_hz[0] * _EDGE, response.band_hz[1] / _EDGE
    power[bins < low] = power[(bins >= low) & (bins < low * _SIXTH)].mean()
    power[bins > high] = power[(bins <= high) & (bins > high / _SIXTH)].mean()
    return bins, power


def _spectrum_size(sample_rate: int) -> int:
    return 1 << math.ceil(math.log2(_SPECTRUM_SECONDS * sample_rate))


def _smoothed(power: NDArray[np.float64], sample_rate: int, size: int, window: str = "boxcar") -> NDArray[np.float64]:
    """Magnitudes `[bins]` whose squares are the power's means over a sixth of an octave."""
    import pyfar

    # pyfar smooths what it is given as magnitude: given power, the mean is one of energy, as a band filter's is.
    energy = pyfar.Signal(power, sample_rate, n_samples=size, domain="freq")
    smooth, _ = pyfar.dsp.smooth_fractional_octave(energy, SMOOTHING, window=window)
    magnitudes: NDArray[np.float64] = np.sqrt(np.maximum(np.abs(smooth.freq[0]), 1e-30))
    return magnitudes
