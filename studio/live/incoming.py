"""Samples as a browser sends them become what a device hears: 16 kHz mono int16, block by block, as
`wakeword.audio` converts a file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.audio import to_int16
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import ConfigError

LOWEST_RATE, HIGHEST_RATE = 8_000, 384_000
"""Sample rates that browsers offer."""
SILENT_DBFS = -120.0
"""What a level of digital silence is shown as."""
CLIPPED_FROM = 32_760 / 32_768
"""Of full scale: what `trainer.data.listening` takes for a flattened peak."""


@dataclass(frozen=True)
class Level:
    """How loud a block was, before it was rounded."""

    rms_dbfs: float
    """0 is an rms of full scale: a sine that just does not clip has -3.01."""
    peak: float
    """Largest absolute sample, of full scale."""

    @property
    def clips(self) -> bool:
        """Whether a sample is at full scale."""
        return self.peak >= CLIPPED_FROM


class IncomingSound:
    """One stream of float32 samples of a browser, at its own rate, resampled with its state kept between blocks."""

    def __init__(self, sample_rate: int) -> None:
        """Raises `ConfigError` for a rate that no browser has."""
        if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
            raise ConfigError(f"sample rate {sample_rate}: give {LOWEST_RATE} to {HIGHEST_RATE} Hz")
        import soxr

        self.sample_rate = sample_rate
        self._resampler = (
            None
            if sample_rate == SAMPLE_RATE_HZ
            else soxr.ResampleStream(sample_rate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        )

    def take(self, block: bytes) -> tuple[NDArray[np.int16], Level]:
        """The next samples, little-endian float32 of full scale 1, as int16 `[n]` at 16 kHz, and how loud they were.

        `n` may be 0: the resampler holds some back. Raises `ConfigError` for what is no such block.
        """
        if len(block) % 4:
            raise ConfigError(f"a block of {len(block)} bytes holds no whole float32 samples; send four bytes a sample")
        samples = np.frombuffer(block, "<f4")
        if not np.isfinite(samples).all():
            raise ConfigError("a block holds sample values that are not numbers; send float32 from -1 to 1")
        return self._converted(samples, last=False), level_of(samples)

    def finish(self) -> NDArray[np.int16]:
        """The samples that the resampler still holds, int16 `[n]`. Nothing may follow."""
        return self._converted(np.zeros(0, np.float32), last=True)

    def _converted(self, samples: NDArray[np.float32], *, last: bool) -> NDArray[np.int16]:
        if self._resampler is None:
            return to_int16(samples)
        resampled: NDArray[np.float32] = self._resampler.resample_chunk(
            np.ascontiguousarray(samples, np.float32), last=last
        )
        return to_int16(resampled)


def sample_rate(text: str) -> int:
    """A sample rate as a page tells it, in Hz. Raises `ConfigError` for what is no number."""
    if not text.isdecimal() or len(text) > len(str(HIGHEST_RATE)):
        raise ConfigError(f"rate {text[:20]!r}: give the microphone's sample rate in Hz")
    return int(text)


def level_of(samples: NDArray[np.float32]) -> Level:
    """The level of float32 samples `[n]` of full scale 1."""
    if not len(samples):
        return Level(SILENT_DBFS, 0.0)
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return Level(max(SILENT_DBFS, 20 * float(np.log10(max(rms, 1e-12)))), float(np.abs(samples).max()))
