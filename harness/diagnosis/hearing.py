"""What a microphone's sound tells of the microphone: level, noise floor, clipping, an empty channel, its spectrum.

Levels are dBFS where 0 is an rms of full scale: a sine that just does not clip has -3.01.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench_audio.calibration.speech_level import active_speech_level
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import ConfigError

BANDS_HZ = (125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000, 6300)
"""Centres of third-octave bands, within what the device's features hear (125-7500 Hz)."""
LOWEST_HZ = 125.0
"""Of the device's features."""
FLOOR_PERCENTILE = 10
SPEECH_ABOVE_FLOOR_DB = 10.0
"""Sound that is no further above the noise is not taken for speech."""
EMPTY_SPAN = 2
"""Units of the 16-bit scale: sound that moves by no more holds nothing."""

_FULL_SCALE = 32768.0
_FRAME = SAMPLE_RATE_HZ // 50
_SILENCE_DBFS = -120.0
_SPECTRUM_SAMPLES = 512
_FEWEST_FRAMES = 25
_FLAT_RUN = 3
_MAIN_SAMPLES = 1 << 16
_LOWEST_MAIN_HZ = 20
"""What is slower is no sound: a drift, or the middle that clipping on one side moved."""
_FLAT_FROM = 1000
"""A quiet sound reaches its largest value often without being cut off there."""
_BAND_ABOVE_FLOOR = 2.0
"""A band with less than twice the power of the noise tells of the noise."""


@dataclass(frozen=True)
class Hearing:
    """What was found in a stretch of sound."""

    seconds: float
    floor_dbfs: float
    """Level of its quietest tenth (20 ms each)."""
    level_dbfs: float | None
    """Active level of what stands out of the noise, as speech does; None where nothing does."""
    peak_dbfs: float
    clipped: int
    """Samples that stand in a row at its largest or smallest value."""
    empty: bool
    """Nothing but one value."""
    offset: float
    """Mean, as a share of full scale."""
    bands_db: tuple[float | None, ...] | None
    """Power of the loud part in each of `BANDS_HZ` against its whole, the noise subtracted; None for a band that does
    not stand out of the noise, and where nothing does."""
    noise_bands_db: tuple[float, ...] | None
    """Power of the noise in each band against the same whole: what a band that does not stand out has at most."""


def examine_sound(
    samples: NDArray[np.int16], noise: NDArray[np.int16] | None = None, speech_seconds: float | None = None
) -> Hearing:
    """Examine 16 kHz mono sound `[n]`.

    `noise` is sound of the same microphone in which nothing was played, where there is some: the floor is its level
    then. With it, `speech_seconds` says that so much speech is in the sound: its level is then what the sound has more
    than the noise, and so it is known also where it hardly stands out.
    """
    sound = samples.astype(np.float64) / _FULL_SCALE
    quiet = sound if noise is None else noise.astype(np.float64) / _FULL_SCALE
    offset = float(sound.mean()) if sound.size else 0.0
    # Hum below what the model hears is neither noise nor level.
    whole, quiet = _high_passed(sound), _high_passed(quiet)
    frames, quiet_frames = _frame_power(whole), _frame_power(quiet)
    floor_power = float(np.percentile(quiet_frames, FLOOR_PERCENTILE)) if quiet_frames.size else 0.0
    floor = _decibels(floor_power)
    bands, noise_bands = _bands(
        whole, frames > max(floor_power, 1e-12) * 10 ** (SPEECH_ABOVE_FLOOR_DB / 10), quiet, quiet_frames
    )
    return Hearing(
        seconds=samples.size / SAMPLE_RATE_HZ,
        floor_dbfs=floor,
        level_dbfs=_speech_level(whole, floor)
        if speech_seconds is None
        else _level_over_noise(whole, quiet, speech_seconds),
        peak_dbfs=_decibels(float(np.max(sound**2, initial=0.0))),
        clipped=flat_tops(samples),
        empty=samples.size > 0 and int(samples.max()) - int(samples.min()) <= EMPTY_SPAN,
        offset=offset,
        bands_db=bands,
        noise_bands_db=noise_bands,
    )


def _high_passed(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without what lies below the lowest frequency of the device's features."""
    if not sound.size:
        return sound
    spectrum = np.fft.rfft(sound)
    spectrum[np.fft.rfftfreq(sound.size, 1 / SAMPLE_RATE_HZ) < LOWEST_HZ] = 0
    return np.fft.irfft(spectrum, sound.size)


def flat_tops(samples: NDArray[np.int16]) -> int:
    """Samples in rows at the largest or the smallest value of the sound: what a microphone, or a gain behind it, cut
    off. A row is longer than rounding alone makes it at the top of a sine of this height and of the sound's main
    frequency, and has three samples at least.
    """
    if not samples.size:
        return 0
    values = samples.astype(np.int32)
    middle = int(np.median(values))
    some = (values - middle)[:_MAIN_SAMPLES]
    spectrum = np.abs(np.fft.rfft(some * np.hanning(len(some))))
    spectrum[: math.ceil(_LOWEST_MAIN_HZ * len(some) / SAMPLE_RATE_HZ)] = 0
    main = int(np.argmax(spectrum)) or 1
    step = 2 * np.pi * main / len(some)
    count = 0
    for top in (values.max(), values.min()):
        height = abs(int(top) - middle)
        if height < _FLAT_FROM:
            continue
        rounded = int(2 * math.acos(1 - 1 / height) / step) + 2
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (values == top).astype(np.int8), [0]])))
        runs = edges[1::2] - edges[::2]
        count += int(runs[runs >= max(_FLAT_RUN, rounded)].sum())
    return count


def _speech_level(sound: NDArray[np.float64], floor_dbfs: float) -> float | None:
    try:
        level = active_speech_level(sound, SAMPLE_RATE_HZ).active_dbfs
    except ConfigError:  # too short, or silence
        return None
    return level if level > floor_dbfs + SPEECH_ABOVE_FLOOR_DB and level > _SILENCE_DBFS else None


def _level_over_noise(sound: NDArray[np.float64], noise: NDArray[np.float64], seconds: float) -> float | None:
    """Level of speech that lasts so long; None where it is weaker than the noise."""
    noise_power = float(np.mean(noise**2)) if noise.size else 0.0
    power = (float(np.sum(sound**2)) - noise_power * sound.size) / (seconds * SAMPLE_RATE_HZ)
    return _decibels(power) if power > noise_power and power > 10 ** (_SILENCE_DBFS / 10) else None


def _frame_power(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean square of each 20 ms `[frames]`."""
    whole = sound[: sound.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    power: NDArray[np.float64] = np.mean(whole**2, axis=1)
    return power


def _decibels(power: float) -> float:
    return max(_SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else _SILENCE_DBFS


def _bands(
    sound: NDArray[np.float64],
    loud: NDArray[np.bool_],
    quiet: NDArray[np.float64],
    quiet_frames: NDArray[np.float64],
) -> tuple[tuple[float | None, ...] | None, tuple[float, ...] | None]:
    if loud.sum() < _FEWEST_FRAMES:
        return None, None
    speech = _band_power(sound, loud)
    still = quiet_frames <= np.percentile(quiet_frames, 2 * FLOOR_PERCENTILE) if quiet_frames.size else loud
    noise = _band_power(quiet, still)
    rest = np.where(speech > _BAND_ABOVE_FLOOR * noise, speech - noise, 0.0)
    total = float(rest.sum())
    if total <= 0:
        return None, None
    return (
        tuple(_decibels(float(power) / total) if power > 0 else None for power in rest),
        tuple(_decibels(float(power) / total) for power in noise),
    )


def _band_power(sound: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean power of the chosen 20 ms frames in each band `[bands]`."""
    starts = np.flatnonzero(chosen) * _FRAME
    starts = starts[starts + _SPECTRUM_SAMPLES <= sound.size]
    if not starts.size:
        return np.zeros(len(BANDS_HZ))
    pieces = sound[starts[:, None] + np.arange(_SPECTRUM_SAMPLES)] * np.hanning(_SPECTRUM_SAMPLES)
    power = np.mean(np.abs(np.fft.rfft(pieces, axis=1)) ** 2, axis=0)
    frequencies = np.fft.rfftfreq(_SPECTRUM_SAMPLES, 1 / SAMPLE_RATE_HZ)
    # A bin's power goes to the band whose centre is nearest; the lowest bands are narrower than a bin and share one.
    centres = np.log(BANDS_HZ)
    edges = np.exp(np.concatenate([[centres[0] - 0.115], (centres[1:] + centres[:-1]) / 2, [centres[-1] + 0.115]]))
    cumulated = np.concatenate([[0.0], np.cumsum(power)])
    bounds = np.interp(edges, frequencies + frequencies[1] / 2, cumulated[1:])
    band: NDArray[np.float64] = np.diff(bounds)
    return band
