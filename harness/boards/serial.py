"""A real board in a session: it runs on its own, is reached on the network, and is flashed over the air or over its serial port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from firmware.boards.inventory import BoardEntry
from harness.boards.board import ForeignFirmware, NoAnswer, Player
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError

if TYPE_CHECKING:
    from firmware.build import Firmware

HEALTH_SECONDS = 20.0
"""For one answer; a board on bad Wi-Fi is found by its name in some seconds."""
KEY_VARIABLE = "MWW_API_KEY"

type OpenPlayer = Callable[[SerialBoard], Player]
"""Makes the way of the sound to a board: a loudspeaker in its room."""


class SerialBoard:
    """A board of kind `serial`. It satisfies `Board`.

    `firmware` is what it runs, or is to run: its name, and its API key where `MWW_API_KEY` does not give one. `say` takes what a user should read while
    the board is flashed.
    """

    source: Literal["virtual board", "on-device"] = "on-device"

    def __init__(self, entry: BoardEntry, firmware: Firmware | None, open_player: OpenPlayer, *, say: Callable[[str], None] = lambda _: None) -> None:
        """Raises `ConfigError` where nothing gives the board's key."""
        from firmware.build import default_name

        self.entry = entry
        self.expected_name: str | None = entry.device_name or (default_name(entry.target) if firmware is None else firmware.name)
        self.expected_mac: str | None = entry.mac
        self.api_port = entry.api_port
        self.api_key = _key(entry, firmware)
        self._open_player = open_player
        self._say = say

    @property
    def address(self) -> str:
        """The one of the inventory, else the name that the firmware announces by mDNS."""
        return self.entry.address or f"{self.expected_name}.local"

    async def start(self) -> None:
        """A real board runs already."""

    async def stop(self) -> None:
        """And goes on running."""

    async def flash(self, firmware: Firmware) -> None:
        """Bring a firmware to the board, over the air where it answers, and prove that it runs. Raises as `firmware.flashing.flash_board`."""
        from firmware.credentials import api_key
        from firmware.flashing import FlashOptions, flash_board

        entry = self.entry.model_copy(update={"address": self.entry.address or f"{firmware.name}.local"})
        await asyncio.to_thread(flash_board, entry, firmware, FlashOptions(), report=self._say)
        # From here on the board answers to the new firmware's name and key.
        self.expected_name, self.api_key = firmware.name, api_key(firmware.folder)

    async def health(self) -> None:
        """Ask the board who it is.

        Raises `WrongBoard` when another board answers, `ForeignFirmware` for firmware that is not the bench's, or for another target, and `NoAnswer`.
        """
        from firmware.native_api import WrongBoard, ask, make_target

        target = make_target(self.address, self.api_port, self.api_key, self.entry.name, self.expected_mac)
        try:
            running = await ask(target, HEALTH_SECONDS)
        except WrongBoard:
            raise
        except BoardRefused as error:
            raise ForeignFirmware(str(error)) from error
        except InfrastructureError as error:
            raise NoAnswer(str(error)) from error
        if running.identity.target != self.entry.target:
            found = running.identity.target
            raise ForeignFirmware(f"board {self.entry.name!r}: runs firmware for {found}, not {self.entry.target}; correct boards.yaml, or flash it")

    def player(self) -> Player:
        """The way of the sound to this board."""
        return self._open_player(self)


def _key(entry: BoardEntry, firmware: Firmware | None) -> str:
    from firmware.credentials import api_key

    if key := os.environ.get(KEY_VARIABLE):
        return key
    if firmware is None:
        raise ConfigError(f"board {entry.name!r}: its API key is not known; set {KEY_VARIABLE}, or give the firmware that it runs by --firmware")
    return api_key(firmware.folder)
