"""The verdict: one sentence in plain words with figures and intervals, and what it cannot claim; grades are `wakeword.scoring.grades`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.results import wording
from harness.results.schema import IntervalRecord, Result, ScoresRecord
from wakeword.scoring.grades import ACCEPTABLE_TO, EXCELLENT_BELOW, NOT_CERTAIN, ONE_SIDED_95, RateGrade, grade_rate, hours_suffice
from wakeword.scoring.rates import garwood

Grade = RateGrade | Literal["unknown"]


@dataclass(frozen=True)
class Verdict:
    """What the measurement says."""

    grade: Grade
    """Grade of the false accepts per hour, by the rate itself."""
    shown: bool
    """True when the one-sided 95 % bound lies in the grade too: the hours suffice."""
    sentence: str
    remarks: tuple[str, ...]
    """What a reader must know beside the sentence, e.g. that the hours are too few."""
    withheld: bool = False
    """True when the figures are not about the model: the board ran another one. There is no verdict then, only the reason."""


def judge(result: Result) -> Verdict:
    """The verdict on a result with runs of one source; none when the board ran another model than the one in the result."""
    if result.runs_another_model:
        return Verdict(grade="unknown", shown=False, sentence=_another_model(result), remarks=(), withheld=True)
    false_accepts, recall = result.scores.false_accepts_per_hour, result.scores.recall
    grade: Grade = "unknown" if false_accepts is None or false_accepts.rate is None else grade_rate(false_accepts.rate)
    doubt = None if false_accepts is None else _doubt(false_accepts, grade)
    remarks = [doubt] if doubt else []
    if grade == "unknown":
        remarks.append("Nothing without the wake word was measured: how often it wakes by mistake is not known.")
    if recall is None or recall.rate is None:
        remarks.append("No utterance of the wake word was measured: how often it is recognised is not known.")
    remarks += _left_out(result.scores)
    sentence = (
        f"{result.model.wake_word}, {result.runs[0].source}: {_false_accepts_clause(false_accepts, grade, certain=doubt is None)}; {_recall_clause(recall)}."
    )
    return Verdict(grade=grade, shown=grade != "unknown" and doubt is None, sentence=sentence, remarks=tuple(remarks))


def _another_model(result: Result) -> str:
    ran = result.session.model_sha256_on_board[:12] if result.session is not None else ""
    what = f"the board ran the model {ran}, the model file is {result.model.tflite_sha256[:12]}" if ran else "the board did not tell which model it ran"
    return f"No verdict: {what}. No figure here is about this model file; flash it and measure again."


def _left_out(scores: ScoresRecord) -> list[str]:
    """What is in no rate: void time, and detections in wake-word runs that find no utterance."""
    remarks = []
    if scores.void_seconds or scores.void_utterances:
        spoken = wording.number(scores.void_utterances, "utterance")
        remarks.append(
            f"{scores.void_seconds:.1f}\N{NO-BREAK SPACE}s and {spoken} are void: something other than the model failed there, and they are in no figure."
        )
    if scores.extra_detections:
        count = wording.number(scores.extra_detections, "further detection")
        remarks.append(f"{count} fell into the recordings of the wake word without finding an utterance; the hourly rate does not hold them.")
    return remarks


def _false_accepts_clause(record: IntervalRecord | None, grade: Grade, *, certain: bool) -> str:
    if record is None or record.rate is None:
        return "false accepts not measured"
    opinion = f"which is {grade}" if certain else f"{grade} {NOT_CERTAIN}"
    counted = f"{wording.number(record.count, 'false accept')} in {wording.hours(record.of)}"
    return f"{counted}, that is {wording.rate_of(record)} per hour (95\N{NO-BREAK SPACE}% interval {wording.rate_interval(record)}), {opinion}"


def _recall_clause(record: IntervalRecord | None) -> str:
    if record is None or record.rate is None:
        return "recall not measured"
    counted = f"{record.count} of {wording.number(int(record.of), 'utterance')} recognised"
    return f"{counted}, a recall of {wording.share_of(record)} (95\N{NO-BREAK SPACE}% interval {wording.share_interval(record)})"


def _doubt(record: IntervalRecord, grade: Grade) -> str | None:
    """Why the grade is not certain, or None when it is."""
    if record.rate is None or grade == "unknown" or hours_suffice(grade, record.count, record.of):
        return None
    bounds = garwood(record.count, record.of, ONE_SIDED_95)
    found = f"{wording.number(record.count, 'false accept')} in {wording.hours(record.of)}"
    if grade == "too many":
        return f"After {found} the true rate may be as low as {wording.rate(bounds.low)} per hour (one-sided 95\N{NO-BREAK SPACE}%)."
    limit = EXCELLENT_BELOW if grade == "excellent" else ACCEPTABLE_TO
    return (
        f"After {found} the true rate may be as high as {wording.rate(bounds.high)} per hour "
        f"(one-sided 95\N{NO-BREAK SPACE}%). {_hours_needed(record.count, limit)}"
    )


def _hours_needed(events: int, limit: float) -> str:
    needed = wording.hours_rounded_up(garwood(events, 1.0, ONE_SIDED_95).high / limit)
    claim = f"to claim {limit:g} per hour or less"
    if events == 0:
        return f"Zero events need {needed} {claim}."
    return f"With no further one, {needed} in all are needed {claim}."
