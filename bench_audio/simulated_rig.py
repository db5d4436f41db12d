"""A loudspeaker, a room, a microphone and a calibrator that are computed: to rehearse a calibration, and to know what
one should find.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench_audio.duplex import DeviceFacts, MicrophoneRecording, Source
from bench_audio.synthetic_room import ConvolutionStage, NoiseLoop, Room
from wakeword.errors import ConfigError

SMALL_LOUDSPEAKER = (
    (20, -45.0),
    (60, -24.0),
    (100, -8.0),
    (160, -2.0),
    (300, 2.0),
    (700, 0.0),
    (1500, 3.0),
    (2500, 6.0),
    (4000, -2.0),
    (7500, -6.0),
    (20000, -14.0),
)
"""A plausible two-inch loudspeaker: Hz and dB."""


@dataclass(frozen=True)
class Rig:
    """What is simulated. Levels in dB SPL are unweighted."""

    room: Room = field(default_factory=lambda: Room(rt60_seconds=0.4, delay_seconds=0.003))
    sample_rate: int = 48_000
    loudspeaker: tuple[tuple[float, float], ...] = SMALL_LOUDSPEAKER
    """Frequency in Hz and level in dB, between them interpolated over log f; empty for a flat one."""
    second_harmonic: float = 0.0
    """The loudspeaker's input x becomes x + second_harmonic x^2 + third_harmonic x^3 before its response."""
    third_harmonic: float = 0.0
    spl_of_full_scale_played: float = 95.0
    """Sound pressure level of the direct sound of an rms of 1.0 played, where the loudspeaker's curve is 0 dB."""
    spl_of_full_scale_recorded: float = 120.0
    """The microphone's sensitivity: the sound pressure level that an rms of 1.0 stands for."""
    noise_spl: float | None = 35.0
    """Pink noise of the room, from 20 Hz on; None for none."""
    latency_seconds: float = 0.08
    drift_ppm: float = 0.0
    """How much faster the microphone's clock runs than the loudspeaker's."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where the room's own gain or noise would add to the rig's."""
        if self.room.gain_db or self.room.noise_dbfs is not None:
            raise ConfigError("a rig sets gain and noise itself, in dB SPL; leave those of its room out")


class SimulatedRig:
    """A `Duplex` that is computed."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.calibrator_spl: float | None = None
        """Level of the calibrator on the microphone; None while it is off."""
        self.sensitivity_drift_db = 0.0
        """By how much the microphone has become more sensitive."""
        stage = ConvolutionStage(rig.room, rig.sample_rate)
        self._response = (
            np.convolve(stage.response, loudspeaker_taps(rig.loudspeaker, rig.sample_rate))
            if rig.loudspeaker
            else stage.response
        )
        noise = None if rig.noise_spl is None else rig.noise_spl - rig.spl_of_full_scale_recorded
        self._noise = None if noise is None else NoiseLoop(noise, rig.sample_rate, seed=rig.room.seed)

    @property
    def source(self) -> Source:
        """Never through air."""
        return "simulated"

    @property
    def speaker(self) -> DeviceFacts:
        """Computed."""
        return DeviceFacts("simulated loudspeaker", "none", self.rig.sample_rate)

    @property
    def microphone(self) -> DeviceFacts:
        """Computed."""
        return DeviceFacts("simulated microphone", "none", self.rig.sample_rate)

    def play(self, samples: NDArray[np.float32], tail_seconds: float) -> MicrophoneRecording:
        """Through loudspeaker, room and microphone."""
        from scipy.signal import oaconvolve

        rig = self.rig
        driven = samples.astype(np.float64)
        driven = driven + rig.second_harmonic * driven**2 + rig.third_harmonic * driven**3
        lead = round(rig.latency_seconds * rig.sample_rate)
        heard = np.zeros(lead + samples.size + round(tail_seconds * rig.sample_rate))
        through = oaconvolve(driven, self._response)[: heard.size - lead]
        heard[lead : lead + through.size] = through * 10 ** (
            (rig.spl_of_full_scale_played - rig.spl_of_full_scale_recorded) / 20
        )
        return self._recorded(_drifted(heard, rig.drift_ppm))

    def record(self, seconds: float) -> MicrophoneRecording:
        """The room's noise, and the calibrator where it is on."""
        return self._recorded(np.zeros(round(seconds * self.rig.sample_rate)))

    def _recorded(self, sound: NDArray[np.float64]) -> MicrophoneRecording:
        if self._noise is not None:
            sound = sound + self._noise.next(sound.size)
        if self.calibrator_spl is not None:
            amplitude = math.sqrt(2) * 10 ** ((self.calibrator_spl - self.rig.spl_of_full_scale_recorded) / 20)
            sound = sound + amplitude * np.sin(2 * np.pi * 1000 * np.arange(sound.size) / self.rig.sample_rate)
        return MicrophoneRecording(
            np.clip(sound * 10 ** (self.sensitivity_drift_db / 20), -1, 1).astype(np.float32), self.rig.sample_rate
        )


def loudspeaker_taps(curve: tuple[tuple[float, float], ...], sample_rate: int) -> NDArray[np.float64]:
    """A minimum-phase FIR filter `[taps]` with the magnitude of `curve`, Hz and dB, interpolated over log f and held at
    its ends.
    """
    import pyfar

    size = 1 << math.ceil(math.log2(0.34 * sample_rate))
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    levels = np.interp(
        np.log(np.maximum(frequencies, 1)), np.log([point[0] for point in curve]), [point[1] for point in curve]
    )
    spectrum = pyfar.Signal(10 ** (levels / 20), sample_rate, n_samples=size, domain="freq")
    taps: NDArray[np.float64] = pyfar.dsp.minimum_phase(spectrum).time[0]
    return taps


def _drifted(samples: NDArray[np.float64], ppm: float) -> NDArray[np.float64]:
    """The same sound sampled by a clock that runs `ppm` faster."""
    if not ppm:
        return samples
    from scipy.interpolate import CubicSpline

    # Cubic splines are exact to -60 dB only up to a third of the sampling rate, which covers the band that is looked
    # at.
    times = np.arange(math.floor((samples.size - 1) * (1 + ppm * 1e-6))) / (1 + ppm * 1e-6)
    moved: NDArray[np.float64] = CubicSpline(np.arange(samples.size), samples)(times)
    return moved
