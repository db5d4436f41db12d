"""From probabilities to the stretches of sound that a model wrongly accepts.

Conventions: positions are samples of the recording at 16 kHz. A stretch is one training window that ends with the
accepted inference, and the sound around it: half a second before, from which the frontend takes its idea of the noise,
and a quarter of a second after, so that training can shift the window. It is cut at the recording's ends. Stretches of
one recording do not overlap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.mined import MinedClip
from trainer.inference.peaks import highest_apart
from wakeword import contract
from wakeword.simulation.streams import Recording, SimulatedStream

BEFORE_SAMPLES = contract.SAMPLE_RATE_HZ // 2
AFTER_SAMPLES = contract.SAMPLE_RATE_HZ // 4


@dataclass(frozen=True)
class Stretch:
    """A part of a recording, by the recording's content: samples `start` to `end`."""

    sha256: str
    start: int
    end: int

    def overlaps(self, other: Stretch) -> bool:
        """Whether both hold the same sound of the same recording."""
        return self.sha256 == other.sha256 and self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Accepted:
    """A stretch without the wake word that the model accepts, and how sure it is (uint8, as the device has it)."""

    source: Path
    stretch: Stretch
    probability: int
    window_end: int
    """Sample of the recording with which the accepted window ends; in the silence behind the recording it is more than
    its samples.
    """


def stretch_of(row: MinedClip) -> Stretch:
    """The part of its source that a mined clip is."""
    return Stretch(row.source_sha256, row.start_sample, row.end_sample)


def by_recording(stretches: Iterable[Stretch]) -> defaultdict[str, list[Stretch]]:
    """Stretches by the content of their recording, so that nobody compares all with all."""
    found: defaultdict[str, list[Stretch]] = defaultdict(list)
    for stretch in stretches:
        found[stretch.sha256].append(stretch)
    return found


def accepted_stretches(
    stream: SimulatedStream, recording: int, threshold: float, slices: int, limit: int, taken: Iterable[Stretch] = ()
) -> list[Accepted]:
    """Stretches of one recording of a stream that the model accepts, the most confident first; of equals the earlier
    one counts.

    Args:
        stream: With the model's probabilities.
        recording: Index of the recording in the stream.
        threshold: Probability, 0-1, above which an inference is accepted.
        slices: Of the model's window.
        limit: How many are wanted at most.
        taken: No stretch overlaps one of these, nor another one.

    Returns the stretches in samples of the recording, each with its probability, uint8.
    """
    source = stream.recordings[recording]
    inferences = np.flatnonzero(stream.probabilities > threshold * contract.PROBABILITY_MAX)
    ends = contract.WINDOW_SAMPLES + ((inferences + 1) * stream.stride - 1) * contract.STEP_SAMPLES - source.start
    inside = _ending_in(stream.recordings, recording, ends)
    inferences, window_ends = inferences[inside], ends[inside]
    ends = np.clip(window_ends, 0, source.samples)
    window = contract.WINDOW_SAMPLES + (slices - 1) * contract.STEP_SAMPLES
    starts, stops = np.maximum(0, ends - window - BEFORE_SAMPLES), np.minimum(source.samples, ends + AFTER_SAMPLES)
    probabilities = stream.probabilities[inferences].astype(np.int64)
    held = [(stretch.start, stretch.end) for stretch in taken if stretch.sha256 == source.sha256]
    return [
        Accepted(
            source.path,
            Stretch(source.sha256, int(starts[index]), int(stops[index])),
            int(probabilities[index]),
            int(window_ends[index]),
        )
        for index in highest_apart(probabilities, starts, stops, limit, held)
    ]


def most_confident(found: Iterable[Accepted], limit: int) -> list[Accepted]:
    """At most `limit` of them, the most confident first; a fixed order among equals, so that a repeated mining finds
    the same.
    """
    return sorted(found, key=lambda window: (-window.probability, window.stretch.sha256, window.stretch.start))[:limit]


def _ending_in(recordings: Sequence[Recording], recording: int, ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which windows end while this recording is heard, or in the silence behind it."""
    source = recordings[recording]
    inside: NDArray[np.bool_] = ends > 0
    if recording + 1 < len(recordings):
        inside &= ends + source.start <= recordings[recording + 1].start
    return inside
