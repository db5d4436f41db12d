"""A measurement from what the user gave to the result: plan, firmware, lock, session, result. What `mww-bench measure` calls."""

from __future__ import annotations

import asyncio
import datetime
import importlib.metadata
import importlib.util
import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.boards.board import Board, open_board
from harness.boards.inventory import BoardEntry, find_board, inventory_path
from harness.boards.lock import hold_board
from harness.collect.raw import read_raw
from harness.results.schema import Result, write_result
from harness.session.audio import plan_sections
from harness.session.firmware import find_firmware
from harness.session.journal import RAW_FILE, SessionLog, is_finished
from harness.session.known_positive import choose_known_positive
from harness.session.listening import CollectorLike
from harness.session.plan import SessionPlan, SettingsPlan, changed_files, read_plan, section_plans, what_changed, write_plan
from harness.session.progress import session_progress
from harness.session.record import RESULT_FILE, make_session_result
from harness.session.runner import Patience, Session
from harness.session.schedule import default_settings, make_schedule
from harness.simulated.measurement import Candidate, open_candidate
from harness.simulated.record import PACKAGES, model_record
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.engines import open_engine
from wakeword.engines.unrolled import UnrolledEngine
from wakeword.errors import ConfigError, InfrastructureError, MeasurementFailure
from wakeword.files import check_writable
from wakeword.progress import audio_progress

if TYPE_CHECKING:
    from firmware.build import Firmware

FAST_HEARTBEAT_SECONDS = 0.1
"""A board that hears faster than real time is asked more often, since what no answer has confirmed is void when it is lost."""
FAST_RETRY_SECONDS = 0.5
"""A virtual board is back as soon as its program is."""


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    board: str
    model: Path
    wake: tuple[Path, ...] = ()
    none: tuple[Path, ...] = ()
    boards: Path | None = None
    firmware: Path | None = None
    output: Path | None = None
    seed: int = 0
    cutoff: float | None = None
    realtime: bool = False
    known_positive: Path | None = None
    resume: bool = False
    margin: float = 0.03
    reconnect_timeout: float = Patience.reconnect
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """What a measurement must reach; None where it is only to be known."""

    min_recall: float | None = None
    max_fah: float | None = None

    def check(self, result: Result) -> None:
        """Raise `MeasurementFailure` for a rate that misses its limit, `InfrastructureError` where everything is void or the limit's rate was not measured."""
        recall, accepts = result.scores.recall, result.scores.false_accepts_per_hour
        if not any(record is not None and record.of for record in (recall, accepts)):
            raise InfrastructureError("everything that was played is void: nothing was measured; the result says why")
        if self.min_recall is not None:
            if recall is None or recall.rate is None:
                raise InfrastructureError("--min-recall: no utterance was measured; the result says why")
            if recall.rate < self.min_recall:
                raise MeasurementFailure(f"recall {recall.rate:.4f} is below --min-recall {self.min_recall:g}; mww-report lists the misses")
        if self.max_fah is not None:
            if accepts is None or accepts.rate is None:
                raise InfrastructureError("--max-fah: no time without the wake word was measured; the result says why")
            if accepts.rate > self.max_fah:
                raise MeasurementFailure(f"{accepts.rate:.3f} false accepts per hour are above --max-fah {self.max_fah:g}; mww-report lists them")


@dataclass(frozen=True)
class Measured:
    """A finished session."""

    folder: Path
    result: Result

    @property
    def result_path(self) -> Path:
        """Where the result was written."""
        return self.folder / RESULT_FILE


def measure(request: Request, say: Callable[[str], None] = lambda _: None) -> Measured:
    """Measure a model on a board, or go on with a measurement that was stopped.

    Raises `ConfigError` for wrong input (also when a session to be resumed is not the one that was begun), `InfrastructureError` when the board
    or the machine fails; all that was measured is kept then.
    """
    require_client()
    check_limits_of_input(request)
    candidate = open_candidate(request.model, request.cutoff, None)
    entry = find_board(request.board, inventory_path(request.boards))
    folder = _folder(request, candidate)
    found = read_plan(folder)
    if found is not None and not request.resume:
        raise _occupied(folder)
    if found is None and request.resume:
        raise ConfigError(f"{folder}: holds no session to resume; give its folder by --output, or leave out --resume")
    plan = make_plan(request, entry, candidate)
    if found is not None:
        plan = _resumable(found, plan, folder)
    raw = folder / RAW_FILE
    if raw.is_file() and is_finished(read_raw(raw)):
        say("the session was finished before: only its result is made again")
    else:
        check_writable(folder / RESULT_FILE)
        with hold_board(entry):
            firmware = find_firmware(entry, candidate, request.firmware, say)
            if found is None:
                if read_plan(folder) is not None:  # recordings were hashed and firmware was built since the first look
                    raise _occupied(folder)
                write_plan(plan, folder)
            _play(plan, entry, firmware, folder, request, say)
    return make_result(plan, folder, candidate)


def _occupied(folder: Path) -> ConfigError:
    return ConfigError(f"{folder}: already holds a session; go on with it by --resume, or give another folder by --output")


def make_result(plan: SessionPlan, folder: Path, candidate: Candidate) -> Measured:
    """Make `result.json` from the folder alone, and write it."""
    with audio_progress("simulating the same audio", plan.schedule().samples / SAMPLE_RATE_HZ) as progress:
        result = make_session_result(plan, folder, candidate, progress)
    write_result(result, folder / RESULT_FILE)
    return Measured(folder, result)


def require_client() -> None:
    """Raise `ConfigError` where the client of the boards' API is not installed: it is an extra of this package."""
    if importlib.util.find_spec("aioesphomeapi") is None:
        raise ConfigError("measuring on a board needs aioesphomeapi, which is not installed; install wakeword-bench[bench]")


def check_limits_of_input(request: Request) -> None:
    """Raise `ConfigError` for values that no measurement can have."""
    if not request.wake and not request.none:
        raise ConfigError("nothing to play: give recordings with --wake, --none or both")
    if not 0 < request.margin < 1:
        raise ConfigError(f"--margin {request.margin:g}: a difference in recall lies between 0 and 1; give for example 0.03")
    if not 0 < request.reconnect_timeout <= 86_400:
        raise ConfigError(f"--reconnect-timeout {request.reconnect_timeout:g}: give seconds, up to a day")


def _folder(request: Request, candidate: Candidate) -> Path:
    if request.output is not None:
        return request.output
    if request.resume:
        raise ConfigError("--resume needs the session's folder; give it by --output")
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return Path("runs") / "sessions" / f"{stamp}-{request.board}-{candidate.manifest_path.stem}"


def make_plan(request: Request, entry: BoardEntry, candidate: Candidate) -> SessionPlan:
    """What is to be played and how. Reads and hashes all recordings. Raises `ConfigError` for one that cannot be played."""
    model = model_record(candidate)
    engine, _ = open_engine(candidate.model)
    memory = engine.memory_slices if isinstance(engine, UnrolledEngine) else None
    settings = default_settings(request.seed, model.stride, model.window, memory)
    schedule = make_schedule(plan_sections(list(request.wake), list(request.none)), settings)
    return SessionPlan(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=shlex.join(request.command),
        board=entry,
        source="virtual board" if entry.kind == "virtual" else "on-device",
        model=model,
        realtime=request.realtime or entry.kind != "virtual",
        settings=SettingsPlan(seed=settings.seed, stride=settings.stride, lead_in=settings.lead_in, guard=settings.guard, gap=settings.gap),
        sections=section_plans(schedule.sections),
        schedule_sha256=schedule.sha256,
        known_positive=choose_known_positive(engine, model, schedule, request.known_positive),
        margin=request.margin,
        versions={name: importlib.metadata.version(name) for name in (*PACKAGES, "aioesphomeapi")},
    )


def _resumable(found: SessionPlan, wanted: SessionPlan, folder: Path) -> SessionPlan:
    changed = what_changed(found, wanted) or changed_files(found)
    if changed:
        raise ConfigError(f"{folder}: cannot go on, changed since the session began: {'; '.join(changed)}; put it back, or begin a new session elsewhere")
    return found


def _play(plan: SessionPlan, entry: BoardEntry, firmware: Firmware | None, folder: Path, request: Request, say: Callable[[str], None]) -> None:
    board = open_board(entry, firmware, realtime=plan.realtime, folder=folder)
    seconds = plan.schedule().samples / SAMPLE_RATE_HZ
    with session_progress(f"{plan.model.wake_word}, {entry.name}", seconds) as watch:
        session = Session(
            plan,
            board,
            folder,
            collector_opener(virtual=entry.kind == "virtual", realtime=plan.realtime),
            firmware=firmware,
            patience=Patience(reconnect=request.reconnect_timeout),
            watch=watch,
            say=say,
        )
        try:
            asyncio.run(session.run())
        except (KeyboardInterrupt, InfrastructureError):
            say(f"all that was measured is in {folder}; go on with the same command and --resume --output {folder}")
            raise


def collector_opener(*, virtual: bool, realtime: bool) -> Callable[[Board, SessionLog, Callable[[], int]], AbstractAsyncContextManager[CollectorLike]]:
    """What opens a collector to a board as it is now: its name and key may change with its firmware."""
    from harness.collect.collector import Collector
    from harness.collect.link import Timing

    timing = Timing()
    if virtual:
        timing = replace(timing, retry_seconds=FAST_RETRY_SECONDS)
    if not realtime:
        timing = replace(timing, heartbeat_seconds=FAST_HEARTBEAT_SECONDS)

    def opened(board: Board, log: SessionLog, position: Callable[[], int]) -> Collector:
        return Collector(
            address=board.address,
            port=board.api_port,
            key=board.api_key,
            expected_name=board.expected_name or board.entry.name,
            expected_mac=board.expected_mac,
            raw=log,
            position=position,
            timing=timing,
        )

    return opened


def board_rows(path: Path | None) -> Sequence[tuple[BoardEntry, str]]:
    """The inventory with who holds each board, or its room; empty where it is free. Raises `ConfigError` for a faulty inventory."""
    from harness.boards.inventory import read_inventory
    from harness.boards.lock import board_holder, room_holder

    rows = []
    for entry in read_inventory(inventory_path(path)).values():
        holder = board_holder(entry)
        room = room_holder(entry.room) if holder is None and entry.room is not None else None
        rows.append((entry, str(holder) if holder else f"room: {room}" if room else ""))
    return rows
