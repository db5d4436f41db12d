"""A recording that may be looked at: whole, not clipped, not silent, and laid over what was played."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench_audio.duplex import MicrophoneRecording
from wakeword.errors import InfrastructureError

_CLIPPED = 1 - 2**-14
_CLIPPED_IN_A_ROW = 3
_MIN_PEAK_OVER_RMS = 8.0
"""Of a correlation: chance stays below, as the highest of millions of Gaussian values reaches 5 to 6."""


def check_recording(recording: MicrophoneRecording, what: str) -> None:
    """Raise `InfrastructureError` for a recording with faults, that clips (three samples in a row at full scale), or
    that is digital silence.
    """
    if recording.faults:
        raise InfrastructureError(
            f"{what}: the audio system reported {', '.join(sorted(set(recording.faults)))}; close other programs, then"
            " begin again"
        )
    if not np.any(recording.samples):
        raise InfrastructureError(
            f"{what}: the microphone gives nothing but zeros; unmute it, check the cable and the permission to record"
        )
    at_limit = np.abs(recording.samples) >= _CLIPPED
    runs = np.convolve(at_limit, np.ones(_CLIPPED_IN_A_ROW, dtype=np.int64), "valid")
    if np.any(runs == _CLIPPED_IN_A_ROW):
        raise InfrastructureError(
            f"{what}: the microphone clips; lower its gain or the level that is played, then begin again"
        )


def at_rate(recording: MicrophoneRecording, sample_rate: int) -> NDArray[np.float64]:
    """The recorded samples at another device's rate, float64 `[samples]`."""
    samples = recording.samples.astype(np.float64)
    if recording.sample_rate == sample_rate:
        return samples
    import soxr

    resampled: NDArray[np.float64] = soxr.resample(samples, recording.sample_rate, sample_rate, quality="VHQ")
    return resampled


def laid_over(played: NDArray[np.float64], recorded: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    """The part of `recorded` in which `played` is heard, as long as that; both at one rate.

    Raises `InfrastructureError` where the signal is not found or not heard to its end.
    """
    from scipy.signal import correlate

    if recorded.size < played.size:
        raise InfrastructureError(
            f"{what}: {played.size} samples were played and {recorded.size} recorded; check the devices, then begin"
            " again"
        )
    likeness = np.abs(correlate(recorded - recorded.mean(), played, "full", method="fft"))[played.size - 1 :]
    start = int(np.argmax(likeness))
    if not likeness[start] > _MIN_PEAK_OVER_RMS * np.sqrt(np.mean(likeness**2)):
        raise InfrastructureError(
            f"{what}: the microphone does not hear the loudspeaker; check cables, devices and volume, then begin again"
        )
    if start + played.size > recorded.size:
        raise InfrastructureError(
            f"{what}: the recording ends before the signal does; the devices' latency is above the time that was waited"
        )
    return recorded[start : start + played.size]
