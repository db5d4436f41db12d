"""The figures of the page: cards with interval rulers, the table by run, the arena, the table over cutoffs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.results import wording
from harness.results.schema import ArenaRecord, IntervalRecord, ModelRecord, Result, RunRecord, ScoresRecord, Source
from harness.results.scores import hourly_record, outcome, score_runs, score_simulation, share_record, with_voids_of
from wakeword.contract import cutoff_to_uint8
from wakeword.corpus.provenance import Provenance, together
from wakeword.scoring.det import DetCurve
from wakeword.scoring.grades import ACCEPTABLE_TO, EXCELLENT_BELOW

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
class Cell:
    """One figure: its counts, its rate, its interval."""

    counted: str
    rate: str
    interval: str


@dataclass(frozen=True)
class Row:
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
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class CutoffRow:
    """One line of the table over cutoffs."""

    cutoff: str
    recall: str
    rate: str
    in_use: bool


def rate_ruler(record: IntervalRecord | None, simulated: IntervalRecord | None = None) -> Ruler | None:
    """The interval of an hourly rate on a scale that has room for any rate: r/(r+1), so 0.5 and 2 cut it in thirds."""
    if record is None or record.low is None or record.high is None or record.rate is None:
        return None
    ticks = tuple((_squeeze(value), f"{value:g}") for value in (0.0, EXCELLENT_BELOW, ACCEPTABLE_TO, 10.0))
    beside = None if simulated is None or simulated.rate is None else _squeeze(simulated.rate)
    return Ruler(_squeeze(record.low), _squeeze(record.rate), _squeeze(record.high), ticks, beside)


def share_ruler(record: IntervalRecord | None, simulated: IntervalRecord | None = None) -> Ruler | None:
    """The interval of a share on a scale of per cents."""
    if record is None or record.low is None or record.high is None or record.rate is None:
        return None
    ticks = tuple((float(tick), str(tick)) for tick in (0, 25, 50, 75, 100))
    beside = None if simulated is None or simulated.rate is None else 100 * simulated.rate
    return Ruler(100 * record.low, 100 * record.rate, 100 * record.high, ticks, beside)


def figure_tables(result: Result) -> tuple[Figure, ...]:
    """False accepts per hour first, then recall, then false-accept clips; each by run and in total, and beside it the simulation's."""
    beside: tuple[ScoresRecord | None, ...] = (None,) * len(result.runs)
    if result.simulation:
        beside = tuple(score_runs([with_voids_of(simulated, run)]) for simulated, run in zip(result.simulation, result.runs, strict=True))
    by_run = [(run, score_runs([run]), simulated) for run, simulated in zip(result.runs, beside, strict=True)]
    total = (result.scores, score_simulation(result))
    tables = (
        _figure("False accepts per hour", "events in hours", by_run, total, lambda scores: scores.false_accepts_per_hour, hourly=True),
        _figure("Recall", "recognised of utterances", by_run, total, lambda scores: scores.recall),
        _figure("Clips accepted falsely", "accepted of clips", by_run, total, lambda scores: scores.false_accept_clips),
    )
    return tuple(table for table in tables if table is not None)


def speaker_table(runs: Sequence[RunRecord]) -> tuple[Row, ...]:
    """Recall of each speaker, the lowest first; empty where fewer than two are known. Void utterances are in none."""
    counts: dict[str, list[int]] = {}
    for run in runs:
        if run.protocol.truth == "wake":
            came = outcome(run)
            for found, files in ((1, came.found), (0, came.missed)):
                for index in files:
                    if (speaker := run.files[index].speaker) is not None:
                        count = counts.setdefault(speaker, [0, 0])
                        count[0] += found
                        count[1] += 1
    if len(counts) < 2:
        return ()
    ordered = sorted(counts.items(), key=lambda item: (item[1][0] / item[1][1], item[0]))
    return tuple(Row(name, None, share_cell(share_record(*count)), None, total=False) for name, count in ordered)


def cutoff_table(curve: DetCurve, model: ModelRecord) -> tuple[CutoffRow, ...]:
    """Recall and false accepts at round cutoffs and at the one in use."""
    named = {cutoff_to_uint8(value): wording.cutoff(value) for value in _TABLE_CUTOFFS}
    named[model.cutoff_uint8] = wording.cutoff(model.cutoff)
    rows: list[CutoffRow] = []
    for level, name in sorted(named.items()):
        recall, rate = wording.NONE, wording.NONE
        if curve.utterances:
            record = share_record(int(curve.detected[level]), curve.utterances)
            recall = f"{record.count}/{curve.utterances}, {wording.share_of(record)} ({wording.share_interval(record)})"
        if curve.hours:
            record = hourly_record(int(curve.false_accepts[level]), curve.hours)
            rate = f"{record.count}, {wording.rate_of(record)} per hour ({wording.rate_interval(record)})"
        rows.append(CutoffRow(name, recall, rate, level == model.cutoff_uint8))
    return tuple(rows)


def arena_rows(arena: ArenaRecord, source: Source) -> tuple[tuple[str, str, str], ...]:
    """Name, bytes and meaning of each arena figure."""
    probed = {"simulated": "no device was asked", "virtual board": "by a virtual board: a host figure", "on-device": "found by the device itself"}[source]
    if arena.probed is None:
        probed = "no device was asked" if source == "simulated" else "the device did not tell"
    return (
        ("Manifest", wording.size(arena.manifest), "what the device tries first"),
        ("Host used", wording.size(arena.host_used), "64-bit reference kernels; understates an ESP32-S3"),
        ("Host minimum", wording.size(arena.host_minimum), "the smallest that loads on the host"),
        ("ESP32-S3 estimate", wording.size(arena.esp32s3_estimate), "planned for 32-bit structures and ESP-NN's scratch buffers"),
        ("Probed by the device", wording.size(arena.probed), probed),
    )


def _squeeze(rate: float) -> float:
    return 100 * rate / (rate + 1)


def _figure(
    title: str,
    counted: str,
    by_run: Sequence[tuple[RunRecord, ScoresRecord, ScoresRecord | None]],
    total: tuple[ScoresRecord, ScoresRecord | None],
    chosen: Callable[[ScoresRecord], IntervalRecord | None],
    *,
    hourly: bool = False,
) -> Figure | None:
    summed = chosen(total[0])
    if summed is None:
        return None

    def cell(scores: ScoresRecord | None) -> Cell | None:
        record = None if scores is None else chosen(scores)
        return None if record is None else _cell(record, hourly=hourly)

    rows: list[Row] = []
    kinds: list[Provenance] = []
    for run, scores, simulated in by_run:
        measured = cell(scores)
        if measured is not None:
            kinds.append(run.provenance)
            rows.append(Row(run.label, _tag(run.provenance), measured, cell(simulated), total=False))
    rows.append(Row("Total", _tag(together(kinds)), _cell(summed, hourly=hourly), cell(total[1]), total=True))
    return Figure(title, counted, summed.method, tuple(rows))


def _tag(provenance: Provenance) -> str | None:
    return None if provenance == "recorded" else "origin unknown" if provenance == "unknown" else provenance


def _cell(record: IntervalRecord, *, hourly: bool) -> Cell:
    return rate_cell(record) if hourly else share_cell(record)


def rate_cell(record: IntervalRecord) -> Cell:
    """An hourly rate as a table shows it."""
    return Cell(f"{record.count} in {wording.hours(record.of)}", wording.rate_of(record), wording.rate_interval(record))


def share_cell(record: IntervalRecord) -> Cell:
    """A share as a table shows it."""
    return Cell(f"{record.count} of {int(record.of)}", wording.share_of(record), wording.share_interval(record))
