"""What lies between the samples that are played and those that are heard: loudspeaker, room and microphone as one
impulse response, from the markers.

Everything is looked at within the markers' band only, through one filter without a phase (`band`): the markers measure
nothing outside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench_audio.markers import MARKER_SAMPLES, MarkerFound, marker_heard
from wakeword.contract import SAMPLE_RATE_HZ

PASS_HZ, STOP_HZ = (350.0, 6500.0), (250.0, 7000.0)
"""The filter is 1 between the first two and 0 outside of the second two."""
RESPONSE_SECONDS = 0.5
"""Of a room with an RT60 of 0.7 s, 43 dB of the decay."""
RESPONSE_SAMPLES = round(RESPONSE_SECONDS * SAMPLE_RATE_HZ)
LEAD_SAMPLES = 128
"""Kept before the direct sound: a filter without a phase rings on both sides."""
FULL_SCALE = 32768.0


@dataclass(frozen=True, eq=False)
class Channel:
    """Heard = `response` * played, within the band."""

    response: NDArray[np.float64]
    """`[LEAD_SAMPLES + RESPONSE_SAMPLES]`; the direct sound is at `LEAD_SAMPLES`."""

    @property
    def gain_db(self) -> float:
        """Of white noise within the band, from played to heard."""
        size = 1 << (len(self.response) - 1).bit_length()
        inside = band(size)
        power = np.abs(np.fft.rfft(self.response, size)) ** 2
        return float(10 * np.log10(power.sum() / (inside**2).sum()))


def band(size: int) -> NDArray[np.float64]:
    """The filter as factors of a real transform of so many samples: `[size // 2 + 1]`."""
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    rising = np.clip((frequencies - STOP_HZ[0]) / (PASS_HZ[0] - STOP_HZ[0]), 0, 1)
    falling = np.clip((STOP_HZ[1] - frequencies) / (STOP_HZ[1] - PASS_HZ[1]), 0, 1)
    factors: NDArray[np.float64] = np.sin(np.pi / 2 * np.minimum(rising, falling)) ** 2
    return factors


def estimate_channel(recording: NDArray[np.int16], found: Sequence[MarkerFound], drift: float = 0.0) -> Channel | None:
    """The mean response over the markers found in a recording; None when none of them is there with all its decay.

    The spectrum of what was heard over that of the marker, each marker at its own fraction of a sample. `drift` is how
    much faster the recording's clock is: unknown, it would look like a channel that delays high tones more than low
    ones.
    """
    length = LEAD_SAMPLES + MARKER_SAMPLES + RESPONSE_SAMPLES
    size = 1 << (length + RESPONSE_SAMPLES).bit_length()
    turn = 2j * np.pi * np.arange(size // 2 + 1) / size
    played = np.fft.rfft(marker_heard(drift), size)
    quotient = band(size) / np.where(band(size) > 0, played, 1)
    total = np.zeros(size // 2 + 1, np.complex128)
    count = 0
    for one in found:
        whole = int(np.floor(one.heard)) - LEAD_SAMPLES
        piece = recording[max(whole, 0) : whole + length] / FULL_SCALE
        if whole < 0 or len(piece) < length:
            continue
        total += np.fft.rfft(piece, size) * quotient * np.exp(turn * (one.heard - np.floor(one.heard)))
        count += 1
    if not count:
        return None
    return Channel(np.fft.irfft(total / count, size)[: LEAD_SAMPLES + RESPONSE_SAMPLES])
