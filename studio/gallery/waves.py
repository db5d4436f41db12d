"""The sound of a clip for a page: its waveform in a few bars, how loud it is, and the sound itself as any browser plays
it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import wav_bytes
from wakeword.audio import stream_samples
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError

BARS = 56
_FULL_SCALE = 32_768
_LOUDEST = 32_760
SECONDS_SHOWN = 30.0
"""Of a longer clip the waveform is of its beginning, and so is the sound that is played."""


@dataclass(frozen=True)
class Wave:
    """What a clip looks like. Bars are of the largest sample of equal stretches: its square root, which shows a
    whisper too, 0 to 100 of full scale.
    """

    bars: tuple[int, ...]
    peak_dbfs: float
    at_full_scale: bool
    sha256: str = ""
    """Of the file."""
    problem: str = ""
    """Why there is no sound; else empty."""

    @property
    def path(self) -> str:
        """The bars as the path of an SVG of `BARS` by 100, each bar around the middle."""
        heights = [max(bar, 2) for bar in self.bars]
        return "".join(f"M{place + 0.5} {50 - height / 2:g}v{height}" for place, height in enumerate(heights))


@functools.lru_cache(maxsize=20_000)
def wave_of(path: Path, changed_ns: int, size: int) -> Wave:
    """The waveform of a clip's beginning; `changed_ns` and `size` of its file say whether it is the one that was seen
    before.
    """
    del changed_ns, size
    try:
        samples = beginning(path)
    except ConfigError as error:
        return Wave((), -120.0, False, "", str(error).removeprefix(f"{path}: "))
    loudness = np.abs(samples.astype(np.int32))
    edges = np.linspace(0, len(loudness), BARS + 1).astype(int)[:-1]
    bars = np.maximum.reduceat(loudness, np.minimum(edges, len(loudness) - 1))
    peak = int(loudness.max())
    dbfs = 20 * math.log10(peak / _FULL_SCALE) if peak else -120.0
    return Wave(
        tuple(int(bar) for bar in np.rint(100 * np.sqrt(bars / _FULL_SCALE))),
        round(dbfs, 1),
        peak >= _LOUDEST,
        hash_file(path),
    )


def beginning(path: Path) -> NDArray[np.int16]:
    """The first `SECONDS_SHOWN` of a recording as a model hears them: 16 kHz mono int16 `[n]`. Raises `ConfigError`."""
    parts: list[NDArray[np.int16]] = []
    most, held = round(SECONDS_SHOWN * SAMPLE_RATE_HZ), 0
    for block in stream_samples(path):
        parts.append(block)
        held += len(block)
        if held >= most:
            break
    return np.concatenate(parts)[:most]


def playable(path: Path) -> bytes:
    """The same as a wav file: what is heard is what a model hears, whatever format the file has. Raises
    `ConfigError`.
    """
    return wav_bytes(beginning(path))
