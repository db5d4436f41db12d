"""The virtual board in a session: a program on this machine that hears what is played to the bench's microphone in it.

Its figures are those of "ESPHome's detection code on Linux with TFLM reference kernels": never on-device.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from firmware.boards.board import BoardKind
from firmware.boards.digital import LOSSLESS_PACE, REALTIME_PACE, DigitalPlayer
from firmware.boards.entry import HOST_TARGET, BoardEntry
from firmware.boards.microphone_link import MicrophoneAddress, ModelDelivery
from wakeword.errors import ConfigError, InfrastructureError

if TYPE_CHECKING:
    from firmware.build import Firmware
    from firmware.native_api import Target
    from firmware.virtual.program import VirtualProgram

LOOPBACK = "127.0.0.1"


class VirtualBoard:
    """A board of kind `virtual`, which runs `firmware` (target `host`). It satisfies `Board`."""

    def __init__(
        self,
        entry: BoardEntry,
        firmware: Firmware | None,
        *,
        folder: Path | None = None,
        realtime: bool = False,
        digital: bool = False,
        delivery: ModelDelivery | None = None,
        pace: float | None = None,
    ) -> None:
        """The board of an inventory entry, not started yet.

        Args:
            entry: Of the inventory.
            firmware: With a program for this machine.
            folder: Gets the program's log when the board is stopped.
            realtime: Hear at the speed of sound.
            digital: Says nothing new: it is always played samples.
            delivery: A model that it gets before each stream.
            pace: Speed of a microphone that does not wait, 1 for real time; it goes before `realtime`.

        Raises `ConfigError` without a firmware, and when it is not one for this machine.
        """
        del digital
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
        self._firmware, self._folder, self._delivery = firmware, folder, delivery
        self._program: VirtualProgram | None = None
        self._player: DigitalPlayer | None = None

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

    def feed(self) -> DigitalPlayer:
        """What plays to its microphone."""
        self._player = self.make_player()
        return self._player

    def make_player(self) -> DigitalPlayer:
        """A player to the program as it runs, which starts it anew for each stream."""

        async def restart() -> None:
            await asyncio.to_thread(self.program.restart)

        return DigitalPlayer(self.microphone_address, self.pace, restart, self._delivery)

    def microphone_address(self) -> MicrophoneAddress:
        """Where the running program's microphone listens."""
        return MicrophoneAddress(LOOPBACK, self.program.microphone_port, self.api_key, self.entry.name)

    @property
    def room(self) -> Path:
        """Where its own microphone hears from."""
        return self.program.room

    def runs(self, firmware: Firmware) -> bool:
        """It is started from the firmware that it was given."""
        return firmware.folder == self._firmware.folder

    def probabilities(self, model_sha256: str) -> NDArray[np.uint8]:
        """Every probability of a model in the running stream: uint8 `[inferences]`."""
        built_in = [model.sha256 for model in self._firmware.models]
        told = None if self._player is None else self._player.probabilities_of(model_sha256, built_in)
        return np.zeros(0, np.uint8) if told is None else told


KIND = BoardKind("virtual", "virtual board", fed=True, open=VirtualBoard)
