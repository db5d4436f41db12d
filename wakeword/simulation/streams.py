"""What a simulated board gave for one stream: a probability per inference, and everything that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.detector import Detection, detect


@dataclass(frozen=True)
class Recording:
    """One recording in a stream."""

    path: Path
    sha256: str
    samples: int
    start: int
    """Sample of the stream at which it begins."""

    @property
    def seconds(self) -> float:
        """Length without any silence around it."""
        return self.samples / contract.SAMPLE_RATE_HZ


@dataclass(frozen=True)
class SimulatedStream:
    """One stream from boot. `probabilities` is uint8 `[slices // stride]`."""

    recordings: tuple[Recording, ...]
    slices: int
    stride: int
    probabilities: NDArray[np.uint8]

    def detections(self, cutoff: int, window: int) -> list[Detection]:
        """The device's detections at an operating point (uint8 cutoff)."""
        return detect(self.probabilities, self.stride, self.slices, cutoff, window)

    def recording_at(self, slice_index: int) -> int:
        """Index of the recording that was heard last when a slice ended; silence belongs to the recording before it."""
        heard = contract.WINDOW_SAMPLES + slice_index * contract.STEP_SAMPLES
        return int(self._owners(np.array([heard]))[0])

    def max_probabilities(self) -> NDArray[np.uint8]:
        """Highest probability while each recording was heard, uint8 `[len(recordings)]`."""
        inferences = np.arange(1, len(self.probabilities) + 1)
        owners = self._owners(contract.WINDOW_SAMPLES + (inferences * self.stride - 1) * contract.STEP_SAMPLES)
        highest = np.zeros(len(self.recordings), np.uint8)
        np.maximum.at(highest, owners, self.probabilities)
        return highest

    def _owners(self, heard: NDArray[np.int64]) -> NDArray[np.int64]:
        starts = np.array([recording.start for recording in self.recordings])
        return np.maximum(np.searchsorted(starts, heard - 1, side="right") - 1, 0)
