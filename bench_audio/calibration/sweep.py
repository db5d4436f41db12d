"""What an exponential sweep tells: the impulse response of loudspeaker and room, and the loudspeaker's distortion
against frequency.

Farina (2000): undone by the sweep's inverse, the linear response stands where the direct sound arrived, and the
response of the k-th harmonic L ln(k) earlier, with L the time in which the sweep's frequency grows by e. In front of
its window each response has one without itself, which tells what noise alone would read as distortion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from bench_audio.signals import Sweep
from wakeword.errors import InfrastructureError
from wakeword.records import Record

HIGHEST_HARMONIC = 5
_LEAD_SECONDS = 0.05
"""Kept before the direct sound: band limits ring in both directions."""
_NOISE_BEGINS = 0.9
_MIN_PEAK_OVER_NOISE_DB = 20.0
"""The highest of millions of values of noise lies some 14 dB above their rms."""


@dataclass(frozen=True)
class Response:
    """A linear impulse response from samples played (full scale 1.0) to samples recorded."""

    samples: NDArray[np.float64]
    """`[samples]`, valid within the sweep's band."""
    sample_rate: int
    peak: int
    """Index of the direct sound."""
    band_hz: tuple[float, float]

    @property
    def peak_over_noise_db(self) -> float:
        """The direct sound's peak over the rms of the last tenth."""
        noise = float(np.mean(self.samples[round(_NOISE_BEGINS * self.samples.size) :] ** 2))
        return 10 * math.log10(float(self.samples[self.peak] ** 2) / max(noise, 1e-30))


class Distortion(Record):
    """Total harmonic distortion at the sweep's level, harmonics 2 to 5 as far as they lie within the sweep, in third
    octaves of the fundamental.
    """

    frequencies_hz: tuple[PositiveFloat, ...]
    """`[bands]`, as the next two."""
    percent: tuple[float, ...]
    """Of the fundamental."""
    floor_percent: tuple[float, ...]
    """What noise, or harmonics above the fifth, would read as: `percent` near it is no distortion that was measured."""


def measure_sweep(recorded: NDArray[np.float64], sweep: Sweep) -> tuple[Response, Distortion]:
    """Response and distortion from a recording of the sweep and of the silence after it, both at the sweep's rate.

    Raises `InfrastructureError` where the sweep is not heard well enough.
    """
    deconvolved = _deconvolve(recorded, sweep)
    # The second half of the cyclic result is time before zero.
    peak = int(np.argmax(np.abs(deconvolved[: recorded.size])))
    crest = 10 * math.log10(float(deconvolved[peak] ** 2) / max(float(np.mean(deconvolved**2)), 1e-30))
    if crest < _MIN_PEAK_OVER_NOISE_DB:
        raise _not_heard(crest)
    lead = round(_LEAD_SECONDS * sweep.sample_rate)
    # The highest frequencies come last, and of their decay no more is recorded than what follows the sweep.
    heard = recorded.size - peak - sweep.samples.size
    if heard < lead:
        raise InfrastructureError(
            "the recording ends before the sweep does; the devices' latency is above the time that was waited"
        )
    indices = np.arange(peak - lead, peak + heard)
    samples = deconvolved[indices % deconvolved.size] * _edges(indices.size, lead // 2)
    response = Response(samples, sweep.sample_rate, lead, sweep.band_hz)
    if response.peak_over_noise_db < _MIN_PEAK_OVER_NOISE_DB:
        raise _not_heard(response.peak_over_noise_db)
    return response, _distortion(deconvolved, peak, sweep)


def _not_heard(over_noise_db: float) -> InfrastructureError:
    return InfrastructureError(
        f"the sweep's direct sound is only {over_noise_db:.0f} dB above the noise; "
        "turn the loudspeaker up, make it quiet, check that this microphone hears this loudspeaker, then begin again"
    )


def _deconvolve(recorded: NDArray[np.float64], sweep: Sweep) -> NDArray[np.float64]:
    """Impulse responses over cyclic time; the harmonics' lie at its end."""
    import pyfar
    from scipy.fft import next_fast_len

    size = next_fast_len(recorded.size + sweep.samples.size, real=True)
    played = pyfar.Signal(np.pad(sweep.samples, (0, size - sweep.samples.size)), sweep.sample_rate)
    power = np.abs(played.freq[0]) ** 2
    inside = (played.frequencies >= sweep.band_hz[0]) & (played.frequencies <= sweep.band_hz[1])
    inversion = pyfar.dsp.RegularizedSpectrumInversion.from_frequency_range(
        played, sweep.band_hz, beta=float(power[inside].mean())
    )
    heard = pyfar.Signal(np.pad(recorded - recorded.mean(), (0, size - recorded.size)), sweep.sample_rate)
    result: NDArray[np.float64] = (heard * inversion.invert).time[0]
    return result


def _distortion(deconvolved: NDArray[np.float64], peak: int, sweep: Sweep) -> Distortion:
    import pyfar

    rate = sweep.sample_rate
    # One length for all windows: the gap between the highest harmonic and the next one.
    length = round(0.95 * sweep.seconds_per_e * math.log((HIGHEST_HARMONIC + 1) / HIGHEST_HARMONIC) * rate)
    lead = min(round(_LEAD_SECONDS * rate), length // 8)
    window = _edges(length, lead)

    def spectrum(place: int) -> NDArray[np.float64]:
        indices = np.arange(place - lead, place - lead + length) % deconvolved.size
        power: NDArray[np.float64] = np.abs(np.fft.rfft(deconvolved[indices] * window)) ** 2
        return power

    def place_of(harmonic: int) -> int:
        return peak - round(sweep.seconds_per_e * math.log(harmonic) * rate)

    bins = np.fft.rfftfreq(length, 1 / rate)
    linear = spectrum(peak)
    harmonics = {harmonic: spectrum(place_of(harmonic)) for harmonic in range(2, HIGHEST_HARMONIC + 1)}
    noise = spectrum(place_of(HIGHEST_HARMONIC) - length)
    low, high = 2 * sweep.band_hz[0], sweep.band_hz[1]
    centres, lower, upper = pyfar.constants.fractional_octave_frequencies_exact(3, (low, high / 2))
    usable = (lower >= sweep.band_hz[0]) & (2 * upper <= high)
    percent, floor = [], []
    for bottom, top in zip(lower[usable], upper[usable], strict=True):
        fundamental = _mean_power(linear, bins, bottom, top)
        inside = [harmonic for harmonic in harmonics if harmonic * top <= high]
        percent.append(
            100 * math.sqrt(sum(_mean_power(harmonics[k], bins, k * bottom, k * top) for k in inside) / fundamental)
        )
        floor.append(100 * math.sqrt(sum(_mean_power(noise, bins, k * bottom, k * top) for k in inside) / fundamental))
    return Distortion(
        frequencies_hz=tuple(centres[usable].tolist()), percent=tuple(percent), floor_percent=tuple(floor)
    )


def _mean_power(power: NDArray[np.float64], bins: NDArray[np.float64], bottom: float, top: float) -> float:
    inside = (bins >= bottom) & (bins < top)
    if not inside.any():
        inside[np.argmin(np.abs(bins - math.sqrt(bottom * top)))] = True
    return float(power[inside].mean())


def _edges(size: int, fade: int) -> NDArray[np.float64]:
    """A window of ones with half a raised cosine at both ends."""
    from scipy.signal.windows import tukey

    window: NDArray[np.float64] = tukey(size, min(2 * fade / size, 1.0))
    return window
