"""The device protocol's figures: what a board with this model would have done with these recordings.

Words and negatives are presented, decided, matched and counted as `wakeword.presentation` says, so a false accept may
fall into either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.data.ingest import SampleRecord
from trainer.evaluation.windows import WordEnd
from trainer.inference.splits import EvaluationPoint, SimulatedSplit
from wakeword.contract import PROBABILITY_MAX, SAMPLE_RATE_HZ
from wakeword.detector import Detection
from wakeword.scoring.det import (
    DetCurve,
    average_viable_recall,
    cutoff_at_no_false_accepts,
    recall_at_no_false_accepts,
)
from wakeword.scoring.rates import Interval, clopper_pearson, garwood
from wakeword.simulation.streams import SimulatedStream

LATENCY_PERCENTILES = (5, 50, 95)


@dataclass(frozen=True)
class Recall:
    """Utterances found."""

    share: float
    """0 to 1."""
    interval: Interval
    found: int
    utterances: int


@dataclass(frozen=True)
class FalseAccept:
    """A detection that finds no utterance."""

    path: Path
    seconds: float
    """Of the recording, when the device decided; beyond its length when that was in the silence behind it."""
    average: float
    """The sliding mean that was above the cutoff, 0 to 1."""


@dataclass(frozen=True)
class Latency:
    """Time from the end of the word to the detection; negative where the device was sure before the end."""

    utterances: int
    percentiles_ms: tuple[float, float, float]
    """5, 50 and 95 %."""
    hidden: int
    """Found utterances that are not among them: noise hides where their words end."""


@dataclass(frozen=True)
class AllCutoffs:
    """What the best of all cutoffs would do, read off these very recordings: it says how well the model tells them
    apart, and promises nothing. The names are microWakeWord's.
    """

    average_viable_recall: float
    """Mean recall over 0 to 2 false accepts an hour, 0 to 1."""
    recall_at_no_faph: float
    """Highest recall of all cutoffs without a false accept, 0 to 1; 0 where there is none."""
    cutoff_for_no_faph: float | None
    """The lowest of those cutoffs, 0 to 1; None where there is none."""


@dataclass(frozen=True)
class DeviceFigures:
    """At one operating point."""

    per_hour: float
    """False accepts."""
    per_hour_interval: Interval
    hours: float
    recall: Recall
    latency: Latency | None
    """None when nothing was found, or noise hides where all the words end."""
    speakers: dict[str, Recall]
    missed: tuple[int, ...]
    """Indices of utterances."""
    after_words: int
    """Those among the false accepts that are in the session of wake words: before a word, later than the tolerance, or
    a second time.
    """
    false_accepts: tuple[FalseAccept, ...]
    """In the order of the recordings, those of the session first."""
    all_cutoffs: AllCutoffs


def device_figures(
    simulated: SimulatedSplit, records: Sequence[SampleRecord], point: EvaluationPoint, word_ends: Sequence[WordEnd]
) -> DeviceFigures:
    """Decide, match and count. `records` are those of the words; `word_ends` are those of `word_ends_of`."""
    decided = simulated.decided(point.cutoff, point.window)
    (detections, spoken), (_, of_negatives) = decided
    delays = [
        detections[number].seconds
        - (simulated.positives.recordings[utterance].start + word_ends[utterance].sample) / SAMPLE_RATE_HZ
        for utterance, number in spoken.matches
        if word_ends[utterance].known
    ]
    by_speaker: dict[str, list[bool]] = defaultdict(list)
    for index, record in enumerate(records):
        by_speaker[record.speaker].append(index not in spoken.missed)
    false = tuple(
        _false_accept(stream, found[number])
        for (stream, _), (found, outcome) in zip(simulated.streams, decided, strict=True)
        for number in outcome.false
    )
    hours = (spoken + of_negatives).scored_seconds / 3600
    return DeviceFigures(
        per_hour=len(false) / hours,
        per_hour_interval=garwood(len(false), hours),
        hours=hours,
        recall=recall_of(spoken.found, spoken.utterances),
        latency=_latency(delays, sum(not word_ends[utterance].known for utterance, _ in spoken.matches)),
        speakers={name: recall_of(sum(found), len(found)) for name, found in sorted(by_speaker.items())},
        missed=spoken.missed,
        after_words=spoken.false_accepts,
        false_accepts=false,
        all_cutoffs=_all_cutoffs(simulated.curve(point.window)),
    )


def _all_cutoffs(curve: DetCurve) -> AllCutoffs:
    cutoff = cutoff_at_no_false_accepts(curve)
    return AllCutoffs(
        average_viable_recall(curve),
        recall_at_no_false_accepts(curve),
        None if cutoff is None else cutoff / PROBABILITY_MAX,
    )


def _false_accept(stream: SimulatedStream, detection: Detection) -> FalseAccept:
    recording = stream.recordings[stream.recording_at(detection.slice_index)]
    return FalseAccept(
        recording.path, round(detection.seconds - recording.span.start, 3), detection.average / PROBABILITY_MAX
    )


def recall_of(found: int, utterances: int) -> Recall:
    """A share of utterances with its interval."""
    return Recall(found / utterances, clopper_pearson(found, utterances), found, utterances)


def _latency(delays: Sequence[float], hidden: int) -> Latency | None:
    import numpy as np

    if not delays:
        return None
    low, middle, high = (float(value) for value in np.percentile(np.array(delays) * 1000, LATENCY_PERCENTILES))
    return Latency(len(delays), (low, middle, high), hidden)
