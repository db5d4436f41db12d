"""The recording of what was heard: bounded, in a file without a name that ends with the session unless it is saved."""

from __future__ import annotations

import os
import tempfile
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import ConfigError
from wakeword.files import partial_file

_SAMPLE_BYTES = 2
_BLOCK = SAMPLE_RATE_HZ * 60


class KeptSound:
    """Samples since boot, 16 kHz mono int16. The file has no name from its beginning: not even a kill leaves it."""

    def __init__(self, folder: Path | None = None) -> None:
        """On the disk of `folder`, or of the system's temporary folder, which may be memory: an hour has 115 MB."""
        self._file = tempfile.TemporaryFile(prefix="mww-listening-", dir=folder)  # noqa: SIM115 - lives as long as this
        self.samples = 0

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / SAMPLE_RATE_HZ

    def add(self, samples: NDArray[np.int16]) -> None:
        """Keep the next samples, int16 `[n]`. Raises `OSError` when the disk is full."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(samples.astype("<i2", copy=False).tobytes())
        self.samples += len(samples)

    def read(self, first: int, last: int) -> NDArray[np.int16]:
        """Samples `first` to `last`, int16 `[n]`, as far as they were heard."""
        first = min(max(first, 0), self.samples)
        last = min(max(last, first), self.samples)
        self._file.seek(first * _SAMPLE_BYTES)
        return np.frombuffer(self._file.read((last - first) * _SAMPLE_BYTES), "<i2").astype(np.int16)

    def write(self, path: Path) -> None:
        """All of it as a wav file, whole or not at all. Raises `ConfigError` where nothing was heard."""
        if not self.samples:
            raise ConfigError("nothing was heard yet; listen first, then save")
        with partial_file(path) as temporary, wave.open(str(temporary), "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(_SAMPLE_BYTES)
            writer.setframerate(SAMPLE_RATE_HZ)
            for first in range(0, self.samples, _BLOCK):
                writer.writeframes(self.read(first, first + _BLOCK).astype("<i2").tobytes())

    def close(self) -> None:
        """Forget it."""
        self._file.close()
