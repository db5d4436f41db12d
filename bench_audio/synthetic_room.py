"""A room that is computed: an impulse response of stated reverberation time, and its convolution with a stream, with
noise.

The reverberation is Gaussian noise that decays exponentially, the model behind statistical room acoustics (Polack
1988): above the Schroeder frequency a real room's response has these statistics. It has no early reflections of its
own, and one reverberation time at all frequencies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError

DECAY_PER_REVERBERATION_TIME = math.log(1000)
"""Amplitude falls by 60 dB."""
_NOISE_LOOP_SECONDS = 20
_NOISE_FROM_HZ = 20.0
_CHUNK_SAMPLES = 1 << 16


@dataclass(frozen=True)
class Room:
    """A room between one loudspeaker and one microphone. The same description is the same room, sample by sample."""

    rt60_seconds: float
    """0 for no reverberation at all."""
    seed: int = 0
    direct_to_reverberant_db: float = 3.0
    """Energy of the direct sound over that of all reverberation."""
    delay_seconds: float = 0.0
    """Until the direct sound arrives; 1 m is 2.9 ms."""
    gain_db: float = 0.0
    noise_dbfs: float | None = None
    """Rms level of pink noise (20 Hz to half the sampling rate) at the microphone; None for none."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` for values that no room has."""
        if not (0 <= self.rt60_seconds <= 10 and 0 <= self.delay_seconds <= 1):
            raise ConfigError(
                f"a room with RT60 {self.rt60_seconds:g} s and a delay of {self.delay_seconds:g} s: give 0 to 10 s and"
                " 0 to 1 s"
            )


def impulse_response(room: Room, sample_rate: int) -> NDArray[np.float64]:
    """The room's response `[taps]`: delay, direct sound of 1 times the gain, then reverberation down to -90 dB."""
    delay = round(room.delay_seconds * sample_rate)
    tail = np.zeros(0)
    if room.rt60_seconds > 0:
        length = round(1.5 * room.rt60_seconds * sample_rate)
        decay = np.exp(-DECAY_PER_REVERBERATION_TIME * np.arange(1, length + 1) / (room.rt60_seconds * sample_rate))
        tail = np.random.default_rng((room.seed, 0)).standard_normal(length) * decay
        tail *= math.sqrt(10 ** (-room.direct_to_reverberant_db / 10) / np.sum(tail**2))
    return np.concatenate([np.zeros(delay), [1.0], tail]) * 10 ** (room.gain_db / 20)


class ConvolutionStage:
    """A stream through a room: block by block, of any sizes, with no latency but the room's own.

    The output is that of one convolution of the whole stream, whatever the blocks; the noise does not depend on them
    either. Samples are not clipped: what exceeds full scale does so in the output too.
    """

    def __init__(self, room: Room, sample_rate: int) -> None:
        self.room = room
        self.sample_rate = sample_rate
        self.response = impulse_response(room, sample_rate)
        """`[taps]` float64."""
        self._tail = np.zeros(self.response.size - 1)
        self._spectra: dict[int, NDArray[np.complex128]] = {}
        self._noise = None if room.noise_dbfs is None else NoiseLoop(room.noise_dbfs, sample_rate, seed=room.seed)

    def process[Sample: (np.float32, np.float64)](self, samples: NDArray[Sample]) -> NDArray[Sample]:
        """The next block `[samples]`, as long as the one given and of its type."""
        result = np.empty(samples.size)
        for start in range(0, samples.size, _CHUNK_SAMPLES):
            block = samples[start : start + _CHUNK_SAMPLES]
            result[start : start + block.size] = self._convolve(block.astype(np.float64))
        if self._noise is not None:
            result += self._noise.next(samples.size)
        return result.astype(samples.dtype)

    def _convolve(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Overlap-add with the response's spectrum kept: blocks of one size, as sound cards ask for, cost two
        transforms each.
        """
        from scipy import fft

        size = fft.next_fast_len(block.size + self.response.size - 1, real=True)
        if size not in self._spectra:
            self._spectra = {size: fft.rfft(self.response, size)}
        full = fft.irfft(fft.rfft(block, size) * self._spectra[size], size)[: block.size + self._tail.size]
        full[: self._tail.size] += self._tail
        self._tail = full[block.size :].copy()
        done: NDArray[np.float64] = full[: block.size]
        return done


class NoiseLoop:
    """Pink noise from 20 Hz on, without end: 20 s that join without a seam, from a seed."""

    def __init__(self, level_dbfs: float, sample_rate: int, *, seed: int) -> None:
        import pyfar

        # pyfar shapes its noise by one transform over all of it, so its end continues in its beginning. Pink noise that
        # reached down to 0.05 Hz would have a third of its power where there is no sound. A played signal of the same
        # seed must not be like it.
        count = _NOISE_LOOP_SECONDS * sample_rate
        spectrum = np.fft.rfft(pyfar.signals.noise(count, "pink", sampling_rate=sample_rate, seed=(seed, 1)).time[0])
        spectrum[: round(_NOISE_FROM_HZ * _NOISE_LOOP_SECONDS)] = 0
        loop = np.fft.irfft(spectrum, count)
        self._loop: NDArray[np.float64] = loop * (10 ** (level_dbfs / 20) / np.sqrt(np.mean(loop**2)))
        self._position = 0

    def next(self, count: int) -> NDArray[np.float64]:
        """The next samples `[count]`."""
        indices = (self._position + np.arange(count)) % self._loop.size
        self._position = (self._position + count) % self._loop.size
        return self._loop[indices]
