"""Where a model is wrong or nearly so: the utterances it is least sure of, the negatives it is surest of, and how its
probabilities spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.ingest import SampleRecord
from trainer.inference.peaks import highest_apart
from trainer.inference.splits import EvaluationPoint, SimulatedSplit
from wakeword import contract
from wakeword.detector import first_decisive, sliding_averages
from wakeword.simulation.streams import SimulatedStream

WORST = 20
CONFUSION_GAP_SLICES = 100
"""Peaks closer than the hold-off are one."""
HISTOGRAM_BINS = 16


@dataclass(frozen=True)
class WorstUtterance:
    """An utterance and the highest sliding mean while it and the pause behind it were heard, 0 to 1."""

    path: Path
    speaker: str
    highest_average: float
    found: bool


@dataclass(frozen=True)
class ConfusingNegative:
    """A peak of the sliding mean in a recording without the wake word."""

    path: Path
    seconds: float
    """Of the recording."""
    average: float
    accepted: bool
    """Above the cutoff."""


@dataclass(frozen=True)
class Histogram:
    """Counts of probabilities in equal parts of 0-1."""

    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts)


@dataclass(frozen=True)
class ErrorAnalysis:
    """The worst first."""

    utterances: tuple[WorstUtterance, ...]
    negatives: tuple[ConfusingNegative, ...]
    positive_histogram: Histogram
    """Highest probability of each utterance."""
    negative_histogram: Histogram
    """Every probability of the negatives that can take part in a detection."""


def analyse(
    simulated: SimulatedSplit,
    records: Sequence[SampleRecord],
    point: EvaluationPoint,
    missed: tuple[int, ...],
    worst: int = WORST,
) -> ErrorAnalysis:
    """The `worst` utterances and negatives of a split; `records` are the utterances', `missed` has the indices of those
    that were not found.
    """
    averages = sliding_averages(simulated.positives.probabilities, simulated.positives.stride, point.window)
    highest = simulated.positives.highest(averages, point.window).tolist()
    utterances = [
        WorstUtterance(record.path, record.speaker, average, index not in missed)
        for index, (record, average) in enumerate(zip(records, highest, strict=True))
    ]
    utterances.sort(key=lambda utterance: (utterance.highest_average, utterance.path))
    return ErrorAnalysis(
        utterances=tuple(utterances[:worst]),
        negatives=tuple(_confusing(simulated.negatives, point, worst)),
        positive_histogram=_histogram(simulated.positives.max_probabilities(point.window)),
        negative_histogram=_histogram(
            simulated.negatives.probabilities[first_decisive(simulated.negatives.stride, point.window) :]
        ),
    )


def _confusing(stream: SimulatedStream, point: EvaluationPoint, worst: int) -> list[ConfusingNegative]:
    averages = sliding_averages(stream.probabilities, stream.stride, point.window)
    averages[: first_decisive(stream.stride, point.window)] = 0
    inferences = np.flatnonzero(averages)
    gap = -(-CONFUSION_GAP_SLICES // stream.stride)
    found = []
    for inference in inferences[highest_apart(averages[inferences], inferences, inferences + gap, worst)].tolist():
        slice_index = (inference + 1) * stream.stride - 1
        recording = stream.recordings[stream.recording_at(slice_index)]
        seconds = contract.slice_end_seconds(slice_index) - recording.start / contract.SAMPLE_RATE_HZ
        accepted = bool(averages[inference] * contract.PROBABILITY_MAX > point.cutoff)
        found.append(ConfusingNegative(recording.path, round(seconds, 3), float(averages[inference]), accepted))
    return found


def _histogram(probabilities: NDArray[np.uint8]) -> Histogram:
    counts, _ = np.histogram(probabilities, HISTOGRAM_BINS, (0, contract.PROBABILITY_MAX + 1))
    return Histogram(tuple(int(count) for count in counts))
