"""What a judge does to the figures of a result: before it and with it, other cutoffs of it, and the words that it
costs.

Conventions: a judge says yes or no to each detection of a run; what is left is matched with the truth anew, by the same
matcher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from harness.results import wording
from harness.results.runs import score_run
from harness.results.schema import IntervalRecord, JudgedRecord, Result, RunRecord, ScoresRecord
from harness.results.scores import score_runs
from harness.results.wording import Cell, cell

_TABLE_CUTOFFS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class JudgedRow:
    """One figure of one run, or of all: of the device alone, and with the judge."""

    name: str
    device: Cell
    judged: Cell
    total: bool


@dataclass(frozen=True)
class JudgedFigure:
    """One kind of figure: its lines by run, then its total."""

    title: str
    counted: str
    method: str
    rows: tuple[JudgedRow, ...]


@dataclass(frozen=True)
class JudgeCutoffRow:
    """Figures with the judge at one cutoff; None where nothing tells a figure."""

    cutoff: str
    recall: IntervalRecord | None
    rate: IntervalRecord | None
    in_use: bool


@dataclass(frozen=True)
class LostWord:
    """An utterance that the device found and the judge gave up."""

    path: str
    speaker: str | None
    score: str


@dataclass(frozen=True)
class JudgedView:
    """All that the page shows of a judge."""

    sentence: str
    figures: tuple[JudgedFigure, ...]
    cutoffs: tuple[JudgeCutoffRow, ...]
    lost: tuple[LostWord, ...]
    asked: int
    """Detections."""
    refused: int


def judged_view(result: Result) -> JudgedView | None:
    """What a result's judge does; None where it has none."""
    if result.judge is None or result.judged_scores is None:
        return None
    answers = list(chain.from_iterable(run.judged for run in result.runs))
    return JudgedView(
        sentence=judged_sentence(result.judged_scores),
        figures=_figures(result.runs, result.scores, result.judged_scores),
        cutoffs=_cutoffs(result.runs, result.judge.cutoff),
        lost=lost_words(result.runs),
        asked=len(answers),
        refused=sum(not one.yes for one in answers),
    )


def judged_sentence(scores: ScoresRecord) -> str:
    """The figures with the judge in one sentence."""
    clauses = []
    if (rate := scores.false_accepts_per_hour) is not None and rate.rate is not None:
        words = cell(rate)
        clauses.append(
            f"{wording.number(rate.count, 'false accept')} in {wording.hours(rate.of)}, {words.rate} per hour"
            f" ({words.interval})"
        )
    if (recall := scores.recall) is not None and recall.rate is not None:
        words = cell(recall)
        clauses.append(f"{words.counted} recognised, {words.rate} ({words.interval})")
    return f"With the judge: {'; '.join(clauses) or 'nothing measured'}."


def lost_words(runs: Sequence[RunRecord]) -> tuple[LostWord, ...]:
    """Utterances that the device found and that are missed with the judge, the highest score first."""
    lost: list[tuple[float, LostWord]] = []
    for run in runs:
        missed = set(score_run(run.with_judge).missed)
        for file, number in score_run(run).found.items():
            if file in missed:
                score, record = run.judged[number].score, run.files[file]
                lost.append((score, LostWord(record.path, record.speaker, wording.probability(score))))
    return tuple(word for _, word in sorted(lost, key=lambda one: (-one[0], one[1].path)))


def _figures(runs: Sequence[RunRecord], device: ScoresRecord, judged: ScoresRecord) -> tuple[JudgedFigure, ...]:
    by_run = [(run.label, score_runs([run]), score_runs([run.with_judge])) for run in runs]
    figures = []
    for field, name in ScoresRecord.figures().items():
        if (method := device.figure(field)) is None:
            continue
        rows = []
        for label, alone, with_judge in (*by_run, ("Total", device, judged)):
            before, after = alone.figure(field), with_judge.figure(field)
            if before is not None and after is not None:
                rows.append(JudgedRow(label, cell(before), cell(after), total=alone is device))
        figures.append(JudgedFigure(name.title, name.counted, method.method, tuple(rows)))
    return tuple(figures)


def _cutoffs(runs: Sequence[RunRecord], in_use: float) -> tuple[JudgeCutoffRow, ...]:
    rows = []
    for cutoff in sorted({*_TABLE_CUTOFFS, in_use}):
        scores = score_runs([_at(run, cutoff).with_judge for run in runs])
        rows.append(
            JudgeCutoffRow(
                wording.cutoff(round(cutoff, 4)), scores.recall, scores.false_accepts_per_hour, cutoff == in_use
            )
        )
    return tuple(rows)


def _at(run: RunRecord, cutoff: float) -> RunRecord:
    """The run as a judge of another cutoff would have it."""
    judged = tuple(JudgedRecord(score=one.score, yes=one.score >= cutoff) for one in run.judged)
    return run.model_copy(update={"judged": judged})
