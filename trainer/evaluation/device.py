"""The device protocol's figures: what a board with this model would have done with these recordings.

Recall is over utterances, each presented alone; false accepts are over the negatives joined into one stream. Both are decided by ESPHome's
logic and matched as everywhere in this project (`wakeword.scoring.matching`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.evaluation.hearing import HeardSplit, OperatingPoint
from wakeword.contract import PROBABILITY_MAX, SAMPLE_RATE_HZ, slice_end_seconds
from wakeword.detector import Detection
from wakeword.scoring.matching import TOLERANCE_SECONDS, Components, Span, match
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
    """A detection in a recording without the wake word."""

    path: Path
    seconds: float
    """Of the recording, when the device decided; beyond its length when that was in the gap behind it."""
    average: float
    """The sliding mean that was above the cutoff, 0 to 1."""


@dataclass(frozen=True)
class Latency:
    """Time from the end of the word to the detection; negative where the device was sure before the end."""

    utterances: int
    percentiles_ms: tuple[float, float, float]
    """5, 50 and 95 %."""


@dataclass(frozen=True)
class DeviceFigures:
    """At one operating point."""

    per_hour: float
    """False accepts."""
    per_hour_interval: Interval
    hours: float
    recall: Recall
    latency: Latency | None
    """None when nothing was found."""
    speakers: dict[str, Recall]
    detections_besides: int
    """In clips of the wake word: before it, later than the tolerance, or a second time."""
    missed: tuple[int, ...]
    """Indices of utterances."""
    false_accepts: tuple[FalseAccept, ...]


def device_figures(heard: HeardSplit, point: OperatingPoint, word_ends: Sequence[int]) -> DeviceFigures:
    """Decide, match and count. `word_ends` has the sample after the word of each utterance, as `word_ends_of` finds it."""
    delays: list[float] = []
    missed: list[int] = []
    besides = 0
    by_speaker: dict[str, list[bool]] = defaultdict(list)
    for index, (clip, record, word_end) in enumerate(zip(heard.clips, heard.records.positives, word_ends, strict=True)):
        outcome = _match_clip(clip, moments := [slice_end_seconds(one.slice_index) for one in _detections(clip, point)])
        besides += outcome.false_accepts
        by_speaker[record.speaker].append(bool(outcome.found))
        if outcome.found:
            delays.append(moments[outcome.matches[0][1]] - (clip.recordings[0].start + word_end) / SAMPLE_RATE_HZ)
        else:
            missed.append(index)
    false = tuple(_false_accept(heard.joined, one) for one in _detections(heard.joined, point))
    return DeviceFigures(
        per_hour=len(false) / heard.hours,
        per_hour_interval=garwood(len(false), heard.hours),
        hours=heard.hours,
        recall=_recall(len(delays), len(heard.clips)),
        latency=_latency(delays),
        speakers={name: _recall(sum(found), len(found)) for name, found in sorted(by_speaker.items())},
        detections_besides=besides,
        missed=tuple(missed),
        false_accepts=false,
    )


def _detections(stream: SimulatedStream, point: OperatingPoint) -> list[Detection]:
    return stream.detections(point.cutoff, point.window)


def _match_clip(clip: SimulatedStream, moments: Sequence[float]) -> Components:
    recording = clip.recordings[0]
    utterance = Span(recording.start / SAMPLE_RATE_HZ, (recording.start + recording.samples) / SAMPLE_RATE_HZ)
    return match([utterance], moments, slice_end_seconds(clip.slices), TOLERANCE_SECONDS)


def _false_accept(stream: SimulatedStream, detection: Detection) -> FalseAccept:
    recording = stream.recordings[stream.recording_at(detection.slice_index)]
    seconds = slice_end_seconds(detection.slice_index) - recording.start / SAMPLE_RATE_HZ
    return FalseAccept(recording.path, round(seconds, 3), detection.average / PROBABILITY_MAX)


def _recall(found: int, utterances: int) -> Recall:
    return Recall(found / utterances, clopper_pearson(found, utterances), found, utterances)


def _latency(delays: Sequence[float]) -> Latency | None:
    import numpy as np

    if not delays:
        return None
    low, middle, high = (float(value) for value in np.percentile(np.array(delays) * 1000, LATENCY_PERCENTILES))
    return Latency(len(delays), (low, middle, high))
