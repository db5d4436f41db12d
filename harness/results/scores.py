"""From the runs of a result to its scores: counts are added first, rates and intervals are made last.

Conventions
-----------
- What an utterance is, which detections are false accepts and which time counts as hours says `wakeword.presentation`,
  for all commands.
- Void time is in neither part of any rate.
- A simulation beside a device is scored over the device's own time, see `harness.results.runs.with_voids_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.results.runs import RunPart, ScoredRun, score_run
from harness.results.schema import RATE_METHOD, SHARE_METHOD, IntervalRecord, RunRecord, ScoresRecord
from wakeword.scoring.matching import Components
from wakeword.scoring.rates import clopper_pearson, garwood


def score_runs(runs: Iterable[RunRecord]) -> ScoresRecord:
    """Score runs together, see `add_scores`."""
    return add_scores([score_run(run) for run in runs])


def add_scores[P: RunPart](runs: Sequence[ScoredRun[P]]) -> ScoresRecord:
    """The scores of runs together. A figure is None where no run can tell it; its rate is None where there is nothing
    to divide by.
    """
    spoken = [one.counts for one in runs if one.run.protocol.wake]
    rated = [one.counts for one in runs if one.tells_rate]
    clips = [_clip_accepts(one.run) for one in runs if not one.run.protocol.wake and one.run.protocol.mode == "clips"]
    found, rate, everything = (sum(counts, Components()) for counts in (spoken, rated, [one.counts for one in runs]))
    return ScoresRecord(
        false_accepts_per_hour=hourly_record(rate.false_accepts, rate.scored_seconds / 3600) if rated else None,
        recall=share_record(found.found, found.utterances) if spoken else None,
        false_accept_clips=share_record(sum(accepted for accepted, _ in clips), sum(scored for _, scored in clips))
        if clips
        else None,
        extra_detections=everything.false_accepts - rate.false_accepts,
        void_seconds=everything.void_seconds,
        void_utterances=everything.void_utterances,
    )


def _clip_accepts(run: RunRecord) -> tuple[int, int]:
    """Of a run in `clips` mode: clips with a detection, and clips; without those that hold void time."""
    void = {one.file_index for one in run.voids}
    scored = {index for index in range(len(run.files)) if index not in void}
    return len({detection.file_index for detection in run.detections} & scored), len(scored)


def share_record(successes: int, trials: int) -> IntervalRecord:
    """A share with its Clopper-Pearson 95 % interval."""
    if trials == 0:
        return IntervalRecord(count=successes, of=0, rate=None, low=None, high=None, method=SHARE_METHOD)
    interval = clopper_pearson(successes, trials)
    return IntervalRecord(
        count=successes, of=trials, rate=successes / trials, low=interval.low, high=interval.high, method=SHARE_METHOD
    )


def hourly_record(events: int, hours: float) -> IntervalRecord:
    """An hourly rate with its Garwood 95 % interval."""
    if hours <= 0:
        return IntervalRecord(count=events, of=0.0, rate=None, low=None, high=None, method=RATE_METHOD)
    interval = garwood(events, hours)
    return IntervalRecord(
        count=events, of=hours, rate=events / hours, low=interval.low, high=interval.high, method=RATE_METHOD
    )
