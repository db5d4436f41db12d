"""What a simulated board gave for one stream: a probability per inference, and everything that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.corpus.feature_cache import CachedStream
from wakeword.detector import Detection, detect, first_decisive
from wakeword.presentation import Presentation
from wakeword.scoring.matching import Components, Span, Truth


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

    @property
    def span(self) -> Span:
        """Where it lies in its stream, seconds."""
        return Span(self.start / contract.SAMPLE_RATE_HZ, (self.start + self.samples) / contract.SAMPLE_RATE_HZ)


@dataclass(frozen=True, eq=False)
class PresentedStream:
    """What a board hears in one stream: where the recordings lie, and the features of all of it."""

    recordings: tuple[Recording, ...]
    presentation: Presentation
    features: CachedStream

    @classmethod
    def of(
        cls, paths: Sequence[Path], hashes: Sequence[str], presentation: Presentation, features: CachedStream
    ) -> PresentedStream:
        """Recordings in order, whose lengths the features know."""
        fields = zip(paths, hashes, features.samples, presentation.starts(features.samples), strict=True)
        return cls(tuple(Recording(*one) for one in fields), presentation, features)

    def simulated(self, stride: int, probabilities: NDArray[np.uint8]) -> SimulatedStream:
        """With what a model gave for it, uint8 `[slices // stride]`."""
        return SimulatedStream(
            self.recordings, self.presentation, self.features.slices, stride, probabilities, self.features.step_ms
        )


@dataclass(frozen=True)
class SimulatedStream:
    """One stream from boot. `probabilities` is uint8 `[slices // stride]`."""

    recordings: tuple[Recording, ...]
    presentation: Presentation
    slices: int
    stride: int
    probabilities: NDArray[np.uint8]
    step_ms: int = contract.STEP_MS
    """From slice to slice, as the manifest has it."""

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Sound that was heard when each inference was made, `[slices // stride]`."""
        return self._heard_samples() / contract.SAMPLE_RATE_HZ

    def detections(self, cutoff: int, window: int) -> list[Detection]:
        """The device's detections at an operating point (uint8 cutoff)."""
        return detect(self.probabilities, self.stride, self.slices, cutoff, window, self.step_ms)

    def truth(self, *, wake: bool) -> Truth:
        """What is true of it: the wake word in each recording, or in none."""
        return self.presentation.truth([recording.span for recording in self.recordings], wake=wake)

    def outcome(self, detections: Sequence[Detection], *, wake: bool) -> Components:
        """What its detections are: words found, or false accepts."""
        return self.truth(wake=wake).outcome([one.seconds for one in detections])

    def recording_at(self, slice_index: int) -> int:
        """Index of the recording that was heard last when a slice ended; silence belongs to the recording before it."""
        return int(self._owners(np.array([contract.slice_end_samples(slice_index, self.step_ms)]))[0])

    def highest[Value: (np.uint8, np.float64)](self, values: NDArray[Value], window: int) -> NDArray[Value]:
        """The highest of such values an inference while each recording was heard and a detection was possible,
        `[len(recordings)]`.

        What the model gives in the first second after boot takes part in no detection of this sliding `window`, so it
        is left out.
        """
        first = first_decisive(self.stride, window)
        highest = np.zeros(len(self.recordings), values.dtype)
        np.maximum.at(highest, self._owners(self._heard_samples()[first:]), values[first:])
        return highest

    def max_probabilities(self, window: int) -> NDArray[np.uint8]:
        """Highest probability of each recording, see `highest`."""
        return self.highest(self.probabilities, window)

    def _heard_samples(self) -> NDArray[np.int64]:
        """Up to the end of the last slice of each inference."""
        return contract.WINDOW_SAMPLES + (
            np.arange(1, len(self.probabilities) + 1) * self.stride - 1
        ) * contract.step_samples(self.step_ms)

    def _owners(self, heard: NDArray[np.int64]) -> NDArray[np.int64]:
        starts = np.array([recording.start for recording in self.recordings])
        return np.maximum(np.searchsorted(starts, heard - 1, side="right") - 1, 0)
