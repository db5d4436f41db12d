"""What a result would be at each of the device's cutoffs, and what would be missed and accepted falsely there."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from harness.results.clips import ClipReader
from harness.results.evidence import Evidence, false_accepts, misses, pair_streams
from harness.results.other_cutoff import result_at, result_curve
from harness.results.runs import scored_runs
from harness.results.schema import IntervalRecord, Result
from harness.results.scores import hourly_record, share_record
from harness.results.verdict import Verdict, judge
from studio.measured.found import MeasuredModel
from wakeword.contract import PROBABILITY_MAX
from wakeword.scoring.operating_point import HIGHEST_CUTOFF, cutoff_as_probability

MOST_SHOWN = 8
"""Misses and false accepts shown of each at most."""
_READER = ClipReader()
"""Remembers which recordings it has compared with their hash."""


@dataclass(frozen=True)
class AtCutoff:
    """A result at a cutoff, with what it missed and accepted falsely."""

    result: Result
    verdict: Verdict
    misses: Evidence | None
    false_accepts: Evidence | None


@functools.lru_cache(maxsize=16)
def sweep(measured: MeasuredModel) -> dict[str, Any]:
    """The curve of a result as a page draws it: for cutoffs 1 to 254 recall and false accepts an hour with their 95 %
    intervals, `[rate, low, high, count]` each; null where nothing tells them.
    """
    result = measured.result
    curve = result_curve(result)
    told: dict[str, Any] = {
        "cutoff": result.model.cutoff_uint8,
        "simulated": all(run.source == "simulated" for run in result.runs),
        "probabilities": [cutoff_as_probability(cutoff) for cutoff in range(1, HIGHEST_CUTOFF + 1)],
        "recall": None,
        "rate": None,
    }
    if curve is None:
        return told
    cutoffs = range(1, HIGHEST_CUTOFF + 1)
    if curve.utterances:
        shares = {int(count): share_record(int(count), curve.utterances) for count in set(curve.detected.tolist())}
        told["recall"] = [_interval(shares[int(curve.detected[cutoff])]) for cutoff in cutoffs]
        told["utterances"] = curve.utterances
    if curve.hours:
        rates = {int(count): hourly_record(int(count), curve.hours) for count in set(curve.false_accepts.tolist())}
        told["rate"] = [_interval(rates[int(curve.false_accepts[cutoff])]) for cutoff in cutoffs]
        told["hours"] = curve.hours
    return told


def at_cutoff(measured: MeasuredModel, cutoff: int) -> AtCutoff:
    """A result at a uint8 cutoff, with the nearest misses and the most confident false accepts. Raises `ConfigError`
    for another cutoff than its own where it is no simulation.
    """
    own = measured.result
    result = own if cutoff == own.model.cutoff_uint8 else result_at(own, cutoff)
    paired = [one for streams in pair_streams(*scored_runs(result)) for one in streams]
    scores, model = result.scores, result.model
    return AtCutoff(
        result,
        measured.verdict if result is own else judge(result),
        misses(paired, model, MOST_SHOWN, _READER) if scores.recall is not None else None,
        false_accepts(paired, model, MOST_SHOWN, _READER) if scores.false_accepts_per_hour is not None else None,
    )


def _interval(record: IntervalRecord) -> list[float | int | None]:
    return [record.rate, record.low, record.high, record.count]


def checked_cutoff(text: str, own: int) -> int:
    """A uint8 cutoff as an address has it; the result's own where it is empty or none."""
    return int(text) if text.isdecimal() and len(text) < 4 and 0 < int(text) < PROBABILITY_MAX else own
