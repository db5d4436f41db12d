"""What calibration asks of a sound card, or of a simulated one: play and record at the same time, at the native rate,
one channel each.

Samples are float with full scale 1.0. Levels in dBFS are rms levels, and 0 dBFS is an rms of 1.0: a sine that just does
not clip has -3.01 dBFS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pydantic
from numpy.typing import NDArray

from wakeword.records import STRICT

Source = Literal["measured", "simulated"]
"""Whether sound went through air. The two are never taken for one another."""


@pydantic.dataclasses.dataclass(frozen=True, config=STRICT)
class DeviceFacts:
    """A sound device as the system names it, at the rate at which its hardware runs. The calibration file keeps it as
    it is.
    """

    name: str
    host_api: str
    """The audio system that the device is opened through, such as ALSA or PulseAudio."""
    sample_rate: int = pydantic.Field(gt=0)
    """Native rate in Hz: nothing between the program and the hardware resamples."""


@dataclass(frozen=True)
class MicrophoneRecording:
    """What the microphone heard."""

    samples: NDArray[np.float32]
    """Mono `[samples]`, full scale 1.0."""
    sample_rate: int
    """Hz, the microphone's native rate."""
    faults: tuple[str, ...] = ()
    """What the audio system itself reported (overflow, underflow, ...), one entry each. Empty does not prove that
    nothing was lost."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples.size / self.sample_rate


class Duplex(Protocol):
    """One loudspeaker and one microphone."""

    @property
    def source(self) -> Source:
        """`measured` where sound goes through air."""

    @property
    def speaker(self) -> DeviceFacts:
        """The device that plays."""

    @property
    def microphone(self) -> DeviceFacts:
        """The device that records."""

    def play(self, samples: NDArray[np.float32], tail_seconds: float) -> MicrophoneRecording:
        """Play mono `samples` at the loudspeaker's native rate and record from before the first until at least
        `tail_seconds` after the last.

        The latency between both need not be known. Raises `InfrastructureError` when a device fails or goes away.
        """

    def record(self, seconds: float) -> MicrophoneRecording:
        """Record at least `seconds` while nothing is played. Raises `InfrastructureError` when the device fails or goes
        away.
        """
