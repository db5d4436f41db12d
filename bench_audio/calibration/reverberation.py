"""Reverberation time after the ideas of ISO 3382: octave bands, Schroeder's backward integration, T20 and T30, noise
compensated.

Each band's noise and the point where its decay drowns are found as Lundeby et al. (1995) do; noise is subtracted, the
integral ends at that point, and what an exponential decay would still add is added: the combination that Guski and
Vorländer (2014) found to err least.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from bench_audio.calibration.sweep import Response
from wakeword.records import Record

OCTAVES_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0)
_MID_HZ = (500.0, 1000.0)
_BAND_ORDER = 6
_RANGES: tuple[tuple[Literal["T30", "T20"], float], ...] = (("T30", -35.0), ("T20", -25.0))
_FIT_BEGINS_DB = -5.0
_NOISE_MARGIN_DB = 10.0
"""ISO 3382-1, 5.3.3: noise lies at least this much below the end of the fit."""
_MIN_BANDWIDTH_TIME = 4.0
"""ISO 3382-1, 7.3: bandwidth times reverberation time below which a filter, run backwards, bends the decay."""
_BLOCK_SECONDS = 0.005
_ITERATIONS = 6


class Decay(Record):
    """How sound dies away in one octave band."""

    centre_hz: PositiveFloat
    seconds: PositiveFloat | None
    """Time for 60 dB by the slope of the fit; None where noise leaves less than T20 needs."""
    evaluation: Literal["T30", "T20"] | None
    dynamic_range_db: float
    """The decay's beginning over the noise."""


@dataclass(frozen=True)
class DecayCurve:
    """The curve that a decay was read from; a calibration file does not keep it."""

    times: NDArray[np.float64]
    """Seconds since the direct sound, `[points]`, up to where the decay drowns."""
    levels: NDArray[np.float64]
    """The integrated decay in dB, 0 at its beginning, `[points]`."""
    offset_db: float = 0.0
    """The fitted line is `offset_db - 60 * time / seconds`."""


class Reverberation(Record):
    """Reverberation of a room."""

    mid_seconds: PositiveFloat | None
    """Mean of the octaves at 500 Hz and 1 kHz, the single figure of ISO 3382-2; None where one of them could not be
    told."""
    bands: tuple[Decay, ...]


def reverberation(response: Response) -> tuple[Reverberation, tuple[DecayCurve, ...]]:
    """Reverberation times of the octave bands 125 Hz to 4 kHz that lie within the response's band, and the curve of
    each.
    """
    inside = [
        centre
        for centre in OCTAVES_HZ
        if centre / math.sqrt(2) >= response.band_hz[0] * 0.99 and centre * math.sqrt(2) <= response.band_hz[1]
    ]
    decays = [_decay(_octave(response, centre), response.sample_rate, centre) for centre in inside]
    bands = tuple(band for band, _ in decays)
    mid = [band.seconds for band in bands if band.centre_hz in _MID_HZ and band.seconds is not None]
    return Reverberation(mid_seconds=sum(mid) / len(mid) if len(mid) == len(_MID_HZ) else None, bands=bands), tuple(
        curve for _, curve in decays
    )


def _octave(response: Response, centre: float) -> NDArray[np.float64]:
    """The response from its direct sound on, in one octave. Filtered backwards in time, so that the filter's own decay
    lies before it.
    """
    import pyfar

    backwards = pyfar.Signal(response.samples[::-1], response.sample_rate)
    filtered: NDArray[np.float64] = pyfar.dsp.filter.fractional_octave_bands(
        backwards, 1, frequency_range=(centre, centre), order=_BAND_ORDER
    ).time
    return filtered.reshape(-1)[::-1][response.peak :]


def _decay(samples: NDArray[np.float64], sample_rate: int, centre: float) -> tuple[Decay, DecayCurve]:
    power = samples**2
    block = round(_BLOCK_SECONDS * sample_rate)
    blocks = power[: power.size // block * block].reshape(-1, block).mean(axis=1)
    levels = 10 * np.log10(np.maximum(blocks, 1e-30))
    noise, crossing, rate = _crossing(blocks, levels)
    dynamic_range = float(levels[: max(crossing, 1)].max() - 10 * math.log10(max(noise, 1e-30)))
    end = min(crossing * block, power.size)
    untold = Decay(centre_hz=centre, seconds=None, evaluation=None, dynamic_range_db=dynamic_range)
    if not math.isfinite(rate) or end < 4 * block:
        return untold, DecayCurve(np.zeros(0), np.zeros(0))
    # The decay beyond the crossing, where it equals the noise: an exponential's integral is its value over its rate.
    beyond = noise / rate * block
    integrated = np.cumsum((power[:end] - noise)[::-1])[::-1] + beyond
    curve = 10 * np.log10(np.maximum(integrated / integrated[0], 1e-12))
    times = np.arange(end) / sample_rate
    step = max(1, block // 4)
    for evaluation, lowest in _RANGES:
        if dynamic_range < _NOISE_MARGIN_DB - lowest:
            continue
        begin, stop = int(np.argmax(curve <= _FIT_BEGINS_DB)), int(np.argmax(curve <= lowest))
        if stop - begin < block:
            continue
        slope, offset = np.polyfit(times[begin:stop], curve[begin:stop], 1)
        if slope < 0 and -60 / slope * centre / math.sqrt(2) >= _MIN_BANDWIDTH_TIME:
            told = Decay(
                centre_hz=centre, seconds=float(-60 / slope), evaluation=evaluation, dynamic_range_db=dynamic_range
            )
            return told, DecayCurve(times[::step], curve[::step], float(offset))
    return untold, DecayCurve(times[::step], curve[::step])


def _crossing(blocks: NDArray[np.float64], levels: NDArray[np.float64]) -> tuple[float, int, float]:
    """Noise power, the block in which the decay reaches it, and the decay's rate per block (power falls as
    `exp(-rate * block)`).
    """
    tenth = max(1, blocks.size // 10)
    noise = float(blocks[-tenth:].mean())
    top = int(np.argmax(levels))
    noise_level = 10 * math.log10(max(noise, 1e-30))
    # A first line from the top to 10 dB above the noise, then one along the late decay only.
    low_margin, high_margin = 10.0, math.inf
    crossing, rate = blocks.size, math.nan
    for _ in range(_ITERATIONS):
        below = np.flatnonzero(levels[top:] < noise_level + low_margin)
        stop = top + (int(below[0]) if below.size else levels.size - top)
        under = np.flatnonzero(levels[top:] < noise_level + high_margin)
        begin = top + (int(under[0]) if under.size and math.isfinite(high_margin) else 0)
        if stop - begin < 3:
            begin = max(top, stop - 6)
        if stop - begin < 3:
            break
        slope, offset = np.polyfit(np.arange(begin, stop), levels[begin:stop], 1)
        if slope >= 0:
            break
        rate = -slope * math.log(10) / 10
        found = round((noise_level - offset) / slope)
        crossing_before, crossing = crossing, int(np.clip(found, stop, blocks.size))
        # Noise is what remains when the decay has fallen 10 dB below it.
        quiet = min(crossing + math.ceil(10 / -slope), blocks.size - tenth)
        noise = float(blocks[quiet:].mean())
        noise_level = 10 * math.log10(max(noise, 1e-30))
        low_margin, high_margin = 7.0, 27.0
        if crossing == crossing_before:
            break
    return noise, crossing, rate
