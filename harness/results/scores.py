"""From the runs of a result to its scores: counts are added first, rates and intervals are made last.

Conventions
-----------
- A run with truth `wake`: every file is one utterance, found by a detection from its first sample to the matcher's tolerance
  after its last.
- A run with truth `none`: every detection is a false accept. The hours are those of the recordings themselves; lead-in, tail and
  gaps are left out, so that padding cannot buy a lower rate.
- Void time is in neither part of any rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.results.schema import DetectionRecord, FileRecord, IntervalRecord, RunRecord, ScoresRecord
from harness.results.wording import to_hours
from wakeword.scoring.matching import TOLERANCE_SECONDS, Components, Span, match, merge_spans, overlap_seconds
from wakeword.scoring.rates import clopper_pearson, garwood

SHARE_METHOD = "Clopper-Pearson, 95 %"
RATE_METHOD = "Garwood, 95 %"


def score_runs(runs: Sequence[RunRecord]) -> ScoresRecord:
    """Score runs together. A figure is None where no run can tell it; its rate is None where there is nothing to divide by."""
    wake = [run for run in runs if run.protocol.truth == "wake"]
    none = [run for run in runs if run.protocol.truth == "none"]
    none_clips = [run for run in none if run.protocol.mode == "clips"]
    spoken, other = sum(map(count_run, wake), Components()), sum(map(count_run, none), Components())
    both = spoken + other
    return ScoresRecord(
        recall=share_record(spoken.found, spoken.utterances) if wake else None,
        false_accepts_per_hour=hourly_record(other.false_accepts, to_hours(other.scored_seconds)) if none else None,
        false_accept_clips=share_record(sum(len(detected_files(run)) for run in none_clips), sum(len(run.files) for run in none_clips)) if none_clips else None,
        extra_detections=spoken.false_accepts,
        void_seconds=both.void_seconds,
        void_utterances=both.void_utterances,
    )


def count_run(run: RunRecord) -> Components:
    """Components of one run; seconds are those of its recordings."""
    return sum((_count_stream(run, *stream) for stream in _streams(run)), Components())


def detected_files(run: RunRecord) -> frozenset[int]:
    """Indices of the files in which at least one detection fell."""
    return frozenset(detection.file_index for detection in run.detections)


def found_utterances(files: Sequence[FileRecord], detections: Sequence[DetectionRecord]) -> frozenset[int]:
    """Indices of the files of one stream, each an utterance, that its detections find."""
    return frozenset(utterance for utterance, _ in match(_utterances(files), [one.seconds for one in detections], _end(files), TOLERANCE_SECONDS).matches)


def _count_stream(run: RunRecord, files: Sequence[FileRecord], detections: Sequence[DetectionRecord], voids: Sequence[Span]) -> Components:
    recorded = _utterances(files)
    utterances = recorded if run.protocol.truth == "wake" else []
    counted = match(utterances, [detection.seconds for detection in detections], _end(files), TOLERANCE_SECONDS, voids)
    void_seconds = overlap_seconds(recorded, merge_spans(voids, _end(files)))
    return replace(counted, scored_seconds=sum(file.seconds for file in files) - void_seconds, void_seconds=void_seconds)


def _streams(run: RunRecord) -> Iterator[tuple[Sequence[FileRecord], list[DetectionRecord], list[Span]]]:
    """Files, detections and voids of each stream since boot."""
    if run.protocol.mode == "stream":
        yield run.files, list(run.detections), [Span(void.start, void.end) for void in run.voids]
        return
    detections: dict[int, list[DetectionRecord]] = {}
    for detection in run.detections:
        detections.setdefault(detection.file_index, []).append(detection)
    for index, file in enumerate(run.files):
        yield [file], detections.get(index, []), [Span(void.start, void.end) for void in run.voids if void.file_index == index]


def _utterances(files: Sequence[FileRecord]) -> list[Span]:
    return [Span(file.stream_start, file.stream_start + file.seconds) for file in files]


def _end(files: Sequence[FileRecord]) -> float:
    return files[-1].stream_start + files[-1].seconds + TOLERANCE_SECONDS if files else 0.0


def share_record(successes: int, trials: int) -> IntervalRecord:
    """A share with its Clopper-Pearson 95 % interval."""
    if trials == 0:
        return IntervalRecord(count=successes, of=0, rate=None, low=None, high=None, method=SHARE_METHOD)
    interval = clopper_pearson(successes, trials)
    return IntervalRecord(count=successes, of=trials, rate=successes / trials, low=interval.low, high=interval.high, method=SHARE_METHOD)


def hourly_record(events: int, hours: float) -> IntervalRecord:
    """An hourly rate with its Garwood 95 % interval."""
    if hours <= 0:
        return IntervalRecord(count=events, of=0.0, rate=None, low=None, high=None, method=RATE_METHOD)
    interval = garwood(events, hours)
    return IntervalRecord(count=events, of=hours, rate=events / hours, low=interval.low, high=interval.high, method=RATE_METHOD)
