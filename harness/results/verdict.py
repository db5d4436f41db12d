"""The verdict: one sentence in plain words with figures and intervals, and what it cannot claim; grades are
`wakeword.scoring.grades`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.results import wording
from harness.results.schema import IntervalRecord, Result, RunRecord, ScoresRecord
from wakeword.corpus.provenance import together
from wakeword.scoring.grades import NOT_MEASURED, Grade, grade_false_accepts, grade_recall


@dataclass(frozen=True)
class Verdict:
    """What the measurement says."""

    false_accepts: Grade
    recall: Grade
    sentence: str
    remarks: tuple[str, ...]
    """What a reader must know beside the sentence, e.g. that the hours are too few."""
    with_judge: str = ""
    """The figures with a judge, in one sentence; empty without one."""
    withheld: bool = False
    """True when the figures are not about the model: the board ran another one. There is no verdict then, only the
    reason."""


def judge(result: Result) -> Verdict:
    """The verdict on a result with runs of one source; none when the board ran another model than the one in the
    result.
    """
    if result.runs_another_model:
        return Verdict(NOT_MEASURED, NOT_MEASURED, sentence=_another_model(result), remarks=(), withheld=True)
    false_accepts, recall = result.scores.false_accepts_per_hour, result.scores.recall
    rated = together(run.provenance for run in result.runs if run.protocol.tells_rate)
    spoken = together(run.provenance for run in result.runs if run.protocol.wake)
    accepts_grade = grade_false_accepts(false_accepts.count, false_accepts.of, rated) if false_accepts else NOT_MEASURED
    recall_grade = grade_recall(recall.count, int(recall.of), spoken) if recall else NOT_MEASURED
    remarks = list(dict.fromkeys(remark for remark in (accepts_grade.remark, recall_grade.remark) if remark))
    if accepts_grade is NOT_MEASURED:
        remarks.append("Nothing without the wake word was measured: how often it wakes by mistake is not known.")
    if recall_grade is NOT_MEASURED:
        remarks.append("No utterance of the wake word was measured: how often it is recognised is not known.")
    remarks += dict.fromkeys(f"{note[0].upper()}{note[1:]}." for run in result.runs for note in run.notes if note)
    remarks += _unknown_origin(result.runs)
    remarks += _left_out(result.scores)
    sentence = (
        f"{result.model.wake_word}, {result.way}: {_false_accepts_clause(false_accepts, accepts_grade)};"
        f" {_recall_clause(recall, recall_grade)}."
    )
    return Verdict(accepts_grade, recall_grade, sentence=sentence, remarks=tuple(remarks))


def _another_model(result: Result) -> str:
    ran = result.session.model_sha256_on_board[:12] if result.session is not None else ""
    what = (
        f"the board ran the model {ran}, the model file is {result.model.tflite_sha256[:12]}"
        if ran
        else "the board did not tell which model it ran"
    )
    return f"No verdict: {what}. No figure here is about this model file; flash it and measure again."


def _unknown_origin(runs: Sequence[RunRecord]) -> list[str]:
    """The grades take recordings of unknown origin for people's, and say so."""
    labels = [run.label for run in runs if run.provenance == "unknown"]
    if not labels:
        return []
    named = ", ".join(dict.fromkeys(labels))
    remark = f"No record says who spoke in {named}: people or a synthesiser. The grades hold for people;"
    return [f"{remark} --provenance states it when you measure."]


def _left_out(scores: ScoresRecord) -> list[str]:
    """What is in no rate: void time, and detections in wake-word runs that find no utterance."""
    remarks = []
    if scores.void_seconds or scores.void_utterances:
        spoken = wording.number(scores.void_utterances, "utterance")
        remarks.append(
            f"{scores.void_seconds:.1f}\N{NO-BREAK SPACE}s of the recordings and {spoken} are void: something other"
            " than the model failed there, and they are in no figure."
        )
    if scores.extra_detections:
        count = wording.number(scores.extra_detections, "further detection")
        remarks.append(
            f"{count} fell into the recordings of the wake word without finding an utterance; the hourly rate does not"
            " hold them."
        )
    return remarks


def _false_accepts_clause(record: IntervalRecord | None, grade: Grade) -> str:
    if record is None or record.rate is None:
        return "false accepts not measured"
    counted, words = (
        f"{wording.number(record.count, 'false accept')} in {wording.hours(record.of)}",
        wording.cell(record),
    )
    return (
        f"{counted}, that is {words.rate} per hour (95\N{NO-BREAK SPACE}% interval {words.interval}): {grade.headline}"
    )


def _recall_clause(record: IntervalRecord | None, grade: Grade) -> str:
    if record is None or record.rate is None:
        return "recall not measured"
    counted, words = f"{record.count} of {wording.number(int(record.of), 'utterance')} recognised", wording.cell(record)
    return f"{counted}, a recall of {words.rate} (95\N{NO-BREAK SPACE}% interval {words.interval}): {grade.headline}"
