"""The microphone's sensitivity from a sound calibrator: a known level at 1 kHz, recorded before and after everything
else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench_audio.calibration.levels import decibels
from bench_audio.duplex import MicrophoneRecording
from wakeword.errors import InfrastructureError
from wakeword.records import Record

MAX_DRIFT_DB = 0.5
"""A drift above it voids the session: nobody knows when it happened."""
FREQUENCY_HZ = 1000.0
_MAX_FREQUENCY_ERROR = 0.02
"""What IEC 60942 allows a class 2 calibrator."""
_MAX_SPREAD_DB = 0.2
_MIN_TONE_OVER_REST_DB = 20.0
_EDGE_SECONDS = 0.25
_BLOCK_SECONDS = 0.5


class Sensitivity(Record):
    """What full scale of the microphone stands for."""

    method: Literal["calibrator", "stated"]
    full_scale_spl: float
    """Sound pressure level in dB of an rms of 1.0."""
    calibrator_spl: float | None = None
    before_dbfs: float | None = None
    """The calibrator's tone in the microphone, before everything else and after it."""
    after_dbfs: float | None = None
    drift_db: float | None = None
    """`after` minus `before`; above 0.5 dB there is no calibration."""
    microphone_curve: str | None = None
    """SHA-256 of the maker's response that was taken out of all responses, if one was."""


@dataclass(frozen=True)
class CalibratorReading:
    """One recording of the calibrator."""

    level_dbfs: float
    """Rms level of the tone alone."""
    full_scale_spl: float
    """The sensitivity: the sound pressure level in dB that an rms of 1.0 stands for."""
    frequency_hz: float


def read_calibrator(recording: MicrophoneRecording, calibrator_spl: float) -> CalibratorReading:
    """The sensitivity from a recording of 2 s or more of a calibrator of `calibrator_spl` dB SPL at 1 kHz.

    Raises `InfrastructureError` where there is no such tone, where it is not steady, or where other sound is less than
    20 dB below it.
    """
    import pyfar
    from scipy.signal import periodogram

    rate = recording.sample_rate
    edge = round(_EDGE_SECONDS * rate)
    sound = recording.samples[edge : recording.samples.size - edge].astype(np.float64)
    block = round(_BLOCK_SECONDS * rate)
    count = sound.size // block
    if count < 3:
        raise InfrastructureError(f"the calibrator's recording has {recording.seconds:.1f} s; record 2 s or more")
    # A flat-top window reads a sine's power to 0.01 dB wherever it lies between the bins.
    frequencies, spectra = periodogram(
        sound[: count * block].reshape(count, block), rate, window="flattop", scaling="spectrum"
    )
    powers = spectra[:, (frequencies > FREQUENCY_HZ * 0.9) & (frequencies < FREQUENCY_HZ * 1.1)].max(axis=1)
    power = float(powers.mean())
    fine, spectrum = periodogram(sound, rate, window="hann")
    frequency = float(fine[np.argmax(np.where(fine > 20, spectrum, 0))])
    if power <= 0 or abs(frequency - FREQUENCY_HZ) > _MAX_FREQUENCY_ERROR * FREQUENCY_HZ:
        raise InfrastructureError(
            f"no calibrator is heard: the strongest tone lies at {frequency:.0f} Hz, not at {FREQUENCY_HZ:.0f} Hz; "
            "switch the calibrator on, seat it on the microphone, then begin again"
        )
    spread = 10 * float(np.log10(powers.max() / powers.min()))
    if spread > _MAX_SPREAD_DB:
        raise InfrastructureError(
            f"the calibrator's level wanders by {spread:.1f} dB; seat it on the microphone without a gap, check its"
            " battery, then begin again"
        )
    level = decibels(power)
    beside = (fine > 20) & ((fine < FREQUENCY_HZ * 0.9) | (fine > FREQUENCY_HZ * 1.1))
    gains = 10 ** (pyfar.constants.frequency_weighting_curve("A", fine[beside]) / 10)
    rest = max(float(np.sum(spectrum[beside] * gains)) * rate / sound.size, power * 1e-9)
    over_rest = level - decibels(rest)
    if over_rest < _MIN_TONE_OVER_REST_DB:
        raise InfrastructureError(
            f"the calibrator's tone is only {over_rest:.0f} dB above the rest of the sound; seat it without a gap, make"
            " it quiet, then begin again"
        )
    return CalibratorReading(level, calibrator_spl - level, frequency)


def check_drift(before: CalibratorReading, after: CalibratorReading) -> float:
    """Drift of the sensitivity in dB.

    Raises `InfrastructureError` above 0.5 dB: all that was measured between is void.
    """
    drift = after.level_dbfs - before.level_dbfs
    if abs(drift) > MAX_DRIFT_DB:
        raise InfrastructureError(
            f"the microphone reads the calibrator {drift:+.2f} dB from where it began, and {MAX_DRIFT_DB} dB is the"
            " limit: the session is void; check gain settings and automatic gain control, then calibrate again"
        )
    return drift
