"""The virtual board in a session: a program on this machine that hears PCM over a Unix socket.

Its figures are those of "ESPHome's detection code on Linux with TFLM reference kernels": never on-device.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firmware.boards.board import BoardGone, BoardKind
from firmware.boards.entry import HOST_TARGET, BoardEntry
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import ConfigError, InfrastructureError

if TYPE_CHECKING:
    from firmware.build import Firmware
    from firmware.native_api import Target
    from firmware.virtual.program import VirtualProgram

LOOPBACK = "127.0.0.1"
REALTIME_PACE, LOSSLESS_PACE = 1.0, 0.0
"""Real time: a chunk every 16 ms whether or not the last one was taken, as a microphone does. Lossless: as fast as the
board takes it."""
BACKLOG_SAMPLES = SAMPLE_RATE_HZ // 2
"""What may lie between us and the board when `play` returns."""
STALL_SECONDS = 30.0
"""A board that hears nothing for so long, although sound is there, is gone: its program hangs, or detection was
stopped."""

_HEADER = struct.Struct("<8sdq")
_PROGRESS = struct.Struct("<qq")
_MAGIC = b"MWWAUDIO"


class VirtualBoard:
    """A board of kind `virtual`, which runs `firmware` (target `host`). It satisfies `Board`."""

    def __init__(
        self,
        entry: BoardEntry,
        firmware: Firmware | None,
        *,
        folder: Path | None = None,
        realtime: bool = False,
        pace: float | None = None,
    ) -> None:
        """Raises `ConfigError` without a firmware, and when it is not one for this machine.

        `pace` is the speed of a microphone that does not wait, 1 for real time; it goes before `realtime`. `folder`
        gets the program's log when the board is stopped.
        """
        if firmware is None:
            raise ConfigError(
                f"board {entry.name!r} is virtual and needs a firmware built for target 'host'; run mww-firmware build"
                " --target host"
            )
        from firmware.credentials import api_key

        if firmware.target != HOST_TARGET or firmware.program is None:
            raise ConfigError(
                f"{firmware.folder}: holds no program for target host; build one with mww-firmware build --target host"
            )
        self.entry = entry
        self.pace = pace if pace is not None else REALTIME_PACE if realtime else LOSSLESS_PACE
        self.api_key = api_key(firmware.folder)
        self._firmware, self._folder = firmware, folder
        self._program: VirtualProgram | None = None

    @property
    def program(self) -> VirtualProgram:
        """What runs. Raises `InfrastructureError` before `start`."""
        if self._program is None:
            raise InfrastructureError(f"board {self.entry.name!r} was not started; start it first")
        return self._program

    @property
    def target(self) -> Target:
        """Its native API on the loopback interface, as the firmware has it that it runs."""
        from firmware.native_api import make_target
        from firmware.project import host_mac_address

        name = self._firmware.name
        return make_target(
            LOOPBACK, self.program.api_port, self.api_key, name, self.entry.mac or host_mac_address(name)
        )

    async def start(self) -> None:
        """Launch the program, also after an earlier one has ended. Raises `InfrastructureError` when it does not come
        up.
        """
        from firmware.virtual.program import VirtualProgram

        if self._program is None:
            assert self._firmware.program is not None
            self._program = VirtualProgram(self._firmware.program, realtime=self.pace == REALTIME_PACE)
        await asyncio.to_thread(self._program.start)

    async def stop(self) -> None:
        """End the program, keep its log where a folder was given, and delete what it had."""
        program, self._program = self._program, None
        if program is None:
            return
        await asyncio.to_thread(program.stop)
        if self._folder is not None and program.log.is_file():
            # A resumed session has one log, as it has one of raw events.
            with contextlib.suppress(OSError), (self._folder / program.log.name).open("ab") as log:
                log.write(program.log.read_bytes())
        await asyncio.to_thread(program.remove)

    async def flash(self, firmware: Firmware, say: Callable[[str], None] = lambda _: None) -> None:
        """Send a firmware over the air, in seconds; the board restarts with it. Raises `InfrastructureError` when it
        does not take it.
        """
        from firmware.credentials import api_key
        from firmware.ota import upload
        from firmware.toolenv import tool_environment

        del say
        if firmware.target != HOST_TARGET or firmware.ota_image is None:
            raise ConfigError(
                f"{firmware.folder}: holds no image for target host; build one with mww-firmware build --target host"
            )
        environment = await asyncio.to_thread(tool_environment)
        await asyncio.to_thread(upload, firmware.ota_image, LOOPBACK, self.program.ota_port, self.api_key, environment)
        # From here on the board answers to the new firmware's name and key.
        self._firmware, self.api_key = firmware, api_key(firmware.folder)
        await asyncio.to_thread(self.program.start)

    async def health(self) -> None:
        """Raise `InfrastructureError` when the program does not run."""
        if self.program.pid is None:
            raise InfrastructureError(
                f"board {self.entry.name!r}: its program has ended ({self.program.last_words()}); start the session"
                " again with --resume"
            )

    def feed(self) -> VirtualPlayer:
        """What brings samples to its microphone."""
        return VirtualPlayer(self)

    def probabilities(self, model_sha256: str) -> NDArray[np.uint8]:
        """Every probability of a model in the running stream: uint8 `[inferences]`."""
        return self.program.probabilities(model_sha256)


class VirtualPlayer:
    """Feeds the virtual microphone."""

    def __init__(self, board: VirtualBoard) -> None:
        self._board = board
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listener: asyncio.Task[None] | None = None
        self._played = self._taken = self._decided = 0
        self._progress = asyncio.Condition()
        self._gone = False

    @property
    def position(self) -> int:
        """Samples of the stream that the board has decided on."""
        return self._decided

    async def play(self, samples: NDArray[np.int16]) -> None:
        """See `Player.play`."""
        if self._writer is None:
            await self._connect()
        assert self._writer is not None
        try:
            self._writer.write(np.ascontiguousarray(samples, "<i2").tobytes())
            self._played += len(samples)
            await self._writer.drain()
        except OSError as error:
            raise self._lost() from error
        await self._until_taken(self._played - BACKLOG_SAMPLES)

    async def drain(self) -> None:
        """See `Player.drain`."""
        if self._writer is not None:
            await self._wait(lambda: self._decided >= self._played)

    def news(self) -> list[dict[str, Any]]:
        """Nothing can happen to sound on its way."""
        return []

    def facts(self) -> dict[str, Any]:
        """No devices lie between."""
        return {}

    async def restart_stream(self, keep: Path | None = None) -> None:
        """See `Player.restart_stream`; the sound is what is played, so none is kept.

        The program is started anew: stopping detection alone would keep the model's half-filled stride.
        """
        del keep
        await self.close()
        self._played = self._taken = self._decided = 0
        await asyncio.to_thread(self._board.program.restart)

    async def close(self) -> None:
        """See `Player.close`."""
        writer, self._writer, listener, self._listener = self._writer, None, self._listener, None
        if listener is not None:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connect(self) -> None:
        await self._board.health()
        try:
            self._reader, self._writer = await asyncio.open_unix_connection(str(self._board.program.audio_socket))
            self._writer.write(_HEADER.pack(_MAGIC, self._board.pace, self._played))
        except OSError as error:
            raise self._lost() from error
        self._gone = False
        self._listener = asyncio.create_task(self._listen(self._reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                self._taken, self._decided = _PROGRESS.unpack(await reader.readexactly(_PROGRESS.size))
                async with self._progress:
                    self._progress.notify_all()
        except (asyncio.IncompleteReadError, OSError):
            self._gone = True
            async with self._progress:
                self._progress.notify_all()

    async def _until_taken(self, samples: int) -> None:
        await self._wait(lambda: self._taken >= samples)

    async def _wait(self, reached: Callable[[], bool]) -> None:
        """Wait for progress; a board that makes none for `STALL_SECONDS` is gone."""
        last, since = (self._taken, self._decided), time.monotonic()
        async with self._progress:
            while not reached():
                if self._gone:
                    raise self._lost()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._progress.wait()
                now = (self._taken, self._decided)
                if now != last:
                    last, since = now, time.monotonic()
                elif time.monotonic() - since > STALL_SECONDS:
                    raise BoardGone(
                        f"board {self._board.entry.name!r} heard nothing for {STALL_SECONDS:.0f} s; look at its log"
                    )

    def _lost(self) -> BoardGone:
        return BoardGone(
            f"board {self._board.entry.name!r}: its microphone went away at {self._decided / SAMPLE_RATE_HZ:.2f} s of"
            " the stream"
        )


KIND = BoardKind("virtual", "virtual board", fed=True, open=VirtualBoard)
