"""A session as a table for the terminal: the device and the simulation of the same audio side by side."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from harness.results import wording
from harness.results.schema import IntervalRecord, Result
from harness.results.scores import score_simulation


def session_table(result: Result) -> Table:
    """Recall, false accepts, detections and arena of both, each rate with its interval."""
    model = result.model
    source = result.runs[0].source
    title = f"{model.wake_word}, {source}: cutoff {model.cutoff:g} ({model.cutoff_uint8}/255), window {model.window}"
    table = Table(title=Text(title), title_justify="left")
    for column in ("", source, "simulated"):
        table.add_column(column, justify="right" if column else "left")
    scores, simulated = result.scores, score_simulation(result)
    assert simulated is not None
    if scores.recall is not None:
        table.add_row("recall", *(_share(one.recall) for one in (scores, simulated)))
        table.add_row("", *(_share_interval(one.recall) for one in (scores, simulated)))
    if scores.false_accepts_per_hour is not None:
        table.add_row("false accepts per hour", *(_hourly(one.false_accepts_per_hour) for one in (scores, simulated)))
        table.add_row("", *(_hourly_interval(one.false_accepts_per_hour) for one in (scores, simulated)))
    if scores.extra_detections or simulated.extra_detections:
        table.add_row("detections of no utterance", str(scores.extra_detections), str(simulated.extra_detections))
    if result.agreement is not None:
        positions, only = result.agreement.positions, _only(result)
        table.add_row("detections", *(str(positions.paired + count) for count in only))
        table.add_row("on the same 10\N{NO-BREAK SPACE}ms slice", f"{positions.same_slice} of {positions.paired} pairs", "")
        table.add_row("only on this side", *map(str, only))
    if scores.void_seconds or scores.void_utterances:
        table.add_row("void", f"{wording.hours(wording.to_hours(scores.void_seconds))}, {wording.number(scores.void_utterances, 'utterance')}", "")
    arena = result.arena
    estimate = f"ESP32-S3 estimate {wording.size(arena.esp32s3_estimate)}" if arena.esp32s3_estimate is not None else wording.NONE
    table.add_row("arena, bytes", f"probed {wording.size(arena.probed)}", f"{estimate}, manifest {wording.size(arena.manifest)}")
    return table


def _only(result: Result) -> tuple[int, int]:
    assert result.agreement is not None
    disagreements = result.agreement.disagreements
    device = sum(one.device.slice is not None and one.simulated.slice is None for one in disagreements)
    return device, sum(one.simulated.slice is not None and one.device.slice is None for one in disagreements)


def _share(record: IntervalRecord | None) -> str:
    return wording.NONE if record is None else f"{record.count}/{record.of:.0f} = {wording.share_of(record)}"


def _share_interval(record: IntervalRecord | None) -> str:
    return wording.NONE if record is None else wording.share_interval(record)


def _hourly(record: IntervalRecord | None) -> str:
    return wording.NONE if record is None else f"{record.count} in {wording.hours(record.of)} = {wording.rate_of(record)}"


def _hourly_interval(record: IntervalRecord | None) -> str:
    return wording.NONE if record is None else wording.rate_interval(record)
