"""From the runs of a result to its scores: counts are added first, rates and intervals are made last.

Conventions
-----------
- A run with truth `wake`: every file is one utterance; it counts once, however often it was detected.
- A run with truth `none`: every detection is a false accept. The hours are those of the recordings themselves; lead-in, tail and
  gaps are left out, so that padding cannot buy a lower rate.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.results.schema import IntervalRecord, RunRecord, ScoresRecord
from harness.results.wording import to_hours
from wakeword.scoring.rates import clopper_pearson, garwood

SHARE_METHOD = "Clopper-Pearson, 95 %"
RATE_METHOD = "Garwood, 95 %"


def score_runs(runs: Sequence[RunRecord]) -> ScoresRecord:
    """Score runs together. A figure is None where no run can tell it; its rate is None where there is nothing to divide by."""
    wake = [run for run in runs if run.protocol.truth == "wake"]
    none = [run for run in runs if run.protocol.truth == "none"]
    none_clips = [run for run in none if run.protocol.mode == "clips"]
    return ScoresRecord(
        recall=_share(wake) if wake else None,
        false_accepts_per_hour=_hourly(none) if none else None,
        false_accept_clips=_share(none_clips) if none_clips else None,
    )


def detected_files(run: RunRecord) -> frozenset[int]:
    """Indices of the files in which at least one detection fell."""
    return frozenset(detection.file_index for detection in run.detections)


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


def _share(runs: Sequence[RunRecord]) -> IntervalRecord:
    return share_record(sum(len(detected_files(run)) for run in runs), sum(len(run.files) for run in runs))


def _hourly(runs: Sequence[RunRecord]) -> IntervalRecord:
    return hourly_record(sum(len(run.detections) for run in runs), to_hours(sum(run.seconds for run in runs)))
