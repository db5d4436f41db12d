"""From the runs of a result to its scores: counts are added first, rates and intervals are made last.

Conventions
-----------
- What an utterance is, which detections are false accepts and which time counts as hours says `wakeword.presentation`, for all commands.
- Void time is in neither part of any rate.
- A simulation beside a device is scored over the device's own time: the device's voids are the simulation's, see `with_voids_of`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.results.schema import IntervalRecord, Result, RunRecord, ScoresRecord
from harness.results.wording import to_hours
from wakeword.scoring.matching import Components, Span, Truth, overlap_seconds
from wakeword.scoring.rates import clopper_pearson, garwood

SHARE_METHOD = "Clopper-Pearson, 95 %"
RATE_METHOD = "Garwood, 95 %"


@dataclass(frozen=True)
class Outcome:
    """What came of each utterance and each detection of a run. Indices are the run's own; void ones are in none of the three."""

    found: dict[int, int]
    """Index of the detection that found it, by the file index of the utterance. Ascending."""
    missed: tuple[int, ...]
    """File indices of utterances."""
    false: tuple[int, ...]
    """Indices of detections that find no utterance."""


@dataclass(frozen=True)
class _Part:
    """One stream since boot; `detections` are indices into the run's."""

    first_file: int
    truth: Truth
    detections: tuple[int, ...]


def score_runs(runs: Sequence[RunRecord]) -> ScoresRecord:
    """Score runs together. A figure is None where no run can tell it; its rate is None where there is nothing to divide by."""
    counted = [(run, count_run(run)) for run in runs]
    spoken = [count for run, count in counted if run.protocol.wake]
    rated = [count for run, count in counted if tells_rate(run)]
    clips = [clip_accepts(run) for run in runs if not run.protocol.wake and run.protocol.mode == "clips"]
    found, rate, everything = (sum(counts, Components()) for counts in (spoken, rated, [count for _, count in counted]))
    return ScoresRecord(
        recall=share_record(found.found, found.utterances) if spoken else None,
        false_accepts_per_hour=hourly_record(rate.false_accepts, to_hours(rate.scored_seconds)) if rated else None,
        false_accept_clips=share_record(sum(accepted for accepted, _ in clips), sum(scored for _, scored in clips)) if clips else None,
        extra_detections=everything.false_accepts - rate.false_accepts,
        void_seconds=everything.void_seconds,
        void_utterances=everything.void_utterances,
    )


def tells_rate(run: RunRecord) -> bool:
    """Whether the false accepts and hours of a run are part of the rate."""
    return run.protocol.truth_of((), ()).rated


def count_run(run: RunRecord) -> Components:
    """Components of one run."""
    return sum((_match(run, part) for part in _parts(run)), Components())


@dataclass(frozen=True)
class VoidStretch:
    """A stretch of one stream that is in no figure. Seconds of the stream."""

    file_index: int | None
    """The clip in whose stream it lies; None in `stream` mode."""
    span: Span
    recorded_seconds: float
    """Of it that lie in recordings. The rest is silence around them, which counts for nothing anyway."""
    reasons: tuple[str, ...]


def void_stretches(run: RunRecord) -> list[VoidStretch]:
    """The void time of a run, overlapping records joined: the recorded seconds add up to the score's `void_seconds`."""
    stretches: list[VoidStretch] = []
    for part in _parts(run):
        file_index = part.first_file if run.protocol.mode == "clips" else None
        records = [one for one in run.voids if one.file_index == file_index or file_index is None]
        for span in part.truth.void:
            reasons = dict.fromkeys(one.reason for one in records if one.start <= span.end and span.start <= one.end)
            stretches.append(VoidStretch(file_index, span, overlap_seconds(part.truth.counted, [span]), tuple(reasons)))
    return stretches


def clip_accepts(run: RunRecord) -> tuple[int, int]:
    """Of a run in `clips` mode: clips with a detection, and clips; without those that hold void time."""
    void = {one.file_index for one in run.voids}
    scored = {index for index in range(len(run.files)) if index not in void}
    return len({detection.file_index for detection in run.detections} & scored), len(scored)


def outcome(run: RunRecord) -> Outcome:
    """Match each stream of a run and say what came of its utterances and detections."""
    found: dict[int, int] = {}
    missed: list[int] = []
    false: list[int] = []
    for part in _parts(run):
        counted = _match(run, part)
        found |= {part.first_file + utterance: part.detections[number] for utterance, number in sorted(counted.matches)}
        missed += [part.first_file + utterance for utterance in counted.missed]
        false += [part.detections[number] for number in counted.false]
    return Outcome(found, tuple(missed), tuple(sorted(false)))


def with_voids_of(simulated: RunRecord, device: RunRecord) -> RunRecord:
    """The simulated run over the time that the device was measured in: with the device's voids for its own."""
    return simulated.model_copy(update={"voids": device.voids})


def score_simulation(result: Result) -> ScoresRecord | None:
    """Scores of the simulation over the same time as the result's own; None where the result has none."""
    if not result.simulation:
        return None
    return score_runs([with_voids_of(simulated, device) for simulated, device in zip(result.simulation, result.runs, strict=True)])


def _match(run: RunRecord, part: _Part) -> Components:
    return part.truth.outcome([run.detections[index].seconds for index in part.detections])


def _parts(run: RunRecord) -> Iterator[_Part]:
    """The streams of a run."""
    if run.protocol.mode != "clips":
        yield _Part(0, run.protocol.truth_of(run.files, run.voids), tuple(range(len(run.detections))))
        return
    detections: dict[int, list[int]] = {}
    for number, detection in enumerate(run.detections):
        detections.setdefault(detection.file_index, []).append(number)
    for index, file in enumerate(run.files):
        truth = run.protocol.truth_of((file,), [void for void in run.voids if void.file_index == index])
        yield _Part(index, truth, tuple(detections.get(index, ())))


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
