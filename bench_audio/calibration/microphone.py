"""The measuring microphone's own response, as its maker states it: lines of frequency and level."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError
from wakeword.reading import decoded


@dataclass(frozen=True)
class MicrophoneCurve:
    """What the microphone adds to what it hears."""

    frequencies_hz: tuple[float, ...]
    """Rising."""
    levels_db: tuple[float, ...]

    def levels_at(self, frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Levels in dB `[frequencies]`: interpolated over log f, held at the ends, and 0 dB at 1 kHz, where the
        calibrator is.
        """
        known = np.log(self.frequencies_hz)
        levels: NDArray[np.float64] = np.interp(np.log(np.maximum(frequencies_hz, 1e-3)), known, self.levels_db)
        return levels - float(np.interp(np.log(1000.0), known, self.levels_db))


def read_microphone_curve(path: Path) -> MicrophoneCurve:
    """Read a maker's file: a frequency in Hz and a level in dB a line; lines that begin otherwise (names, sensitivity)
    are passed over.

    Raises `ConfigError` for a file that cannot be read, that has fewer than two such lines, or whose frequencies do not
    rise.
    """
    try:
        text = decoded(path.read_bytes(), "replace")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give the microphone's calibration file") from error
    points: list[tuple[float, float]] = []
    for line in text.splitlines():
        words = line.replace(";", " ").replace("\t", " ").replace(",", " ").split()
        try:
            points.append((float(words[0]), float(words[1])))
        except (IndexError, ValueError):
            continue
    frequencies = [frequency for frequency, _ in points]
    if (
        len(points) < 2
        or frequencies[0] <= 0
        or any(second <= first for first, second in itertools.pairwise(frequencies))
    ):
        raise ConfigError(
            f"{path}: no response of a microphone; give lines of frequency in Hz, rising, and level in dB"
        )
    if not np.isfinite(points).all():
        raise ConfigError(
            f"{path}: a frequency or level is not a number; give lines of frequency in Hz and level in dB"
        )
    return MicrophoneCurve(tuple(frequencies), tuple(level for _, level in points))
