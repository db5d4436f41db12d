"""Sessions that play samples over TCP: to the virtual board, and to one that is on its own as a real board is, started
and restarted by nobody here. What goes wrong is void, and never a figure.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.boards.digital import DigitalPlayer
from firmware.boards.kinds.serial import SerialBoard
from firmware.boards.microphone_link import MicrophoneAddress, MicrophoneBusy
from firmware.build import RECORD_FILE, Firmware, read_firmware
from firmware.credentials import SECRETS_FILE, new_api_key
from firmware.project import host_mac_address
from firmware.virtual.program import VirtualProgram
from harness.results.schema import Result, unpack_probabilities
from harness.session.measure import measure
from harness.session.request import SessionRequest
from tests.commands import Run
from tests.harness.tcp_proxy import TcpProxy
from tests.microphone_client import PING, MicrophoneClient
from tests.spoken import Spoken, listed
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError

LOOPBACK = "127.0.0.1"
UTTERANCES = 4
WAIT_SECONDS = 60.0

pytestmark = pytest.mark.timeout(300)


@dataclass
class LoneBoard:
    """A board that starts again by itself whenever it ends, behind a network that may stall or break."""

    program: VirtualProgram
    boards: Path
    proxy: TcpProxy
    loop: asyncio.AbstractEventLoop

    def network(self, change: Callable[[TcpProxy], None]) -> None:
        """Change the network to the board's microphone."""
        self.loop.call_soon_threadsafe(change, self.proxy)

    def stall(self, seconds: float) -> None:
        """Nothing comes through for so long."""

        def stall(proxy: TcpProxy) -> None:
            proxy.stall()
            self.loop.call_later(seconds, proxy.flow)

        self.network(stall)

    def cut(self, seconds: float) -> None:
        """Connections break, and nobody can connect for so long."""

        def cut(proxy: TcpProxy) -> None:
            proxy.cut()
            self.loop.call_later(seconds, proxy.mend)

        self.network(cut)


@pytest.fixture
def board(host_firmware: Firmware, tmp_path: Path) -> Iterator[LoneBoard]:
    assert host_firmware.program is not None
    program = VirtualProgram(host_firmware.program)
    program.start()
    loop, ready, ended = asyncio.new_event_loop(), threading.Event(), threading.Event()
    proxy = TcpProxy(LOOPBACK, program.microphone_port)

    def serve() -> None:
        async def run() -> None:
            async with proxy:
                ready.set()
                await asyncio.to_thread(ended.wait)

        loop.run_until_complete(run())
        loop.close()

    def power() -> None:
        while not ended.wait(0.05):
            if program.pid is None:
                program.start()

    threads = [threading.Thread(target=serve), threading.Thread(target=power)]
    for thread in threads:
        thread.start()
    assert ready.wait(WAIT_SECONDS)
    entry = {
        "name": "desk",
        "kind": "serial",
        "target": "host",
        "mac": host_mac_address(host_firmware.name),
        "address": LOOPBACK,
        "api_port": program.api_port,
        "microphone_port": proxy.port,
    }
    boards = tmp_path / "boards.yaml"
    boards.write_text(json.dumps({"boards": [entry]}))
    try:
        yield LoneBoard(program, boards, proxy, loop)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        program.remove()


@pytest.fixture
def wake(spoken: Spoken, tmp_path: Path) -> Path:
    return listed(tmp_path / "wake.txt", spoken.words[:UTTERANCES])


@pytest.fixture
def request_to(
    board: LoneBoard,
    host_firmware: Firmware,
    official_models: Path,
    wake: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> SessionRequest:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))
    return SessionRequest(
        board="desk",
        boards=board.boards,
        model=official_models / "alexa.json",
        firmware=host_firmware.folder,
        wake=(wake,),
        digital=True,
        output=tmp_path / "session",
    )


def when_played(seconds: float, fault: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fault happen once, when so much of the first measured stream was played; the health check is shorter."""
    play, waiting = DigitalPlayer.play, [fault]

    async def played(self: DigitalPlayer, samples: NDArray[np.int16]) -> None:
        await play(self, samples)
        if waiting and self.position > seconds * 16_000:
            await asyncio.to_thread(waiting.pop())

    monkeypatch.setattr(DigitalPlayer, "play", played)


def check(result: Result, *, void: bool) -> None:
    """Each utterance is accounted for, and what was not disturbed is the simulation, probability by probability."""
    recall, agreement = result.scores.recall, result.agreement
    assert recall is not None
    assert agreement is not None
    assert agreement.probabilities is not None
    assert recall.of + result.scores.void_utterances == UTTERANCES
    assert (result.scores.void_utterances > 0) == void
    assert recall.of > 0
    assert agreement.probabilities.compared > 200
    assert (agreement.probabilities.differing, agreement.probabilities.missing) == (0, 0)
    assert agreement.positions.same_slice == agreement.positions.paired > 0
    assert not agreement.disagreements


def test_a_board_on_its_own_is_the_simulation_and_is_called_what_it_is(request_to: SessionRequest) -> None:
    result = measure(request_to).result
    check(result, void=False)
    assert {run.source for run in result.runs} == {"on-device, digital"}
    assert result.session is not None
    assert (result.session.legs, result.session.acoustics) == (1, ())
    assert result.session.wall_seconds > 0.9 * result.session.audio_seconds  # at the speed of sound
    heard = [unpack_probabilities(run.probabilities) for run in result.runs]
    assert [len(one) for one in heard] == [len(unpack_probabilities(run.probabilities)) for run in result.simulation]


@pytest.mark.parametrize("fault", ["Wi-Fi gap", "broken connection", "reboot"])
def test_what_goes_wrong_is_void(
    request_to: SessionRequest, board: LoneBoard, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: dict[str, Callable[[], None]] = {
        "Wi-Fi gap": lambda: board.stall(4.0),
        "broken connection": lambda: board.cut(1.0),
        "reboot": board.program.kill,
    }
    when_played(7.0, faults[fault], monkeypatch)
    result = measure(request_to).result
    check(result, void=True)
    assert result.session is not None
    assert result.session.legs == 2


def test_a_session_that_was_given_up_is_resumed(request_to: SessionRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(InfrastructureError):
        pass

    def stop() -> None:
        raise Stopped("stopped by the test")

    with monkeypatch.context() as first:
        when_played(7.0, stop, first)
        with pytest.raises(Stopped):
            measure(request_to)
    check(measure(replace(request_to, resume=True)).result, void=True)


def test_a_wrong_key_measures_nothing(request_to: SessionRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    right = SerialBoard.microphone_address

    def wrong(self: SerialBoard) -> MicrophoneAddress:
        address = right(self)
        return MicrophoneAddress(address.host, address.port, new_api_key(), address.name)

    monkeypatch.setattr(SerialBoard, "microphone_address", wrong)
    with pytest.raises(BoardRefused, match="refuses the key") as refused:
        measure(request_to)
    assert refused.value.exit_code == 4
    assert request_to.output is not None
    assert not (request_to.output / "result.json").exists()


def test_a_board_that_somebody_else_plays_to_measures_nothing(
    request_to: SessionRequest, board: LoneBoard, host_firmware: Firmware
) -> None:
    ended = threading.Event()
    with MicrophoneClient.of(board.program, host_firmware.folder) as other:
        other.start()

        def stay() -> None:
            while not ended.wait(2.0):
                other.send(PING)

        thread = threading.Thread(target=stay)
        thread.start()
        try:
            with pytest.raises(MicrophoneBusy, match="somebody else plays") as refused:
                measure(request_to)
        finally:
            ended.set()
            thread.join()
    assert refused.value.exit_code == 3
    assert request_to.output is not None
    assert not (request_to.output / "result.json").exists()


@pytest.mark.parametrize("digital", [False, True])
def test_a_firmware_with_the_other_microphone_is_refused_before_anything_is_played(
    request_to: SessionRequest, host_firmware: Firmware, tmp_path: Path, digital: bool
) -> None:
    folder = tmp_path / "firmware"
    folder.mkdir()
    shutil.copy(host_firmware.folder / SECRETS_FILE, folder)
    record = json.loads((host_firmware.folder / RECORD_FILE).read_text())
    files = dict.fromkeys(("program", "ota_image", "factory_image", "elf"))
    other = {"target": "esp32-s3-box-3", "digital": not digital}
    (folder / RECORD_FILE).write_text(json.dumps(record | files | other))
    way = "air" if digital else "digital"
    with pytest.raises(ConfigError, match=f"hears by --source {way} alone"):
        measure(replace(request_to, firmware=folder, digital=digital))


def test_a_program_of_an_earlier_version_is_to_be_built_again(host_firmware: Firmware, tmp_path: Path) -> None:
    record = json.loads((host_firmware.folder / RECORD_FILE).read_text())
    del record["digital"]
    (tmp_path / RECORD_FILE).write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="build again"):
        read_firmware(tmp_path)


def test_the_virtual_board_by_the_command(
    run: Run, host_firmware: Firmware, official_models: Path, wake: Path, tmp_path: Path
) -> None:
    given = ["--board", "virtual", "--model", official_models / "alexa.json", "--wake", wake, "--source", "digital"]
    done = run("mww-bench", "measure", *given, "--firmware", host_firmware.folder, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "probabilities that differ" in done.stdout
    refused = run("mww-bench", "measure", *given, "--speaker", "any", "--output", tmp_path / "other")
    assert refused.returncode == 2
    assert "--speaker has a meaning only for sound through the air" in refused.stderr
