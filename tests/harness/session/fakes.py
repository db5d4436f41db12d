"""A board inside the test: it hears what is played with the device's own arithmetic, and goes wrong on command.

For the logic of a session alone; ESPHome's code is the virtual board's.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firmware.answers import Identity, ModelIdentity, Stamp
from firmware.boards.board import Board, BoardGone
from firmware.boards.entry import VIRTUAL_BOARD, BoardEntry
from firmware.boards.microphone_link import MicrophoneAddress
from firmware.native_api import Target
from harness.session.journal import SessionLog
from wakeword.contract import quantise, slice_end_seconds
from wakeword.detector import Detector
from wakeword.device_model import DeviceModel
from wakeword.engines import Engine, open_engine
from wakeword.errors import InfrastructureError, MwwError
from wakeword.frontend import Frontend

if TYPE_CHECKING:
    from firmware.build import Firmware

type Fault = Callable[[FakeBoard], None]


@dataclass
class FakeBoard:
    """Runs a candidate's model; `faults` happen once, when the measured stream has so many samples."""

    candidate: DeviceModel
    faults: dict[int, Fault] = field(default_factory=dict)
    deaf: bool = False
    comes_back: bool = True
    enabled: bool = True
    model_sha256: str = ""
    flashed: list[Firmware] = field(default_factory=list)
    entry: BoardEntry = VIRTUAL_BOARD
    target: Target = field(default_factory=lambda: Target("127.0.0.1", 6053, "", "fake", None))

    def __post_init__(self) -> None:
        self.model_sha256 = self.model_sha256 or self.candidate.model.sha256
        self.cutoff = self.candidate.point.cutoff
        self.running = self.connected = False
        self.boots = self.streams = self.stops = 0
        self.told: Callable[[int], None] = lambda _: None
        self.link: Callable[[bool], None] = lambda _: None
        self.engine: Engine = open_engine(self.candidate.model)[0]
        self.played: list[NDArray[np.int16]] = []
        self.restart_stream()

    @property
    def boot_id(self) -> str:
        return f"{self.boots:08x}"

    def restart_stream(self) -> None:
        self.engine.reset()
        self.frontend, self.detector = Frontend(), Detector(self.cutoff, self.candidate.point.window)
        self.position, self.slices, self.trace = 0, 0, [np.zeros(0, np.uint8)]
        self.played = []

    def hear(self, samples: NDArray[np.int16]) -> None:
        """Decide slice by slice, and tell each detection with the position of its slice."""
        self.played.append(samples)
        features = quantise(self.frontend.process(samples))
        probabilities = self.engine.run(features)
        self.trace.append(probabilities)
        answers = iter(probabilities)
        for _ in range(len(features)):
            self.slices += 1
            found = self.detector.step(int(next(answers)) if self.slices % self.engine.stride == 0 else None)
            if found is not None and not self.deaf:
                self.told(round(slice_end_seconds(found.slice_index) * 16000))
        self.position += len(samples)

    # What a session asks

    async def start(self) -> None:
        if not self.running:
            if self.boots and not self.comes_back:
                raise InfrastructureError("the fake board does not start")
            self.running = True
            self.boots += 1
            self.link(True)

    async def stop(self) -> None:
        self.running = False
        self.stops += 1

    async def flash(self, firmware: Firmware, say: Callable[[str], None]) -> None:
        del say
        self.flashed.append(firmware)
        self.model_sha256 = firmware.models[0].sha256

    async def health(self) -> None:
        if not self.running:
            raise InfrastructureError("the fake board is off")

    def runs(self, firmware: Firmware) -> bool:
        return firmware in self.flashed

    def feed(self) -> FakePlayer:
        return FakePlayer(self)

    @property
    def room(self) -> None:
        return None

    def microphone_address(self) -> MicrophoneAddress:
        raise InfrastructureError("it has no microphone of the bench")

    def probabilities(self, model_sha256: str) -> NDArray[np.uint8]:
        assert model_sha256 == self.candidate.model.sha256
        return np.concatenate(self.trace)

    # What goes wrong

    def lose_power(self) -> None:
        """Off, until a session starts it again."""
        self.running = False
        self.link(False)

    def reboot(self) -> None:
        """Off and on by itself."""
        self.link(False)
        self.boots += 1
        self.restart_stream()
        self.link(True)

    def lose_connection(self) -> None:
        """The API alone; it comes back when somebody waits for it."""
        self.link(False)


class FakePlayer:
    def __init__(self, board: FakeBoard) -> None:
        self.board = board

    @property
    def position(self) -> int:
        return self.board.position

    async def play(self, samples: NDArray[np.int16]) -> None:
        if not self.board.running:
            raise BoardGone("the fake board went away")
        self.board.hear(samples)
        if self.board.streams >= 2:  # the first stream is the health check's
            for position in [position for position in self.board.faults if position <= self.board.position]:
                self.board.faults.pop(position)(self.board)

    async def drain(self) -> None:
        if not self.board.running:
            raise BoardGone("the fake board went away")

    def news(self) -> list[dict[str, Any]]:
        return []

    def facts(self) -> dict[str, Any]:
        return {}

    async def restart_stream(self, keep: Path | None = None) -> None:
        del keep
        self.board.streams += 1
        self.board.restart_stream()

    async def close(self) -> None:
        pass


class FakeCollector:
    """Writes what the real one writes, at once."""

    def __init__(self, board: FakeBoard, log: SessionLog, *, patient: bool = True) -> None:
        self.board, self.log = board, log
        self.connected = False
        self.fatal: MwwError | None = None
        self.patient = patient
        self.seq, self.boot_id = 0, ""
        board.told, board.link = self._detection, self._link

    async def wait_connected(self, timeout: float) -> None:
        if not self.connected:
            if not self.board.running or not self.patient:
                raise InfrastructureError(f"no connection within {timeout:g} s")
            self._connect()

    async def identify(self) -> Identity:
        await self.wait_connected(0)
        point = self.board
        word, window = point.candidate.manifest.wake_word, point.candidate.point.window
        model = ModelIdentity("ww", word, point.model_sha256, 1, point.cutoff, window, point.enabled)
        models = f"ww|{model.wake_word}|{model.sha256}|1|{model.cutoff}"
        self._answer("identity", target="host", models=models)
        return Identity(Stamp(self.boot_id, self.seq, 0), "host", (model,))

    async def set_cutoff(self, model_id: str, cutoff: int) -> None:
        assert model_id == "ww"
        self.board.cutoff = cutoff
        self.board.restart_stream()

    async def start_detection(self) -> None:
        await self.wait_connected(0)

    async def stop_detection(self) -> None:
        await self.wait_connected(0)

    async def flush(self, timeout: float) -> None:
        await self.wait_connected(timeout)
        self.heartbeat()

    def heartbeat(self) -> None:
        """Two round trips: all that was decided so far is confirmed."""
        self._answer("clock")
        self._answer("clock")

    def _connect(self) -> None:
        if self.boot_id != self.board.boot_id:
            self.boot_id, self.seq = self.board.boot_id, 0
        self.log.write("connected", name="fake", mac="", esphome="1.2.3", boot_id=self.boot_id)
        self.connected = True

    def _link(self, up: bool) -> None:
        if up and not self.connected and self.patient:
            self._connect()
        elif not up and self.connected:
            self.log.write("disconnected", reason="fault")
            self.connected = False

    def _answer(self, kind: str, **values: str) -> None:
        sent = time.monotonic()
        data = {"probe": "1", "t_ms": "0", "boot_id": self.boot_id, "seq": str(self.seq)} | values
        self.log.write(kind, data=data, sent=sent, received=time.monotonic(), sent_position=self.log.position)

    def _detection(self, sample: int) -> None:
        self.seq += 1
        if not self.connected:
            return
        word = self.board.candidate.manifest.wake_word
        line = (
            f"[D][micro_wake_word:493]: Detected '{word}' with sliding average probability is 0.90 and max probability"
            " is 0.99"
        )
        self.log.write("log", level=5, message=line)
        data = {"seq": str(self.seq), "boot_id": self.boot_id, "t_ms": "0", "wake_word": word, "sample": str(sample)}
        self.log.write("detection", data=data)


@dataclass
class Collectors:
    """Opens fake collectors and keeps the last one, so that a fault may reach it."""

    patient: bool = True
    last: FakeCollector | None = None

    @asynccontextmanager
    async def _open(self, board: FakeBoard, log: SessionLog) -> AsyncIterator[FakeCollector]:
        self.last = FakeCollector(board, log, patient=self.patient)
        yield self.last
        log.write("note", text="collector closed")

    def __call__(self, board: Board, log: SessionLog) -> AbstractAsyncContextManager[FakeCollector]:
        assert isinstance(board, FakeBoard)
        return self._open(board, log)
