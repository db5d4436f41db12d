"""The figures of the page: interval rulers, the table by run, recall by speaker, the table over cutoffs, void time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.results import wording
from harness.results.runs import RunStream, ScoredRun
from harness.results.schema import IntervalRecord, ModelRecord, ScoresRecord
from harness.results.scores import add_scores, hourly_record, share_record
from harness.results.wording import Cell, cell
from wakeword.contract import cutoff_to_uint8
from wakeword.corpus.provenance import Provenance, together
from wakeword.scoring.det import DetCurve
from wakeword.scoring.grades import ACCEPTABLE_TO, EXCELLENT_BELOW
from wakeword.scoring.matching import overlap_seconds

_TABLE_CUTOFFS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)


@dataclass(frozen=True)
class Ruler:
    """An interval on a scale, in per cent of its length."""

    low: float
    value: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    simulated: float | None = None
    """Where the simulation's value lies, for a second mark."""


@dataclass(frozen=True)
class FigureRow:
    """One line of the figures table."""

    name: str
    tag: str | None
    """Who spoke, unless people did."""
    measured: Cell
    simulated: Cell | None
    """The simulation of the same audio over the same time; None where there is none."""
    total: bool


@dataclass(frozen=True)
class Figure:
    """One kind of figure: its lines by run, then its total."""

    title: str
    counted: str
    """Heading of the counts."""
    method: str
    rows: tuple[FigureRow, ...]


@dataclass(frozen=True)
class CutoffRow:
    """One line of the table over cutoffs; None where nothing tells a figure."""

    cutoff: str
    recall: IntervalRecord | None
    rate: IntervalRecord | None
    in_use: bool


@dataclass(frozen=True)
class VoidRow:
    """One stretch of a stream that is in no figure; seconds of the stream."""

    where: str
    begin: float
    end: float
    recorded: float
    """Seconds of it that lie in recordings. The rest is silence around them, which counts for nothing anyway."""
    reasons: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.begin


def ruler(record: IntervalRecord | None, simulated: IntervalRecord | None = None) -> Ruler | None:
    """The interval of a figure on a scale: of per cents, or one that has room for any rate: r/(r+1), so 0.5 and 2 cut
    it in thirds.
    """
    if record is None or record.low is None or record.high is None or record.rate is None:
        return None
    place = _squeeze if record.hourly else _per_cent
    marks = (0.0, EXCELLENT_BELOW, ACCEPTABLE_TO, 10.0) if record.hourly else (0.0, 0.25, 0.5, 0.75, 1.0)
    ticks = tuple((place(mark), f"{mark if record.hourly else 100 * mark:g}") for mark in marks)
    beside = None if simulated is None or simulated.rate is None else place(simulated.rate)
    return Ruler(place(record.low), place(record.rate), place(record.high), ticks, beside)


def figure_tables(
    measured: Sequence[ScoredRun[RunStream]], total: ScoresRecord, simulated: Sequence[ScoredRun[RunStream]]
) -> tuple[Figure, ...]:
    """Each figure by run and in total, and beside it the simulation's where there is one (`simulated[i]` of
    `measured[i]`).
    """
    scores = [add_scores([one]) for one in measured]
    beside = [add_scores([one]) for one in simulated]
    beside_total = add_scores(simulated) if simulated else None
    tables: list[Figure] = []
    for field, name in ScoresRecord.figures().items():
        summed = total.figure(field)
        if summed is None:
            continue
        told = [index for index, one in enumerate(scores) if one.figure(field) is not None]
        kinds = [measured[index].run.provenance for index in told]
        rows = [
            _row(
                measured[index].run.label,
                kind,
                scores[index].figure(field),
                beside[index].figure(field) if beside else None,
            )
            for index, kind in zip(told, kinds, strict=True)
        ]
        rows.append(
            _row("Total", together(kinds), summed, beside_total.figure(field) if beside_total else None, total=True)
        )
        tables.append(Figure(name.title, name.counted, summed.method, tuple(rows)))
    return tuple(tables)


def _row(
    name: str,
    kind: Provenance,
    measured: IntervalRecord | None,
    simulated: IntervalRecord | None,
    *,
    total: bool = False,
) -> FigureRow:
    assert measured is not None
    tag = None if kind == "recorded" else "origin unknown" if kind == "unknown" else kind
    return FigureRow(name, tag, cell(measured), None if simulated is None else cell(simulated), total)


def speaker_table(runs: Sequence[ScoredRun[RunStream]]) -> tuple[FigureRow, ...]:
    """Recall of each speaker, the lowest first; empty where fewer than two are known. Void utterances are in none."""
    counts: dict[str, list[int]] = {}
    for one in runs:
        for found, files in ((1, one.found), (0, one.missed)):
            for index in files:
                if (speaker := one.run.files[index].speaker) is not None:
                    count = counts.setdefault(speaker, [0, 0])
                    count[0] += found
                    count[1] += 1
    if len(counts) < 2:
        return ()
    ordered = sorted(counts.items(), key=lambda item: (item[1][0] / item[1][1], item[0]))
    return tuple(FigureRow(name, None, cell(share_record(*count)), None, total=False) for name, count in ordered)


def cutoff_table(curve: DetCurve, model: ModelRecord) -> tuple[CutoffRow, ...]:
    """Recall and false accepts at round cutoffs and at the one in use."""
    named = {cutoff_to_uint8(value): wording.cutoff(value) for value in _TABLE_CUTOFFS}
    named[model.cutoff_uint8] = wording.cutoff(model.cutoff)
    return tuple(
        CutoffRow(
            name,
            share_record(int(curve.detected[level]), curve.utterances) if curve.utterances else None,
            hourly_record(int(curve.false_accepts[level]), curve.hours) if curve.hours else None,
            level == model.cutoff_uint8,
        )
        for level, name in sorted(named.items())
    )


def void_rows(runs: Sequence[ScoredRun[RunStream]]) -> list[VoidRow]:
    """All void time in the order of the runs, overlapping records joined: the recorded seconds add up to the scores'
    `void_seconds`.
    """
    return [
        VoidRow(
            where=one.run.label if one.run.protocol.mode != "clips" else f"{one.run.label}, {part.files[0].path}",
            begin=span.start,
            end=span.end,
            recorded=overlap_seconds(part.truth.counted, [span]),
            reasons=tuple(
                dict.fromkeys(void.reason for void in part.voids if void.start <= span.end and span.start <= void.end)
            ),
        )
        for one in runs
        for part in one.parts
        for span in part.truth.void
    ]


def _per_cent(share: float) -> float:
    return 100 * share


def _squeeze(rate: float) -> float:
    return 100 * rate / (rate + 1)
