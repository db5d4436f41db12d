"""What may go wrong while a board is measured, on a virtual board: nothing is lost silently, no figure is false,
nothing hangs.

Wherever the board was not disturbed its detections are the simulation's to the slice: so a fault must show as void
time, and as nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aioesphomeapi.model import HomeassistantServiceCall
from numpy.typing import NDArray

from firmware.answers import DETECTION_EVENT
from firmware.boards.digital import DigitalPlayer
from firmware.boards.entry import BoardEntry
from firmware.boards.kinds.virtual import LOOPBACK, VirtualBoard
from firmware.boards.registry import board_kinds
from firmware.build import Firmware
from firmware.native_api import Target
from harness.collect.collector import Collector
from harness.collect.raw import read_raw
from harness.results.schema import Result, read_result
from harness.session.measure import measure
from harness.session.request import SessionRequest
from tests.harness.tcp_proxy import TcpProxy
from tests.spoken import Spoken, listed
from wakeword.errors import BoardRefused, InfrastructureError

UTTERANCES = 24
TIMEOUT = 120.0

type Fault = Callable[["FaultyBoard"], Awaitable[None]]


@dataclass
class Bench:
    """A measurement of the alexa model whose board fails as a test tells it."""

    model: Path
    firmware: Firmware
    wake: Path
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    fault: Fault | None = None
    fault_at: float = 0.5
    """Share of the audio that was played before."""
    pace: float | None = None
    entry_changes: dict[str, Any] = field(default_factory=dict)

    def request(self, **changes: Any) -> SessionRequest:
        return SessionRequest(
            board="virtual",
            model=self.model,
            wake=(self.wake,),
            firmware=self.firmware.folder,
            output=self.folder / "session",
            **changes,
        )

    def measure(self, **changes: Any) -> Result:
        def open_board(entry: BoardEntry, firmware: Firmware | None, **_: Any) -> FaultyBoard:
            return FaultyBoard(self, entry.model_copy(update=self.entry_changes), firmware)

        self.monkeypatch.setitem(board_kinds(), "virtual", replace(board_kinds()["virtual"], open=open_board))
        return measure(self.request(**changes)).result

    @property
    def raw(self) -> Path:
        return self.folder / "session" / "raw.jsonl"


class FaultyBoard(VirtualBoard):
    """A virtual board behind a proxy, with a fault in the middle of what it hears."""

    def __init__(self, bench: Bench, entry: BoardEntry, firmware: Firmware | None) -> None:
        super().__init__(entry, firmware, pace=bench.pace)
        self.bench = bench
        self.proxy: TcpProxy | None = None

    @property
    def target(self) -> Target:
        assert self.proxy is not None
        return replace(super().target, port=self.proxy.port)

    async def start(self) -> None:
        await super().start()
        if self.proxy is None:
            self.proxy = await TcpProxy(LOOPBACK, self.program.api_port).__aenter__()

    async def stop(self) -> None:
        if self.proxy is not None:
            await self.proxy.__aexit__(None, None, None)
            self.proxy = None
        await super().stop()

    def make_player(self) -> DigitalPlayer:
        return FaultyPlayer(self)


class FaultyPlayer(DigitalPlayer):
    """Calls the fault once, when so much of a long stream was played; the health check before it is a short one."""

    def __init__(self, board: FaultyBoard) -> None:
        async def restart() -> None:
            await asyncio.to_thread(board.program.restart)

        super().__init__(board.microphone_address, board.pace, restart)
        self._faulty = board
        self._seconds = 0.0

    async def play(self, samples: NDArray[np.int16]) -> None:
        await super().play(samples)
        bench = self._faulty.bench
        self._seconds += len(samples) / 16_000
        if bench.fault is not None and self._seconds > bench.fault_at * UTTERANCES * 3:
            fault, bench.fault = bench.fault, None
            await fault(self._faulty)


@pytest.fixture
def wake(spoken: Spoken, tmp_path: Path) -> Path:
    return listed(tmp_path / "wake.txt", spoken.words[:UTTERANCES])


@pytest.fixture
def bench(
    host_firmware: Firmware, official_models: Path, wake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))
    return Bench(official_models / "alexa.json", host_firmware, wake, tmp_path, monkeypatch)


def keep(bench: Bench, utterances: int) -> None:
    """Play fewer: sound with a speed of its own takes its time."""
    bench.wake.write_text("".join(bench.wake.read_text().splitlines(keepends=True)[:utterances]))


def check(result: Result, *, void: bool) -> None:
    """Every utterance is accounted for, and where the board was not disturbed it is the simulation to the slice."""
    recall, agreement = result.scores.recall, result.agreement
    assert recall is not None
    assert agreement is not None
    assert recall.of + result.scores.void_utterances == UTTERANCES
    assert (result.scores.void_utterances > 0) == void
    assert recall.of > UTTERANCES / 3
    assert (agreement.utterances.device_only, agreement.utterances.simulated_only) == (0, 0)
    assert agreement.positions.same_slice == agreement.positions.paired
    assert not agreement.disagreements


def test_without_a_fault_nothing_is_void(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Where the output is kept it says where it stands; lines are due at once here.
    monkeypatch.setattr("wakeword.progress.FIRST_LINE_S", 0.0)
    monkeypatch.setattr("wakeword.progress.EACH_LINE_S", 0.2)
    result = bench.measure()
    said = capsys.readouterr().err
    assert "times real time, " in said
    assert "simulating the same audio: " in said
    check(result, void=False)
    assert result.session is not None
    assert result.session.legs == 1


def test_a_board_that_dies_makes_void_what_it_was_hearing(bench: Bench) -> None:
    async def kill(board: FaultyBoard) -> None:
        board.program.kill()

    bench.fault = kill
    result = bench.measure()
    check(result, void=True)
    assert result.session is not None
    assert result.session.legs == 2


def cut_for(seconds: float) -> Fault:
    async def cut(board: FaultyBoard) -> None:
        assert board.proxy is not None
        board.proxy.cut()
        asyncio.get_running_loop().call_later(seconds, board.proxy.mend)

    return cut


def test_a_connection_cut_for_3_s_is_void_and_the_stream_goes_on(bench: Bench) -> None:
    bench.fault = cut_for(3.0)
    result = bench.measure()
    check(result, void=True)
    assert result.session is not None
    assert result.session.legs == 1
    assert result.session.integrity.reconnects == 1


@pytest.mark.slow
def test_a_connection_cut_for_60_s_is_void_and_the_stream_goes_on(bench: Bench) -> None:
    bench.fault = cut_for(60.0)
    result = bench.measure()
    check(result, void=True)
    assert result.session is not None
    assert (result.session.legs, result.session.integrity.reconnects) == (1, 1)


def test_a_connection_that_says_nothing_for_3_s_loses_nothing(bench: Bench) -> None:
    async def stall(board: FaultyBoard) -> None:
        assert board.proxy is not None
        board.proxy.stall()
        asyncio.get_running_loop().call_later(3.0, board.proxy.flow)

    bench.fault = stall
    # The bytes come late, none is missing.
    check(bench.measure(), void=False)


def test_a_board_that_stays_away_ends_the_session_and_resume_goes_on(bench: Bench) -> None:
    async def cut(board: FaultyBoard) -> None:
        assert board.proxy is not None
        board.proxy.cut()

    bench.fault = cut
    with pytest.raises(InfrastructureError, match="did not come back within 2 s"):
        bench.measure(reconnect_timeout=2.0)
    assert not (bench.folder / "session" / "result.json").exists()
    check(bench.measure(resume=True), void=True)


def tampered(monkeypatch: pytest.MonkeyPatch, tamper: Callable[[int], int]) -> None:
    """Let each detection event arrive `tamper(its number)` times."""
    heard = Collector._on_event
    seen = [0]

    def listen(self: Collector, call: HomeassistantServiceCall) -> None:
        times = 1
        if call.service == DETECTION_EVENT:
            seen[0] += 1
            times = tamper(seen[0])
        for _ in range(times):
            heard(self, call)

    monkeypatch.setattr(Collector, "_on_event", listen)


def test_events_that_come_twice_count_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tampered(monkeypatch, lambda number: 2 if number % 3 == 0 else 1)
    result = bench.measure()
    check(result, void=False)
    assert result.session is not None
    assert result.session.integrity.duplicates >= 6


def test_events_that_never_come_are_void_not_misses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first is the health check's.
    tampered(monkeypatch, lambda number: 0 if number in (6, 13) else 1)
    result = bench.measure()
    check(result, void=True)
    assert result.session is not None
    assert result.session.integrity.lost == 2


def test_sound_that_the_board_could_not_take_is_void(bench: Bench) -> None:
    async def overflow(board: FaultyBoard) -> None:
        server = board.program._server
        assert server is not None
        # The interpreter stands still; the microphone goes on as microphones do, until the ring buffer has overflowed.
        os.killpg(server.pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(1.0, os.killpg, server.pid, signal.SIGCONT)

    keep(bench, 6)
    bench.fault, bench.fault_at, bench.pace = overflow, 0.2, 4.0
    result = bench.measure()
    assert result.session is not None
    assert result.session.integrity.ring_overflows >= 1
    assert result.scores.recall is not None
    assert result.scores.void_utterances > 0
    assert result.scores.recall.of + result.scores.void_utterances == 6
    assert result.agreement is not None
    assert result.agreement.utterances.simulated_only == 0
    assert result.agreement.utterances.device_only == 0
    # What comes behind the loss lies in other slices than the simulation's: the leg ends there, and the next one is
    # compared from its first inference on.
    assert result.session.legs >= 2  # a busy machine may lose sound again
    probabilities = result.agreement.probabilities
    assert probabilities is not None
    assert probabilities.compared > 200
    assert (probabilities.differing, probabilities.missing) == (0, 0)


def test_another_board_behind_the_address_is_refused_at_once(bench: Bench) -> None:
    bench.entry_changes = {"mac": "00:11:22:33:44:55"}
    with pytest.raises(BoardRefused) as refused:
        bench.measure()
    assert refused.value.exit_code == 4
    assert "not 001122334455" in str(refused.value)


# --- whole processes


def command(bench: Bench, *more: str) -> list[str]:
    program = str(Path(sys.executable).parent / "mww-bench")
    output = bench.folder / "session"
    return [
        *(
            program,
            "measure",
            "--board",
            "virtual",
            "--model",
            str(bench.model),
            "--wake",
            str(bench.wake),
            "--realtime",
        ),
        *("--firmware", str(bench.firmware.folder), "--output", str(output), *more),
    ]


@pytest.fixture
def running(bench: Bench) -> Iterator[subprocess.Popen[str]]:
    """A measurement in real time that has begun to detect."""
    keep(bench, 5)
    process = subprocess.Popen(command(bench), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + TIMEOUT
    while not (
        bench.raw.is_file()
        and any(event.kind == "play" and event.values.get("item", 0) >= 2 for event in read_raw(bench.raw))
    ):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    yield process
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.communicate()


@pytest.mark.slow
def test_a_second_harness_is_refused_and_the_first_one_killed_and_resumed(
    bench: Bench, running: subprocess.Popen[str]
) -> None:
    second = command(bench)
    second[second.index("--output") + 1] = str(bench.folder / "other")
    refused = subprocess.run(second, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert refused.returncode == 3
    assert f"in use by pid {running.pid}" in refused.stderr
    assert running.poll() is None

    before = read_raw(bench.raw)
    running.kill()
    running.wait(TIMEOUT)
    done = subprocess.run(command(bench, "--resume"), capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    assert read_raw(bench.raw)[: len(before)] == before
    result = read_result(bench.folder / "session" / "result.json")
    assert result.scores.recall is not None
    assert result.scores.recall.of + result.scores.void_utterances == 5
    assert 1 <= result.scores.void_utterances <= 3  # a busy machine may lose sound in real time besides
    assert result.session is not None
    assert result.session.legs >= 2  # of each loss of sound, one more
    assert result.agreement is not None
    assert not result.agreement.disagreements
    if not result.session.integrity.ring_overflows:  # a busy machine loses sound in real time
        assert result.session.legs == 2
        assert result.agreement.positions.same_slice == result.agreement.positions.paired


@pytest.mark.slow
def test_an_interrupt_keeps_all_that_was_measured(bench: Bench, running: subprocess.Popen[str]) -> None:
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=TIMEOUT)
    assert running.returncode == 130
    assert "--resume" in said
    assert [path.name for path in bench.raw.parent.iterdir() if "partial" in path.name] == []
