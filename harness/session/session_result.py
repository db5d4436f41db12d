"""From a session's folder to its `Result`: the raw events reconciled, the simulation of the very audio that was played,
both scored.

Nothing here talks to a board: a result can be made again at any time.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware.answers import parse_identity
from harness.collect.clock import ClockFit, clock_samples, fit_clock
from harness.collect.collected import CollectedDetection
from harness.collect.raw import RawEvent, read_raw
from harness.collect.witnesses import ArenaProbed, parse_fact
from harness.results import wording
from harness.results.agreement import make_agreement
from harness.results.device_records import BoardRecord, ClockRecord, IntegrityRecord, SessionRecord
from harness.results.schema import Result, RunRecord
from harness.results.scores import score_runs
from harness.session.journal import RAW_FILE, PlayedLeg, played_legs, trace_path
from harness.session.measured_legs import MeasuredLeg, heard_markers, leg_voids, measured_legs, refused
from harness.session.paired import LegDetections, decided_slice, leg_runs, simulate_audio, window_at
from harness.session.plan import SessionPlan
from harness.session.sound import PlayClock, acoustics_record, play_clock
from harness.simulated.simulated_result import arena_record
from wakeword.contract import PROBABILITY_MAX, SAMPLE_RATE_HZ, slice_count
from wakeword.detector import Detection, detect
from wakeword.device_model import DeviceModel
from wakeword.engines import open_engine
from wakeword.errors import InfrastructureError

RESULT_FILE = "result.json"
LOGGED_TO = 0.00501
"""The board logs two decimals."""


def make_session_result(
    plan: SessionPlan, folder: Path, candidate: DeviceModel, progress: Callable[[float], None] = lambda _: None
) -> Result:
    """The record of a session, as far as it was played. `progress` gets the seconds of audio that were simulated.

    Raises `InfrastructureError` when nothing was played, `ConfigError` when a recording or the raw log cannot be read.
    """
    events = read_raw(folder / RAW_FILE)
    schedule = plan.schedule()
    legs = played_legs(events)
    measured = measured_legs(plan, folder, schedule, legs)
    if not measured:
        raise InfrastructureError(f"{folder}: no recording was played; begin again with --resume")
    esphome = _esphome_version(events)
    engine, _ = open_engine(candidate.model)
    runs: list[RunRecord] = []
    simulation: list[RunRecord] = []
    for number, leg in enumerate(measured, 1):
        probabilities = simulate_audio(engine, _with_progress(leg.audio(), progress))
        simulated = _simulated(plan, probabilities, slice_count(leg.samples), engine.name)
        device = _device(plan, leg, _trace(folder, leg), esphome)
        voids = [*leg_voids(leg), *heard_markers(leg, schedule.settings.guard, device, simulated)]
        runs += leg_runs(schedule, leg.plan, number, device, voids, plan.model.window)
        simulation += leg_runs(schedule, leg.plan, number, simulated, (), plan.model.window)
    return Result(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=plan.command,
        seed=plan.settings.seed,
        versions=plan.versions | _built_of(events) | {"python": platform.python_version(), "esphome": esphome},
        model=plan.model,
        arena=arena_record(candidate, _probed(plan, events)),
        runs=tuple(runs),
        scores=score_runs(runs),
        simulation=tuple(simulation),
        agreement=make_agreement(runs, simulation, plan.margin, model=plan.model),
        session=_session(plan, events, legs, measured, esphome),
    )


def _with_progress(
    blocks: Iterable[NDArray[np.int16]], progress: Callable[[float], None]
) -> Iterator[NDArray[np.int16]]:
    for block in blocks:
        yield block
        progress(len(block) / SAMPLE_RATE_HZ)


def _simulated(plan: SessionPlan, probabilities: NDArray[np.uint8], slices: int, engine: str) -> LegDetections:
    detections = detect(probabilities, plan.model.stride, slices, plan.model.cutoff_uint8, plan.model.window)
    return LegDetections("simulated", engine, tuple(detections), probabilities)


def _device(plan: SessionPlan, leg: MeasuredLeg, trace: NDArray[np.uint8], esphome: str) -> LegDetections:
    """The detections that the board told, with the figures that it logged."""
    detections: list[Detection] = []
    last = -1
    told = (
        one
        for one in leg.collected.detections
        if one.leg == leg.played.number and one.wake_word == plan.model.wake_word
    )
    clock = _board_clock(leg)
    placed = ((decided_slice(_position(one, leg, clock)), one) for one in told)
    for slice_index, one in sorted(placed, key=lambda pair: (pair[0], pair[1].stamp.seq)):
        window = window_at(trace, plan.model.stride, slice_index, plan.model.window, last)
        detections.append(Detection(slice_index, *_figures(one, window, plan)))
        last = slice_index
    return LegDetections(plan.source, f"ESPHome {esphome}", tuple(detections), trace)


def _board_clock(leg: MeasuredLeg) -> tuple[ClockFit, PlayClock] | None:
    """The clocks by which a board is placed that does not know its samples; None where they are not needed or there was
    no answer to fit.
    """
    if leg.sound is None or leg.sound.recording is not None:
        return None
    samples = clock_samples(leg.played.events, leg.played.boot_id)
    return (fit_clock(samples), play_clock(leg.played)) if samples else None


def _position(told: CollectedDetection, leg: MeasuredLeg, clocks: tuple[ClockFit, PlayClock] | None) -> int:
    """Samples that the stream had at a decision: by the board, else by its clock and the loudspeaker's, else when the
    event arrived.
    """
    if told.position is not None:
        return told.position
    if clocks is not None and told.stamp.boot_id == leg.played.boot_id:
        fit, play = clocks
        position = play.position(fit.to_host(told.stamp.t_ms, near=told.t))
        if position is not None:
            return position
    return told.received_position


def _trace(folder: Path, leg: MeasuredLeg) -> NDArray[np.uint8]:
    path = trace_path(folder, leg.played.number)
    return np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)


def _figures(told: CollectedDetection, window: NDArray[np.uint8], plan: SessionPlan) -> tuple[int, int]:
    """Average and maximum of a detection, uint8.

    The board logs two decimals; where its trace rounds to them, the trace is what it logged, exactly. Where the line is
    missing there is the trace, and without that too, what a detection needs at least.
    """
    traced = (int(window.sum()) // plan.model.window, int(window.max())) if len(window) else None
    if told.average is None or told.maximum is None:
        return traced or (plan.model.cutoff_uint8, plan.model.cutoff_uint8)
    logged = (told.average, told.maximum)
    if traced and all(
        abs(ours / PROBABILITY_MAX - theirs) <= LOGGED_TO for ours, theirs in zip(traced, logged, strict=True)
    ):
        return traced
    return round(told.average * PROBABILITY_MAX), round(told.maximum * PROBABILITY_MAX)


def _probed(plan: SessionPlan, events: Sequence[RawEvent]) -> int | None:
    """What the board said of this model when it loaded its models: a line each, in their order. None where it cannot be
    told whose line is whose.
    """
    models: list[str] = []
    sizes: list[int] = []
    for event in events:
        if event.kind == "identity" and isinstance(data := event.values.get("data"), dict):
            with suppress(KeyError, ValueError):
                models = [model.sha256 for model in parse_identity(data).models]
        elif event.kind == "log" and isinstance(fact := parse_fact(str(event.values.get("message", ""))), ArenaProbed):
            sizes.append(fact.bytes)
    if plan.model.tflite_sha256 not in models or not sizes or len(sizes) % len(models):
        return None
    return sizes[models.index(plan.model.tflite_sha256) - len(models)]


def _esphome_version(events: Sequence[RawEvent]) -> str:
    versions = [
        str(event.values["esphome"]) for event in events if event.kind == "connected" and event.values.get("esphome")
    ]
    return ", ".join(dict.fromkeys(versions)) or "unknown"


def _built_of(events: Sequence[RawEvent]) -> dict[str, str]:
    """Versions of what the firmware was built of, where the session had it."""
    told = [event.values["versions"] for event in events if event.kind == "firmware" and "versions" in event.values]
    return {str(name): str(version) for name, version in (told[-1] if told else {}).items()}


def _session(
    plan: SessionPlan,
    events: Sequence[RawEvent],
    legs: Sequence[PlayedLeg],
    measured: Sequence[MeasuredLeg],
    esphome: str,
) -> SessionRecord:
    return SessionRecord(
        board=BoardRecord.model_validate({name: getattr(plan.board, name) for name in BoardRecord.model_fields}),
        esphome_version=esphome,
        model_sha256_on_board=_model_on_board(plan, events),
        delivered=plan.delivered,
        seed=plan.settings.seed,
        legs=len(measured),
        audio_seconds=sum(leg.samples for leg in measured) / SAMPLE_RATE_HZ,
        wall_seconds=sum(leg.played.wall_seconds for leg in measured),
        health=_health(plan, legs),
        integrity=sum((_integrity(leg) for leg in measured), IntegrityRecord()),
        clock=_clock(measured),
        acoustics=tuple(
            one
            for one in [acoustics_record(plan, [leg.sound for leg in measured if leg.sound is not None])]
            if one is not None
        ),
    )


def _model_on_board(plan: SessionPlan, events: Sequence[RawEvent]) -> str:
    """The hash that the board computed: the plan's, if its last word about its models names it."""
    for event in reversed(events):
        if event.kind == "identity" and isinstance(data := event.values.get("data"), dict):
            with suppress(KeyError, ValueError):
                hashes = [model.sha256 for model in parse_identity(data).models]
                return plan.model.tflite_sha256 if plan.model.tflite_sha256 in hashes else ", ".join(hashes)
    return "unknown"


def _health(plan: SessionPlan, legs: Sequence[PlayedLeg]) -> str:
    known = plan.known_positive
    if known.recording is None:
        return f"not made: {known.chosen}"
    checks = sum(leg.part == "check" and leg.complete for leg in legs)
    return f"detected {known.recording.path.name} ({known.chosen}), {wording.number(checks, 'time')} before playing"


def _integrity(leg: MeasuredLeg) -> IntegrityRecord:
    count = leg.collected.integrity
    return IntegrityRecord(
        detections=count.detections,
        both_witnesses=count.detections - count.events_without_log,
        event_only=count.events_without_log,
        log_only=count.logs_without_event,
        duplicates=count.duplicates,
        lost=count.lost,
        reboots=max(count.reboots, int(leg.played.board_lost)),
        reconnects=count.api_gaps,
        # Which of the two is told before the leg ends is chance.
        ring_overflows=max(count.audio_lost, sum(1 for _ in refused(leg.played))),
        api_gap_seconds=_api_gap_seconds(leg.played.events),
    )


def _api_gap_seconds(events: Sequence[RawEvent]) -> float:
    """Time between losing the connection and having it back, or the end of the leg."""
    seconds, since = 0.0, None
    for event in events:
        if event.kind == "disconnected" and since is None:
            since = event.t
        elif event.kind == "connected" and since is not None:
            seconds, since = seconds + max(event.t - since, 0.0), None
    return seconds + (max(events[-1].t - since, 0.0) if since is not None else 0.0)


def _clock(measured: Sequence[MeasuredLeg]) -> ClockRecord | None:
    """Of the longest leg: each start of the board has a clock of its own."""
    longest = max(measured, key=lambda leg: leg.played.wall_seconds)
    samples = clock_samples(longest.played.events, longest.played.boot_id)
    if not samples:
        return None
    fit = fit_clock(samples)
    return ClockRecord(
        probes=fit.probes, offset_ms=fit.offset * 1000, drift_ppm=fit.drift_ppm, residual_rms_ms=fit.residual_rms * 1000
    )
