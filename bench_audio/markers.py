"""Chirp markers: sound whose place in a recording is found to a fraction of a sample, and the line through those
places.

Conventions
-----------
- Played and heard positions are samples at 16 kHz, as floats. Heard = offset + (1 + drift / 1e6) * played, a step for
  every place where samples were lost or came twice: the drift is the microphone's clock against the loudspeaker's, and
  is the same on both sides of a step.
- A marker is an exponential sweep (Farina 2000) of half a second: its autocorrelation is a peak of a seventh of a
  millisecond, and noise must be as loud as speech beside it to hide it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import SAMPLE_RATE_HZ

LOW_HZ, HIGH_HZ = 200.0, 7200.0
MARKER_SECONDS = 0.5
MARKER_SAMPLES = round(MARKER_SECONDS * SAMPLE_RATE_HZ)
PEAK = 0.25
"""-12 dBFS: about as loud as the loudest moments of speech, so the board's microphone takes it as it takes speech."""
FADE_SECONDS = 0.02
LEAST_PROMINENCE = 8.0
"""Peak of the correlation over its rms elsewhere. Pure noise gives 5.5 at most in four seconds (a thousand tries)."""
NEWTON_STEPS = 4
"""Each squares the error."""
_NEIGHBOURHOOD = SAMPLE_RATE_HZ // 100


@dataclass(frozen=True)
class MarkerFound:
    """A marker in a recording."""

    played: float
    """Where it was played."""
    heard: float
    """Where it begins in the recording."""
    prominence: float
    """Peak of the correlation over its rms elsewhere."""


@dataclass(frozen=True)
class Alignment:
    """Played positions to heard ones: a line with steps."""

    drift_ppm: float
    """Above 0: the recording has more samples than were played, its clock is fast."""
    bounds: tuple[float, ...]
    """Played positions of the steps, ascending."""
    offsets: tuple[float, ...]
    """Of each piece, one more than steps: heard position of played position 0."""
    residual_rms: float
    """Samples, over the markers used."""
    markers: int
    """Markers used."""

    def heard(self, played: float) -> float:
        """Where a played sample is in the recording."""
        return self.offsets[int(np.searchsorted(self.bounds, played, side="right"))] + self._rate * played

    def played(self, heard: float) -> float:
        """What was played there; in lost sound, the place where it was lost."""
        for number, offset in enumerate(self.offsets):
            position = (heard - offset) / self._rate
            if number == len(self.bounds) or position < self.bounds[number]:
                return max(position, self.bounds[number - 1]) if number else position
        raise AssertionError("the last piece has no end")

    @property
    def _rate(self) -> float:
        return 1 + self.drift_ppm * 1e-6


@functools.cache
def marker() -> NDArray[np.int16]:
    """The marker as it is played: int16 `[8000]` at 16 kHz, read-only."""
    samples = np.rint(marker_heard(0.0) * 32767).astype(np.int16)
    samples.flags.writeable = False
    return samples


def marker_heard(drift: float) -> NDArray[np.float64]:
    """The marker, full scale 1, as a clock hears it that is faster by `drift` (1e-4 for 100 ppm)."""
    time = np.arange(MARKER_SAMPLES) / SAMPLE_RATE_HZ / (1 + drift)
    growth = np.log(HIGH_HZ / LOW_HZ)
    sweep: NDArray[np.float64] = PEAK * np.sin(
        2 * np.pi * LOW_HZ * MARKER_SECONDS / growth * np.expm1(growth * time / MARKER_SECONDS)
    )
    fade = round(FADE_SECONDS * SAMPLE_RATE_HZ)
    ramp = np.sin(np.linspace(0, np.pi / 2, fade)) ** 2
    sweep[:fade] *= ramp
    sweep[-fade:] *= ramp[::-1]
    return sweep


def find_marker(
    recording: NDArray[np.float32] | NDArray[np.int16], played: float, first: float = 0.0
) -> MarkerFound | None:
    """The marker in a piece of a recording (`[n]`, 16 kHz, any scale) that begins at its sample `first`; None where it
    is not there.

    By phase-weighted correlation (GCC-PHAT within the sweep's band, so neither loudspeaker nor room moves the peak),
    its maximum to a fraction of a sample.
    """
    if len(recording) < MARKER_SAMPLES:
        return None
    size = 1 << (len(recording) + MARKER_SAMPLES - 1).bit_length()
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(np.asarray(recording, np.float64), size) * np.conj(
        np.fft.rfft(marker().astype(np.float64), size)
    )
    # The square root of the full whitening: whitened all the way, noise between the marker and silence would count as
    # much as the marker.
    weight = ((frequencies >= LOW_HZ) & (frequencies <= HIGH_HZ)) / np.sqrt(
        np.abs(spectrum) + 1e-12 * np.abs(spectrum).max(initial=1e-300) + 1e-300
    )
    whitened = spectrum * weight
    correlation = np.fft.irfft(whitened, size)[: len(recording) - MARKER_SAMPLES + 1]
    best = int(np.argmax(correlation))
    elsewhere = np.concatenate([correlation[: max(best - _NEIGHBOURHOOD, 0)], correlation[best + _NEIGHBOURHOOD :]])
    noise = float(np.sqrt(np.mean(elsewhere**2))) if len(elsewhere) else 0.0
    prominence = float(correlation[best]) / noise if noise > 0 else (float("inf") if correlation[best] > 0 else 0.0)
    if prominence < LEAST_PROMINENCE:
        return None
    return MarkerFound(played, first + refine_peak(whitened, size, best), prominence)


def fit_alignment(
    found: Sequence[MarkerFound], steps: Sequence[float] = (), between: Sequence[tuple[float, float]] = ()
) -> Alignment:
    """The line through the markers, with a step at each played position of `steps`; drift and offsets by least squares.

    Single markers far from all others (echoes, a slammed door) are left out. `between` are further, less exact pairs of
    played and heard position: they give the drift where no piece has two markers, and the offset of a piece that has
    none. Raises `ValueError` when there is no marker.
    """
    if not found:
        raise ValueError("no marker was found")
    bounds = tuple(sorted(steps))
    played = np.array([one.played for one in found])
    shift = np.array([one.heard for one in found]) - played
    piece = np.searchsorted(bounds, played, side="right")
    kept = _without_outliers(played, shift, piece)
    played, shift, piece = played[kept], shift[kept], piece[kept]
    others = np.array([(one, heard - one) for one, heard in between]).reshape(-1, 2)
    other_piece = np.searchsorted(bounds, others[:, 0], side="right")
    drift = _slope(played, shift, piece)
    if drift is None:
        drift = _slope(others[:, 0], others[:, 1], other_piece)
    drift = 0.0 if drift is None else drift
    offsets: list[float] = []
    for number in range(len(bounds) + 1):
        own = (shift - drift * played)[piece == number]
        others_own = (others[:, 1] - drift * others[:, 0])[other_piece == number]
        known = float(np.mean(own)) if len(own) else float(np.median(others_own)) if len(others_own) else None
        offsets.append(
            known if known is not None else offsets[-1] if offsets else float(np.mean(shift - drift * played))
        )
    residuals = shift - drift * played - np.array(offsets)[piece]
    return Alignment(drift * 1e6, bounds, tuple(offsets), float(np.sqrt(np.mean(residuals**2))), len(played))


def _slope(played: NDArray[np.float64], shift: NDArray[np.float64], piece: NDArray[np.intp]) -> float | None:
    """The common slope of all pieces, each about its own mean; None where no piece has two points."""
    above = below = 0.0
    for one in np.unique(piece):
        inside = piece == one
        centred = played[inside] - played[inside].mean()
        above += float(centred @ shift[inside])
        below += float(centred @ centred)
    return above / below if below > 0 else None


def _without_outliers(
    played: NDArray[np.float64], shift: NDArray[np.float64], piece: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Markers within 2 ms of the median line of their piece: the median of all slopes between two of them, which few
    bad ones do not move.
    """
    kept = np.ones(len(played), np.bool_)
    for one in np.unique(piece):
        inside = np.flatnonzero(piece == one)
        if len(inside) < 4:
            continue
        first, second = np.triu_indices(len(inside), 1)
        slopes = (shift[inside][second] - shift[inside][first]) / (played[inside][second] - played[inside][first])
        level = shift[inside] - np.median(slopes) * played[inside]
        kept[inside] = np.abs(level - np.median(level)) <= SAMPLE_RATE_HZ * 0.002
    return kept


def refine_peak(spectrum: NDArray[np.complex128], size: int, best: int) -> float:
    """The place of the maximum near sample `best` of a real transform of `size` samples: Newton's steps on the
    derivative of what is band-limited.
    """
    bins = np.flatnonzero(np.abs(spectrum) > 1e-9 * np.abs(spectrum).max(initial=0))
    turn = 2 * np.pi * bins / size
    weighted = spectrum[bins] * turn
    position = float(best)
    for _ in range(NEWTON_STEPS):
        rotated = weighted * np.exp(1j * turn * position)
        slope, bend = -float(rotated.imag.sum()), -float((rotated.real * turn).sum())
        if bend >= 0:
            return float(best)  # no maximum here
        position = float(np.clip(position - slope / bend, best - 1, best + 1))
    return position
