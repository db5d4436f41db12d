"""A board that is listened to: opened, its firmware asked whether it tells what it hears, and its detections collected
beside the sound.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firmware.answers import BENCH_MICROPHONE, Identity, Stamp, parse_detection
from firmware.boards.board import Board
from firmware.boards.ear import BoardEar
from firmware.boards.inventory import find_board, inventory_path
from firmware.boards.lock import hold_board
from firmware.boards.registry import kind_of
from harness.collect.collector import Collector
from harness.collect.raw import RawLog
from harness.collect.witnesses import Detected, parse_fact
from harness.ear.sounding import room_of
from wakeword.device_model import DeviceModel
from wakeword.errors import BoardRefused, ConfigError

if TYPE_CHECKING:
    from firmware.boards.entry import BoardEntry
    from firmware.build import Firmware
    from firmware.virtual.room import VirtualRoom

CONNECT_SECONDS = 60.0


@dataclass(frozen=True)
class TimedDetection:
    """A detection of a board that is listened to."""

    wake_word: str
    sample: int
    """Of what its microphone heard since the listening began."""
    probability: float | None
    """The highest within its window as the board's log says, 0-1, two digits; None where the log says nothing."""


class DetectionLog(RawLog):
    """A raw log that tells detections as they come."""

    def __init__(self, path: Path, told: Callable[[TimedDetection], None]) -> None:
        super().__init__(path)
        self._told = told
        self._boot, self._seq = "", 0
        self.missing = 0
        """Detections that the board counted and that were never told: the connection was broken meanwhile."""
        self._highest: dict[str, float] = {}

    def write(self, kind: str, *, position: int | None = None, **values: Any) -> None:
        """See `RawLog.write`."""
        super().write(kind, position=position, **values)
        # The board logs a detection just before it tells it.
        if kind == "log" and isinstance(fact := parse_fact(str(values["message"])), Detected):
            self._highest[fact.wake_word] = fact.maximum
        if kind != "detection":
            return
        with contextlib.suppress(KeyError, ValueError):  # a damaged event is no detection
            answer = parse_detection(values["data"])
            self._count(answer.stamp)
            if answer.sample is not None:
                self._told(TimedDetection(answer.wake_word, answer.sample, self._highest.pop(answer.wake_word, None)))

    def _count(self, stamp: Stamp) -> None:
        """The board numbers its detections from its start on."""
        same = stamp.boot_id == self._boot
        if same:
            self.missing += max(0, stamp.seq - self._seq - 1)
        self._boot, self._seq = stamp.boot_id, max(stamp.seq, self._seq) if same else stamp.seq


@dataclass(frozen=True)
class Listened:
    """A board while it is listened to."""

    board: Board
    identity: Identity
    collector: Collector
    ear: BoardEar
    room: VirtualRoom | None
    log: DetectionLog

    @property
    def microphone(self) -> str:
        """In words."""
        return f"channel {self.identity.channel}, gain {self.identity.gain}"

    def require_model(self, model: DeviceModel) -> None:
        """Raise `BoardRefused` unless the board's detections of this wake word are those of this model, at its
        operating point.
        """
        board, word = f"board {self.board.entry.name!r}", model.manifest.wake_word
        own = [one for one in self.identity.models if one.sha256 == model.model.sha256]
        if not own:
            held = ", ".join(repr(one.wake_word) for one in self.identity.models) or "none at all"
            raise BoardRefused(
                f"{board} does not run this model ({word!r}) but {held}; give the manifest of what it runs"
            )
        if len([one for one in self.identity.models if one.wake_word == own[0].wake_word]) > 1:
            raise BoardRefused(
                f"{board} runs several models of {word!r}, and its detections do not say which; flash one"
            )
        if own[0].enabled is False:
            raise BoardRefused(f"{board}: detection of {word!r} is disabled; enable it, or start the board again")
        point = model.point
        if own[0].cutoff != point.cutoff or own[0].window not in (None, point.window):
            raise BoardRefused(
                f"{board} runs {word!r} at cutoff {own[0].cutoff}, window {own[0].window}, and the manifest says"
                f" {point.cutoff}, {point.window}; give the manifest that its firmware was built with"
            )

    def wake_word(self, model: DeviceModel) -> str:
        """What the board calls the wake word of a model that it runs."""
        return next(one.wake_word for one in self.identity.models if one.sha256 == model.model.sha256)


@contextlib.asynccontextmanager
async def listening(
    entry: BoardEntry,
    firmware: Firmware | None,
    take: Callable[[NDArray[np.int16]], None],
    told: Callable[[TimedDetection], None] = lambda _: None,
    room: Mapping[str, float | int] | None = None,
) -> AsyncIterator[Listened]:
    """Within it the board's detection hears its own microphone, `take` gets every block of it, and `told` every
    detection.

    Raises `BoardRefused` for a firmware that does not tell what it hears, and `InfrastructureError` for a board that
    does not answer.
    """
    board = kind_of(entry).open(entry, firmware, digital=True)
    await board.start()
    try:
        with tempfile.TemporaryDirectory() as folder, DetectionLog(Path(folder) / "raw.jsonl", told) as log:
            async with Collector(board.target, log) as collector:
                await collector.wait_connected(CONNECT_SECONDS)
                identity = await collector.identify()
                if identity.microphone != BENCH_MICROPHONE:
                    raise BoardRefused(
                        f"board {entry.name!r}: its firmware does not tell what it hears; build it with mww-firmware"
                        " build --digital and flash that"
                    )
                with room_of(board, room) as sounding:
                    async with BoardEar(board.microphone_address(), take) as ear:
                        yield Listened(board, identity, collector, ear, sounding, log)
    finally:
        await board.stop()


def find_station(board: str, boards: Path | None, firmware: Path | None) -> tuple[BoardEntry, Firmware | None]:
    """A board of the inventory, and the firmware that it runs, where its folder is given. Raises `ConfigError` as
    `find_board`, and for a virtual board without a firmware.
    """
    from firmware.build import read_firmware

    entry = find_board(board, inventory_path(boards))
    if firmware is None and kind_of(entry).runs_here:
        raise ConfigError(
            f"board {board!r} is a program: give the folder of mww-firmware build --target host by --firmware"
        )
    return entry, None if firmware is None else read_firmware(firmware)


def run_held[T](entry: BoardEntry, work: Callable[[], Any]) -> Any:
    """Run a coroutine while nobody else has the board."""
    with hold_board(entry):
        return asyncio.run(work())
