"""What a session asks of a board and of the sound that reaches it. One implementation a kind of board, each in its own file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from firmware.boards.inventory import BoardEntry
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError

if TYPE_CHECKING:
    from firmware.build import Firmware
    from harness.boards.air_settings import AirSettings


class BoardGone(InfrastructureError):
    """The board, or the way of the sound to it, went away while it was needed. The session waits for it; nothing else is to be read from this."""


class ForeignFirmware(BoardRefused):
    """A board that answers is not the bench's: other firmware, another key or another target. Flashing mends that, where the board's MAC is the right one."""


class NoAnswer(InfrastructureError):
    """Nothing answers at the board's address: it is off, not on the network, or holds no firmware."""


class Player(Protocol):
    """Brings samples to the board's microphone."""

    @property
    def position(self) -> int:
        """Samples of the running stream that the board has certainly heard."""
        ...

    async def play(self, samples: NDArray[np.int16]) -> None:
        """Play 16 kHz mono samples `[n]`; returns when the board has taken them. Raises `BoardGone`."""
        ...

    async def drain(self) -> None:
        """Wait until the board has processed all that was played. Raises `BoardGone`."""
        ...

    async def restart_stream(self) -> None:
        """Begin a new stream: detection stopped and started again, so its state is that after boot; position 0. Raises `BoardGone`."""
        ...

    async def close(self) -> None:
        """Let go of what the player holds. Never raises because the board is gone."""
        ...


class Board(Protocol):
    """One board of the inventory. `api_key` is a secret: it is handed to the API client and goes nowhere else."""

    @property
    def entry(self) -> BoardEntry:
        """The board's entry of the inventory."""
        ...

    @property
    def source(self) -> Literal["virtual board", "on-device"]:
        """What its figures may be called."""
        ...

    @property
    def expected_name(self) -> str | None:
        """The name that the board's firmware announces."""
        ...

    @property
    def expected_mac(self) -> str | None:
        """The MAC address that the board announces, where it is known."""
        ...

    @property
    def address(self) -> str:
        """Host name or IP address of its native API; known once it is started."""
        ...

    @property
    def api_port(self) -> int:
        """Port of its native API; known once it is started."""
        ...

    @property
    def api_key(self) -> str:
        """The base64 key of its native API."""
        ...

    async def start(self) -> None:
        """See that the board runs: a virtual board's program is launched, also where an earlier one has ended; a real one runs already."""
        ...

    async def stop(self) -> None:
        """End what `start` began. Called once, at the end of a session."""
        ...

    async def flash(self, firmware: Firmware) -> None:
        """Bring a firmware to the running board over the air. Raises `InfrastructureError`."""
        ...

    async def health(self) -> None:
        """Raise `InfrastructureError`, in clear words, when the board is not fit for a session: `ForeignFirmware` or `NoAnswer` where flashing may mend it."""
        ...

    def player(self) -> Player:
        """The way of the sound to this board."""
        ...


@runtime_checkable
class HasTrace(Protocol):
    """A board that tells every probability of its models. A real one does not."""

    def probabilities(self, model_sha256: str) -> NDArray[np.uint8]:
        """One uint8 an inference of this model since the board has started, `[inferences]`; empty where it has made none."""
        ...


@runtime_checkable
class KeepsSound(Protocol):
    """A player through the air: it keeps what a microphone heard, and knows what happened to the sound on its way."""

    def keep(self, path: Path) -> None:
        """The next stream's sound goes into this WAV file (16 kHz mono int16), as it comes."""
        ...

    def news(self) -> list[dict[str, Any]]:
        """What happened since the last call, as values of raw events of kind `sound`, see `harness.session.sound`."""
        ...

    def facts(self) -> dict[str, Any]:
        """Devices, rates and true peak of the stream so far, for the raw event that ends it."""
        ...


def open_board(
    entry: BoardEntry,
    firmware: Firmware | None,
    *,
    realtime: bool = False,
    folder: Path | None = None,
    air: AirSettings | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Board:
    """The board of an inventory entry, not started yet.

    `firmware` is what the board runs, or is to run; a real one may do without. `folder` is where a virtual board may keep files. `air` is the way of the
    sound where it goes through the air. `say` takes what a user should read while a board is flashed.
    Raises `ConfigError` for a kind of board that needs what is not there.
    """
    if entry.kind == "serial":
        if air is None:
            raise ConfigError(f"board {entry.name!r} is a real one: sound reaches it through a loudspeaker; give --speaker, or name it in boards.yaml")
        from harness.boards.air import AirPlayer
        from harness.boards.serial import SerialBoard

        loudspeaker = air
        return SerialBoard(entry, firmware, lambda _: AirPlayer(loudspeaker), say=say)
    if firmware is None:
        raise ConfigError(f"board {entry.name!r} is virtual and needs a firmware built for target 'host'; run mww-firmware build --target host")
    from harness.boards.virtual import VirtualBoard

    if air is None:
        return VirtualBoard(entry, firmware, realtime=realtime, folder=folder)
    from harness.boards.air import AirPlayer

    way = air
    # As fast as it takes them: the microphone itself is what keeps the time.
    return VirtualBoard(entry, firmware, folder=folder, through=lambda ear: AirPlayer(way, ear))
