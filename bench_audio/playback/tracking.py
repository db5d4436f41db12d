"""Where each half second of what was played is in what was heard, how loud, and what was heard besides.

Half a second of the played sound, sent through the channel that the markers told, is looked for in the recording around
where the half second before it was. So it shows when samples were lost or came twice, also where every status flag of
the audio system says that all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench_audio.markers import refine_peak
from bench_audio.playback.channel import FULL_SCALE, LEAD_SAMPLES, RESPONSE_SAMPLES, Channel, band
from wakeword.contract import SAMPLE_RATE_HZ

WINDOW_SAMPLES = SAMPLE_RATE_HZ // 2
REACH_SAMPLES = SAMPLE_RATE_HZ // 10
"""Looked for up to 100 ms before and after the place where it should be."""
FAR_SAMPLES = 2 * SAMPLE_RATE_HZ
"""After `LOST_WINDOWS` that were not found it is looked for this far."""
LOST_WINDOWS = 3
LEAST_DBFS = -70.0
"""Played sound that arrives below this tells nothing."""
ABOVE_NOISE_DB = 10.0
DECAY_DB = 30.0
"""What is so far below the half second before it is that one's reverberation, of which the markers do not tell
enough."""
COHERENT = 0.6
"""Correlation at and above which a window is found: sound and everything else are about equally loud at 0.7."""
NEAR_SAMPLES = 16
PIECES = 8
DRIFT_IN_WINDOW = 0.15
"""Samples from the beginning to the end of a window, up to which it is moved as one."""
_EDGE = 256


@dataclass(frozen=True)
class Pause:
    """Silence that the player put between samples, by its own account."""

    played: int
    samples: int


@dataclass(frozen=True)
class Tracked:
    """Half a second of what was played, as it was heard.

    Levels in dBFS (rms, full scale 1), within the markers' band.
    """

    played: int
    """Its first sample."""
    shift: float
    """Heard minus played position; where it was not found, as before."""
    coherence: float
    """Correlation of what was heard with what was expected, 0-1."""
    gain_db: float
    """Of what was played over what was expected."""
    expected_db: float
    rest_db: float
    """What is left when the expected sound is taken away."""
    active: bool
    """Loud enough to be looked for."""

    @property
    def found(self) -> bool:
        """Whether its place is known."""
        return self.active and self.coherence >= COHERENT

    @property
    def stop(self) -> int:
        """First sample after it."""
        return self.played + WINDOW_SAMPLES


def track(
    played: Iterable[NDArray[np.int16]],
    recording: NDArray[np.int16],
    channel: Channel,
    shift: float,
    noise_db: float,
    pauses: Sequence[Pause] = (),
    drift: float = 0.0,
) -> Iterator[Tracked]:
    """Follow what was played through a recording, from the shift of its first sample on.

    Args:
        played: From its first sample on, in blocks, int16 `[n]` at 16 kHz.
        recording: int16 `[n]` at 16 kHz.
        channel: From played to heard.
        shift: Samples, heard minus played position of the first one.
        noise_db: Level of the recording where nothing is played, dBFS within the markers' band.
        pauses: That the player made by its own account.
        drift: By how many samples the shift grows a sample played, as far as that is known: the end of a window then
        lies elsewhere than its beginning says.

    Returns the half seconds of what was played, in order, as far as the recording goes.
    """
    waiting = sorted(pauses, key=lambda pause: pause.played, reverse=True)
    lost: list[_Window] = []
    before = -200.0
    for start, context in _windows(played):
        while waiting and waiting[-1].played <= start:
            shift += waiting.pop().samples
        if start + shift + WINDOW_SAMPLES > len(recording):
            return
        window = _Window(start, _warped(_expected(context, channel), drift))
        active = window.level > max(LEAST_DBFS, noise_db + ABOVE_NOISE_DB, before - DECAY_DB)
        before = window.level
        tracked = _look(window, recording, shift, active, REACH_SAMPLES)
        if tracked.found:
            lost = []
        elif active:
            lost.append(window)
            if len(lost) % LOST_WINDOWS == 0:
                far = _look(window, recording, shift, active, FAR_SAMPLES)
                tracked = far if far.found else tracked
        shift = tracked.shift if tracked.found else shift
        yield tracked


@dataclass(frozen=True, eq=False)
class _Window:
    start: int
    expected: NDArray[np.float64]

    @property
    def level(self) -> float:
        return level_db(self.expected)


def level_db(samples: NDArray[np.float64]) -> float:
    """Rms level in dBFS, full scale 1; -200 for silence."""
    power = float(np.mean(samples**2)) if len(samples) else 0.0
    return float(10 * np.log10(max(power, 1e-20)))


def _windows(played: Iterable[NDArray[np.int16]]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Each whole window with what was played as long before it as the channel rings, and a little after it."""
    before = RESPONSE_SAMPLES
    held = np.zeros(before, np.int16)
    start = 0
    for block in played:
        held = np.concatenate([held, block])
        while len(held) >= before + WINDOW_SAMPLES + LEAD_SAMPLES:
            yield start, held[: before + WINDOW_SAMPLES + LEAD_SAMPLES] / FULL_SCALE
            held = held[WINDOW_SAMPLES:]
            start += WINDOW_SAMPLES


def _expected(context: NDArray[np.float64], channel: Channel) -> NDArray[np.float64]:
    size = 1 << (len(context) + len(channel.response) - 1).bit_length()
    whole = np.fft.irfft(np.fft.rfft(context, size) * np.fft.rfft(channel.response, size), size)
    # The direct sound is `LEAD_SAMPLES` into the response.
    begin = RESPONSE_SAMPLES + LEAD_SAMPLES
    return whole[begin : begin + WINDOW_SAMPLES]


def _look(window: _Window, recording: NDArray[np.int16], shift: float, active: bool, reach: int) -> Tracked:
    centre = round(window.start + shift)
    heard = _filtered(recording, centre - reach, centre + WINDOW_SAMPLES + reach)
    expected_energy = float(window.expected @ window.expected)
    here = heard[reach : reach + WINDOW_SAMPLES]
    if not active or expected_energy <= 0:
        return Tracked(window.start, shift, 0.0, 0.0, window.level, level_db(here), active)
    size = 1 << (len(heard) + WINDOW_SAMPLES - 1).bit_length()
    spectrum = np.fft.rfft(window.expected, size)
    crossed = np.fft.rfft(heard, size) * np.conj(spectrum)
    correlation = np.fft.irfft(crossed, size)[: 2 * reach + 1]
    energies = np.concatenate([[0.0], np.cumsum(heard**2)])
    energy = np.maximum(
        energies[WINDOW_SAMPLES : WINDOW_SAMPLES + len(correlation)] - energies[: len(correlation)], 1e-20
    )
    likeness = correlation / np.sqrt(energy * expected_energy)
    best = int(np.argmax(likeness))
    # A loud beginning of what comes next, left out by a step aside, makes a better likeness than the right place does;
    # not a better correlation.
    low = max(best - NEAR_SAMPLES, 0)
    best = low + int(np.argmax(correlation[low : best + NEAR_SAMPLES + 1]))
    place = refine_peak(crossed, size, best)
    aligned = np.fft.irfft(spectrum * np.exp(-2j * np.pi * np.arange(len(spectrum)) * place / size), size)[
        best : best + WINDOW_SAMPLES
    ]
    heard = heard[best : best + WINDOW_SAMPLES]
    common, energy_of_aligned = float(aligned @ heard), max(float(aligned @ aligned), 1e-20)
    factor = common / energy_of_aligned
    # Not that of the nearest whole sample: half a sample off, the highest frequencies are in opposition.
    coherence = max(common / float(np.sqrt(max(float(heard @ heard), 1e-20) * energy_of_aligned)), 0.0)
    gain = float(20 * np.log10(max(factor, 1e-10)))
    return Tracked(
        window.start,
        centre - reach + place - window.start,
        coherence,
        gain,
        window.level,
        level_db(heard - factor * aligned),
        active,
    )


def _warped(expected: NDArray[np.float64], drift: float) -> NDArray[np.float64]:
    """A window as the recording's clock hears it, about its middle: piece by piece, each moved by its fraction of a
    sample.
    """
    if abs(drift) * WINDOW_SAMPLES <= DRIFT_IN_WINDOW:
        return expected
    size = 1 << (WINDOW_SAMPLES + _EDGE).bit_length()
    spectrum = np.fft.rfft(expected, size)
    turn = -2j * np.pi * np.arange(len(spectrum)) / size
    length = WINDOW_SAMPLES // PIECES
    parts = []
    for number in range(PIECES):
        middle = (number + 0.5) * length - WINDOW_SAMPLES / 2
        parts.append(
            np.fft.irfft(spectrum * np.exp(turn * drift * middle), size)[number * length : (number + 1) * length]
        )
    return np.concatenate(parts)


def _filtered(recording: NDArray[np.int16], start: int, stop: int) -> NDArray[np.float64]:
    """Samples `start` to `stop` of a recording within the band; silence where there are none."""
    first, last = start - _EDGE, stop + _EDGE
    inside = recording[max(first, 0) : max(last, 0)] / FULL_SCALE
    piece = np.zeros(last - first)
    begin = max(-first, 0)
    piece[begin : begin + len(inside)] = inside
    size = 1 << (len(piece) - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(piece, size) * band(size), size)[_EDGE : _EDGE + stop - start]
