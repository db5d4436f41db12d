"""A measurement from what the user gave to the result: plan, firmware, lock, session, result. What `mww-bench measure`
calls.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.boards.board import Board
from firmware.boards.entry import HOST_TARGET, BoardEntry
from firmware.boards.inventory import find_board, inventory_path
from firmware.boards.lock import check_free, hold_board
from firmware.boards.microphone_link import MOST_ARENA, ModelDelivery
from firmware.boards.registry import kind_of
from firmware.models import check_wake_word
from firmware.terminal import stages
from harness.air.player import open_player
from harness.air.settings import AirSettings, check_sound
from harness.collect.raw import read_raw
from harness.results.schema import Result, write_result
from harness.session.connection import OpenCollector, TimeLimits
from harness.session.firmware import find_firmware
from harness.session.journal import RAW_FILE, SessionLog, is_finished
from harness.session.plan import SessionPlan, changed_files, read_plan, what_changed, write_plan
from harness.session.progress import session_progress
from harness.session.request import SessionRequest, check_limits_of_input, make_plan, way_of_sound
from harness.session.runner import Session
from harness.session.session_result import RESULT_FILE, make_session_result
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.device_model import DeviceModel, load_model
from wakeword.errors import ConfigError, InfrastructureError, MeasurementFailure
from wakeword.extras import require
from wakeword.files import check_writable
from wakeword.locks import hold_folder
from wakeword.model.manifest import refuse_other_step
from wakeword.progress import audio_progress, working

if TYPE_CHECKING:
    from firmware.build import Firmware

FAST_HEARTBEAT_SECONDS = 0.1
"""A board that hears faster than real time is asked more often, since what no answer has confirmed is void when it is
lost."""
FAST_RETRY_SECONDS = 0.5
"""A virtual board is back as soon as its program is."""


@dataclass(frozen=True)
class RequiredRates:
    """What a measurement must reach; None where it is only to be known."""

    min_recall: float | None = None
    max_fah: float | None = None

    def check(self, result: Result) -> None:
        """Raise `MeasurementFailure` for a rate that misses its limit, `InfrastructureError` where everything is void
        or the limit's rate was not measured.
        """
        recall, accepts = result.scores.recall, result.scores.false_accepts_per_hour
        if not any(record is not None and record.of for record in (recall, accepts)):
            raise InfrastructureError("everything that was played is void: nothing was measured; the result says why")
        if self.min_recall is not None:
            if recall is None or recall.rate is None:
                raise InfrastructureError("--min-recall: no utterance was measured; the result says why")
            if recall.rate < self.min_recall:
                raise MeasurementFailure(
                    f"recall {recall.rate:.4f} is below --min-recall {self.min_recall:g}; mww-report lists the misses"
                )
        if self.max_fah is not None:
            if accepts is None or accepts.rate is None:
                raise InfrastructureError("--max-fah: no time without the wake word was measured; the result says why")
            if accepts.rate > self.max_fah:
                raise MeasurementFailure(
                    f"{accepts.rate:.3f} false accepts per hour are above --max-fah {self.max_fah:g}; mww-report lists"
                    " them"
                )


@dataclass(frozen=True)
class MeasuredSession:
    """A finished session."""

    folder: Path
    result: Result

    @property
    def result_path(self) -> Path:
        """Where the result was written."""
        return self.folder / RESULT_FILE


def measure(request: SessionRequest, say: Callable[[str], None] = lambda _: None) -> MeasuredSession:
    """Measure a model on a board, or go on with a measurement that was stopped.

    Raises `ConfigError` for wrong input (also when a session to be resumed is not the one that was begun),
    `InfrastructureError` when the board or the machine fails; all that was measured is kept then.
    """
    require_client()
    check_limits_of_input(request)
    candidate = _candidate(request)
    entry = find_board(request.board, inventory_path(request.boards))
    folder = _folder(request, candidate)
    with hold_folder(folder, "give another --output"):
        return _measure_in(folder, request, entry, candidate, say)


def _measure_in(
    folder: Path, request: SessionRequest, entry: BoardEntry, candidate: DeviceModel, say: Callable[[str], None]
) -> MeasuredSession:
    found = read_plan(folder)
    if found is not None and not request.resume:
        raise _occupied(folder)
    if found is None and request.resume:
        raise ConfigError(f"{folder}: holds no session to resume; give its folder by --output, or leave out --resume")
    raw = folder / RAW_FILE
    finished = raw.is_file() and is_finished(read_raw(raw))
    if not finished:
        # Before recordings are read, a corpus is rendered and a firmware is built.
        _check_station(request, entry, candidate, say)
    with working("reading the recordings"):
        plan = make_plan(request, entry, candidate)
    if found is not None:
        plan = _resumable(found, plan, folder)
    if finished:
        say("the session was finished before: only its result is made again")
    else:
        check_writable(folder / RESULT_FILE)
        with hold_board(entry):
            with stages() as (report, progress):
                firmware = (
                    _running(request)
                    if request.deliver
                    else find_firmware(
                        entry, candidate, request.firmware, digital=request.digital, report=report, progress=progress
                    )
                )
            if found is None:
                if read_plan(folder) is not None:  # recordings were hashed and firmware was built since the first look
                    raise _occupied(folder)
                write_plan(plan, folder)
            _play(plan, entry, firmware, folder, request, _delivery(candidate) if plan.delivered else None, say)
    return make_result(plan, folder, candidate)


def _candidate(request: SessionRequest) -> DeviceModel:
    candidate = load_model(request.model, request.cutoff, None)
    refuse_other_step(request.model, candidate.manifest, "the bench measures boards at")
    if request.deliver:  # what a build of the firmware would have refused
        check_wake_word(request.model, candidate.manifest.wake_word)
        if candidate.manifest.micro.tensor_arena_size > MOST_ARENA:
            raise ConfigError(
                f"{request.model}: tensor_arena_size {candidate.manifest.micro.tensor_arena_size:,} is more than a"
                f" board takes for a model that is delivered, {MOST_ARENA:,} bytes"
            )
    return candidate


def _check_sound(request: SessionRequest, entry: BoardEntry, say: Callable[[str], None]) -> AirSettings | None:
    air = way_of_sound(request, entry)
    check_sound(air)
    stated = {text.partition("=")[0].strip() for text in request.air.gains}
    taken = [
        f"{knob}={setting}" for knob, setting in (air.gains if air is not None else {}).items() if knob not in stated
    ]
    if taken:
        say(
            f"gains are taken to stand as they were calibrated: {', '.join(taken)}; where one was moved, set it back or"
            " calibrate anew"
        )
    return air


def _check_station(
    request: SessionRequest, entry: BoardEntry, candidate: DeviceModel, say: Callable[[str], None]
) -> None:
    """Refuse now what would be refused after minutes of work: sound, the firmware given, the key of a real board, a
    board that another process has.
    """
    firmware = (
        None
        if request.firmware is None
        else _running(request)
        if request.deliver
        else find_firmware(entry, candidate, request.firmware, digital=request.digital)
    )
    air, kind = _check_sound(request, entry, say), kind_of(entry)
    if firmware is not None or not kind.runs_here:  # else the firmware is built later
        open_player(kind.open(entry, firmware, digital=request.digital), air)
    check_free(entry)


def _running(request: SessionRequest) -> Firmware:
    """What a board runs that a model is delivered to. Raises `ConfigError` where nothing can be."""
    from firmware.build import read_firmware

    assert request.firmware is not None
    firmware = read_firmware(request.firmware)
    if not firmware.digital and firmware.target != HOST_TARGET:
        raise ConfigError(
            f"{request.firmware}: was built without --digital, so no model can be delivered to it; build it anew with"
            " --digital and flash it"
        )
    return firmware


def _delivery(candidate: DeviceModel) -> ModelDelivery:
    """The model as it is delivered; its id is no other model's."""
    return ModelDelivery(
        f"delivered_{candidate.model.sha256[:12]}",
        candidate.manifest.wake_word,
        candidate.model.content,
        candidate.model.sha256,
        candidate.point.cutoff,
        candidate.point.window,
        candidate.manifest.micro.tensor_arena_size,
    )


def _occupied(folder: Path) -> ConfigError:
    return ConfigError(
        f"{folder}: already holds a session; go on with it by --resume, or give another folder by --output"
    )


def make_result(plan: SessionPlan, folder: Path, candidate: DeviceModel) -> MeasuredSession:
    """Make `result.json` from the folder alone, and write it."""
    with audio_progress("simulating the same audio", plan.schedule().samples / SAMPLE_RATE_HZ) as progress:
        result = make_session_result(plan, folder, candidate, progress)
    write_result(result, folder / RESULT_FILE)
    return MeasuredSession(folder, result)


def require_client() -> None:
    """Raise `InfrastructureError` where the client of the boards' API is not installed: it is an extra of
    this package."""
    require("measuring on a board", "aioesphomeapi")


def _folder(request: SessionRequest, candidate: DeviceModel) -> Path:
    if request.output is not None:
        return request.output
    if request.resume:
        raise ConfigError("--resume needs the session's folder; give it by --output")
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return Path("runs") / "sessions" / f"{stamp}-{request.board}-{candidate.manifest_path.stem}"


def plan_only(request: SessionRequest, say: Callable[[str], None] = lambda _: None) -> SessionPlan:
    """What `measure` would do, with nothing played and nothing written but rendered recordings. Devices are looked for.
    Raises as `measure` does.
    """
    check_limits_of_input(request)
    candidate = _candidate(request)
    entry = find_board(request.board, inventory_path(request.boards))
    _check_sound(request, entry, say)
    with working("reading the recordings"):
        return make_plan(request, entry, candidate)


def _resumable(found: SessionPlan, wanted: SessionPlan, folder: Path) -> SessionPlan:
    changed = what_changed(found, wanted) or changed_files(found)
    if changed:
        raise ConfigError(
            f"{folder}: cannot go on, changed since the session began: {'; '.join(changed)}; put it back, or begin a"
            " new session elsewhere"
        )
    return found


def _play(
    plan: SessionPlan,
    entry: BoardEntry,
    firmware: Firmware | None,
    folder: Path,
    request: SessionRequest,
    delivery: ModelDelivery | None,
    say: Callable[[str], None],
) -> None:
    """Play what is left of the plan.

    Args:
        plan: Of the session.
        entry: The board's.
        firmware: What it runs, or is to run.
        folder: The session's.
        request: Of this run.
        delivery: The model, where it is brought to the running board.
        say: Takes what a user should read.
    """
    # Through the air the microphone itself is what keeps the time: its board takes the sound as it comes.
    board = kind_of(entry).open(
        entry,
        firmware,
        folder=folder,
        realtime=plan.realtime and plan.air is None,
        digital=plan.digital,
        delivery=delivery,
    )
    seconds = plan.schedule().samples / SAMPLE_RATE_HZ
    with session_progress(f"{plan.model.wake_word}, {entry.name}", seconds) as watch:
        session = Session(
            plan,
            board,
            open_player(board, plan.air),
            folder,
            collector_opener(runs_here=kind_of(entry).runs_here, realtime=plan.realtime),
            firmware,
            request.flash,
            TimeLimits(reconnect=request.reconnect_timeout),
            watch,
            say,
        )
        try:
            asyncio.run(session.run())
        except (KeyboardInterrupt, InfrastructureError):
            say(f"all that was measured is in {folder}; go on with the same command and --resume --output {folder}")
            raise


def collector_opener(*, runs_here: bool, realtime: bool) -> OpenCollector:
    """What opens a collector to a board: one that runs on this machine is back at once, and one that hears fast is
    asked often.
    """
    from harness.collect.collector import Collector
    from harness.collect.link import Timing

    timing = Timing()
    if runs_here:
        timing = replace(timing, retry_seconds=FAST_RETRY_SECONDS)
    if not realtime:
        timing = replace(timing, heartbeat_seconds=FAST_HEARTBEAT_SECONDS)

    def opened(board: Board, log: SessionLog) -> Collector:
        return Collector(board.target, log, timing)

    return opened


def board_rows(path: Path | None) -> Sequence[tuple[BoardEntry, str]]:
    """The inventory with who holds each board, or its room; empty where it is free. Raises `ConfigError` for a faulty
    inventory.
    """
    from firmware.boards.inventory import read_inventory
    from firmware.boards.lock import board_holder, room_holder

    rows = []
    for entry in read_inventory(inventory_path(path)).values():
        holder = board_holder(entry)
        room = room_holder(entry.room) if holder is None and entry.room is not None else None
        rows.append((entry, str(holder) if holder else f"room: {room}" if room else ""))
    return rows
