"""A real board: it runs on its own, is reached on the network, and is flashed over the air or over its serial port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from firmware.answers import BENCH_MICROPHONE, OWN_MICROPHONE
from firmware.boards.board import BoardKind, ForeignFirmware, NoAnswer
from firmware.boards.digital import REALTIME_PACE, DigitalPlayer
from firmware.boards.entry import HOST_TARGET, BoardEntry
from firmware.boards.microphone_link import MicrophoneAddress, ModelDelivery
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError

if TYPE_CHECKING:
    from firmware.build import Firmware
    from firmware.native_api import Running, Target

HEALTH_SECONDS = 20.0
"""For one answer; a board on bad Wi-Fi is found by its name in some seconds."""
KEY_VARIABLE = "MWW_API_KEY"


class SerialBoard:
    """A board of kind `serial`. It satisfies `Board`.

    `firmware` is what it runs, or is to run: its name, and its API key where `MWW_API_KEY` does not give one. Its
    address is the one of the inventory, else the name that the firmware announces by mDNS.
    """

    def __init__(
        self,
        entry: BoardEntry,
        firmware: Firmware | None,
        *,
        folder: Path | None = None,
        realtime: bool = False,
        digital: bool = False,
        delivery: ModelDelivery | None = None,
    ) -> None:
        """The board of an inventory entry.

        Args:
            entry: Of the inventory.
            firmware: See above.
            folder: Says nothing: it keeps no files.
            realtime: Says nothing: sound has one speed for it.
            digital: It is played samples over the network.
            delivery: A model that it gets before each stream.

        Raises `ConfigError` where nothing gives the board's key.
        """
        from firmware.build import default_name

        del folder, realtime
        self.entry = entry
        self._name = entry.device_name or (default_name(entry.target) if firmware is None else firmware.name)
        self._key = _key(entry, firmware)
        self._digital, self._delivery = digital, delivery
        self._player: DigitalPlayer | None = None
        self._models: tuple[str, ...] = ()
        self._running: Running | None = None

    @property
    def target(self) -> Target:
        """Its native API on the network."""
        return self._named(self._name)

    async def start(self) -> None:
        """A real board runs already."""

    async def health(self) -> None:
        """Ask the board who it is.

        Raises `WrongBoard` when another board answers, `ForeignFirmware` for firmware that is not the bench's, or for
        another target, and `NoAnswer`.
        """
        from firmware.native_api import WrongBoard, ask

        try:
            running = await ask(self._named(self.entry.name), HEALTH_SECONDS)
        except WrongBoard:
            raise
        except BoardRefused as error:
            raise ForeignFirmware(str(error)) from error
        except InfrastructureError as error:
            raise NoAnswer(str(error)) from error
        self._running = running
        self._models = tuple(model.sha256 for model in running.identity.models)
        if running.identity.target != self.entry.target:
            found = running.identity.target
            raise ForeignFirmware(
                f"board {self.entry.name!r}: runs firmware for {found}, not {self.entry.target}; correct boards.yaml,"
                " or flash it"
            )
        self._check_microphone(running.identity.microphone)

    def _check_microphone(self, found: str) -> None:
        """A board that listens to the other one hears nothing of what is played: figures of it would be false."""
        wanted = BENCH_MICROPHONE if self._digital else OWN_MICROPHONE
        if found in ("", wanted) or self.entry.target == HOST_TARGET:  # a program has no microphone of its own
            return
        built, way = ("with", "digital") if found == BENCH_MICROPHONE else ("without", "air")
        raise ForeignFirmware(
            f"board {self.entry.name!r}: its firmware was built {built} --digital, which hears by --source {way} alone;"
            " give that, or flash another"
        )

    async def flash(self, firmware: Firmware, say: Callable[[str], None]) -> None:
        """Bring a firmware to the board, over the air where it answers, and prove that it runs. Raises as
        `firmware.flashing.flash_board`.
        """
        from firmware.credentials import api_key
        from firmware.flashing import FlashOptions, flash_board

        entry = self.entry.model_copy(update={"address": self.entry.address or f"{firmware.name}.local"})
        await asyncio.to_thread(flash_board, entry, firmware, FlashOptions(), report=say)
        # From here on the board answers to the new firmware's name and key.
        self._name, self._key = firmware.name, api_key(firmware.folder)
        self._models = tuple(model.sha256 for model in firmware.models)

    def runs(self, firmware: Firmware) -> bool:
        """By its name, its models and the time of the build."""
        from firmware.flashing import runs_firmware

        if self._running is None or firmware.ota_image is None:
            return False
        return runs_firmware(self._running, firmware)

    def feed(self) -> DigitalPlayer | None:
        """What plays samples to it; None where it hears the room that it stands in."""
        if not self._digital:
            return None
        self._player = DigitalPlayer(self.microphone_address, REALTIME_PACE, delivery=self._delivery)
        return self._player

    def microphone_address(self) -> MicrophoneAddress:
        """Where its microphone listens, in a firmware that was built with `--digital`."""
        target = self.target
        return MicrophoneAddress(target.address, self.entry.microphone_port, self._key, self.entry.name)

    @property
    def room(self) -> None:
        """It stands in a real one."""
        return

    def probabilities(self, model_sha256: str) -> NDArray[np.uint8] | None:
        """Every probability of the running stream that was played as samples: uint8 `[inferences]`. It does not tell
        those of sound in its room.
        """
        return None if self._player is None else self._player.probabilities_of(model_sha256, self._models)

    async def stop(self) -> None:
        """A real board goes on running."""

    def _named(self, name: str) -> Target:
        from firmware.native_api import make_target

        return make_target(
            self.entry.address or f"{self._name}.local", self.entry.api_port, self._key, name, self.entry.mac
        )


def _key(entry: BoardEntry, firmware: Firmware | None) -> str:
    from firmware.credentials import api_key

    if key := os.environ.get(KEY_VARIABLE):
        return key
    if firmware is None:
        raise ConfigError(
            f"board {entry.name!r}: its API key is not known; set {KEY_VARIABLE}, or give the firmware that it runs by"
            " --firmware"
        )
    return api_key(firmware.folder)


def _lack(entry: BoardEntry) -> str:
    unknown = entry.mac is None and entry.usb_serial is None
    return "neither mac nor usb_serial is given, and ports move; add one of them" if unknown else ""


KIND = BoardKind("serial", "on-device", fed=False, open=SerialBoard, lack=_lack)
