"""The figures of the page: cards with interval rulers, the table by run, the arena, the table over cutoffs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.results import wording
from harness.results.schema import ArenaRecord, IntervalRecord, ModelRecord, Result, RunRecord
from harness.results.scores import hourly_record, score_runs, share_record
from harness.results.verdict import ACCEPTABLE_TO, EXCELLENT_BELOW
from wakeword.contract import cutoff_to_uint8
from wakeword.scoring.det import DetCurve

SYNTHETIC = "synthetic"
"""Tag of figures from text-to-speech."""

_TABLE_CUTOFFS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)


@dataclass(frozen=True)
class Ruler:
    """An interval on a scale, in per cent of its length."""

    low: float
    value: float
    high: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Row:
    """One line of the figures table."""

    name: str
    tag: str | None
    """`synthetic`, or `partly synthetic` for a total."""
    counted: str
    rate: str
    interval: str
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


def rate_ruler(record: IntervalRecord | None) -> Ruler | None:
    """The interval of an hourly rate on a scale that has room for any rate: r/(r+1), so 0.5 and 2 cut it in thirds."""
    if record is None or record.low is None or record.high is None or record.rate is None:
        return None
    ticks = tuple((_squeeze(value), f"{value:g}") for value in (0.0, EXCELLENT_BELOW, ACCEPTABLE_TO, 10.0))
    return Ruler(_squeeze(record.low), _squeeze(record.rate), _squeeze(record.high), ticks)


def share_ruler(record: IntervalRecord | None) -> Ruler | None:
    """The interval of a share on a scale of per cents."""
    if record is None or record.low is None or record.high is None or record.rate is None:
        return None
    return Ruler(100 * record.low, 100 * record.rate, 100 * record.high, tuple((float(tick), str(tick)) for tick in (0, 25, 50, 75, 100)))


def figure_tables(result: Result) -> tuple[Figure, ...]:
    """False accepts per hour first, then recall, then false-accept clips; each by run and in total."""
    by_run = [(run, score_runs([run])) for run in result.runs]
    hourly = [(run, scores.false_accepts_per_hour) for run, scores in by_run]
    recall = [(run, scores.recall) for run, scores in by_run]
    clips = [(run, scores.false_accept_clips) for run, scores in by_run]
    tables = (
        _figure("False accepts per hour", "events in hours", hourly, result.scores.false_accepts_per_hour, hourly=True),
        _figure("Recall", "recognised of utterances", recall, result.scores.recall),
        _figure("Clips accepted falsely", "accepted of clips", clips, result.scores.false_accept_clips),
    )
    return tuple(table for table in tables if table is not None)


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


def arena_rows(arena: ArenaRecord) -> tuple[tuple[str, str, str], ...]:
    """Name, bytes and meaning of each arena figure."""
    probed = "found by the device itself" if arena.probed is not None else "no device was asked"
    return (
        ("Manifest", wording.size(arena.manifest), "what the device tries first"),
        ("ESP32-S3 estimate", wording.size(arena.esp32s3_estimate), "planned for 32-bit structures and ESP-NN's scratch buffers"),
        ("Probed", wording.size(arena.probed), probed),
        ("Host used", wording.size(arena.host_used), "64-bit reference kernels; understates an ESP32-S3"),
        ("Host minimum", wording.size(arena.host_minimum), "the smallest that loads on the host"),
    )


def _squeeze(rate: float) -> float:
    return 100 * rate / (rate + 1)


def _figure(
    title: str, counted: str, records: Sequence[tuple[RunRecord, IntervalRecord | None]], total: IntervalRecord | None, *, hourly: bool = False
) -> Figure | None:
    if total is None:
        return None
    rows = [_row(run.label, record, tag=SYNTHETIC if run.synthetic else None, total=False, hourly=hourly) for run, record in records if record is not None]
    synthetic = [run.synthetic for run, record in records if record is not None]
    tag = SYNTHETIC if all(synthetic) else f"partly {SYNTHETIC}" if any(synthetic) else None
    rows.append(_row("Total", total, tag=tag, total=True, hourly=hourly))
    return Figure(title, counted, total.method, tuple(rows))


def _row(name: str, record: IntervalRecord, *, tag: str | None, total: bool, hourly: bool) -> Row:
    if hourly:
        return Row(name, tag, f"{record.count} in {wording.hours(record.of)}", wording.rate_of(record), wording.rate_interval(record), total)
    return Row(name, tag, f"{record.count} of {int(record.of)}", wording.share_of(record), wording.share_interval(record), total)
