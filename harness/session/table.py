"""A session as a table for the terminal: the device and the simulation of the same audio side by side."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from harness.results import wording
from harness.results.runs import simulated_runs
from harness.results.schema import Result, ScoresRecord
from harness.results.scores import score_runs
from harness.session.plan import SessionPlan, health_check
from wakeword.contract import SAMPLE_RATE_HZ


def session_table(result: Result) -> Table:
    """Recall, false accepts, detections and arena of both, each rate with its interval."""
    model = result.model
    source = result.runs[0].source
    title = (
        f"{model.wake_word}, {result.way}: cutoff {model.cutoff:g} ({model.cutoff_uint8}/255), window {model.window}"
    )
    table = Table(title=Text(title), title_justify="left")
    for column in ("", source, "simulated"):
        table.add_column(column, justify="right" if column else "left")
    scores, simulated = result.scores, score_runs(simulated_runs(result))
    for field, name in ScoresRecord.figures().items():
        if (record := scores.figure(field)) is not None:
            beside = simulated.figure(field)
            table.add_row(name.title.lower(), wording.in_short(record), wording.in_short(beside))
            table.add_row("", wording.interval(record), wording.interval(beside))
    if scores.extra_detections or simulated.extra_detections:
        table.add_row("detections of no utterance", str(scores.extra_detections), str(simulated.extra_detections))
    if result.agreement is not None:
        positions, only = result.agreement.positions, _only(result)
        table.add_row("detections", *(str(positions.paired + count) for count in only))
        table.add_row(
            "on the same 10\N{NO-BREAK SPACE}ms slice", f"{positions.same_slice} of {positions.paired} pairs", ""
        )
        table.add_row("only on this side", *map(str, only))
        if (compared := result.agreement.probabilities) is not None:
            table.add_row("probabilities that differ", f"{compared.differing} of {compared.compared}", "")
    if scores.void_seconds or scores.void_utterances:
        void = f"{wording.hours(scores.void_seconds / 3600)}, {wording.number(scores.void_utterances, 'utterance')}"
        table.add_row("void, in no figure", void, "")
    arena = result.arena
    estimate = (
        f"ESP32-S3 estimate {wording.size(arena.esp32s3_estimate)}"
        if arena.esp32s3_estimate is not None
        else wording.NONE
    )
    table.add_row(
        "arena, bytes", f"probed {wording.size(arena.probed)}", f"{estimate}, manifest {wording.size(arena.manifest)}"
    )
    return table


def plan_table(plan: SessionPlan) -> Table:
    """What a session would play, and how long that takes."""
    schedule = plan.schedule()
    leg, check = schedule.leg(), health_check(plan, schedule)
    table = Table(title=Text(f"{plan.model.wake_word} on {plan.board.name}, {_way(plan)}"), title_justify="left")
    for column in ("", "truth", "recordings", "sound", "with silence"):
        table.add_column(column, justify="left" if column in ("", "truth") else "right")
    if check is not None:
        table.add_row(
            "health check",
            "wake",
            "1",
            _minutes(sum(item.item.recording.samples for item in check.items)),
            _minutes(check.samples),
        )
    for section in leg.sections:
        planned = schedule.sections[section.index]
        sound = sum(item.item.recording.samples for item in section.items)
        table.add_row(
            Text(planned.label),
            planned.truth,
            str(len(section.items)),
            _minutes(sound),
            _minutes(section.stop - section.start),
        )
    whole = leg.samples + (check.samples if check is not None else 0)
    everything = sum(item.item.recording.samples for item in leg.items)
    table.add_row("all", "", str(len(leg.items)), _minutes(everything), _minutes(whole), style="bold")
    if leg.markers:
        table.add_row("alignment markers", "", str(len(leg.markers)), "", "")
    return table


def duration_words(plan: SessionPlan) -> str:
    """How long a session lasts where nothing goes wrong."""
    schedule = plan.schedule()
    check = health_check(plan, schedule)
    seconds = (schedule.samples + (check.samples if check is not None else 0)) / SAMPLE_RATE_HZ
    if not plan.realtime:
        return f"{_minutes(round(seconds * SAMPLE_RATE_HZ))} of audio, as fast as the board takes it"
    return f"{_minutes(round(seconds * SAMPLE_RATE_HZ))} at the speed of sound"


def _way(plan: SessionPlan) -> str:
    if plan.air is None:
        return "without air"
    return f"through {plan.air.speaker!r}" + (
        f", heard by {plan.air.microphone!r}" if plan.air.microphone is not None else ""
    )


def _minutes(samples: int) -> str:
    seconds = samples / SAMPLE_RATE_HZ
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.1f} min"


def _only(result: Result) -> tuple[int, int]:
    assert result.agreement is not None
    disagreements = result.agreement.disagreements
    device = sum(one.device.slice is not None and one.simulated.slice is None for one in disagreements)
    return device, sum(one.simulated.slice is not None and one.device.slice is None for one in disagreements)
