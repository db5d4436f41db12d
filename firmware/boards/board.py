"""What a session asks of a board and of the sound that reaches it, and what is known of a kind of board before one is
opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from firmware.boards.entry import BoardEntry
from wakeword.errors import BoardRefused, InfrastructureError

if TYPE_CHECKING:
    from firmware.boards.microphone_link import MicrophoneAddress, ModelDelivery
    from firmware.build import Firmware
    from firmware.native_api import Target


class BoardGone(InfrastructureError):
    """The board, or the way of the sound to it, went away while it was needed. The session waits for it; nothing else
    is to be read from this.
    """


class BufferFull(BoardGone):
    """The board's ring buffer had no room for sound: its detection is too slow."""


class ForeignFirmware(BoardRefused):
    """A board that answers is not the bench's: other firmware, another key or another target. Flashing mends that,
    where the board's MAC is the right one.
    """


class NoAnswer(InfrastructureError):
    """Nothing answers at the board's address: it is off, not on the network, or holds no firmware."""


class Player(Protocol):
    """Brings samples to a board's microphone. Its devices are opened by the first stream, and held until `close`."""

    @property
    def position(self) -> int:
        """Samples of the running stream that the board has certainly heard."""
        ...

    async def restart_stream(self, keep: Path | None = None) -> None:
        """Begin a new stream: detection stopped and started again, so its state is that after boot; position 0. Raises
        `BoardGone`.

        What a microphone hears of the stream goes into the WAV file `keep` as it comes, where there is one (16 kHz mono
        int16).
        """
        ...

    async def play(self, samples: NDArray[np.int16]) -> None:
        """Play 16 kHz mono samples `[n]`; returns when the board has taken them. Raises `BoardGone`."""
        ...

    async def drain(self) -> None:
        """Wait until the board has processed all that was played. Raises `BoardGone`."""
        ...

    def news(self) -> list[dict[str, Any]]:
        """What happened to the sound on its way since the last call, as values of raw events of kind `sound`, see
        `harness.session.sound`.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """Devices, rates and true peak of the stream so far, for the raw event that ends it; empty where nothing lies
        between player and board.
        """
        ...

    async def close(self) -> None:
        """Let go of what the player holds. Never raises because the board is gone."""
        ...


class Board(Protocol):
    """One board of the inventory: started, perhaps more than once, and stopped once."""

    @property
    def entry(self) -> BoardEntry:
        """The board's entry of the inventory."""
        ...

    @property
    def target(self) -> Target:
        """Where its native API is, under which key, and which name and MAC address answer there; known once it is
        started.
        """
        ...

    async def start(self) -> None:
        """See that the board runs: a virtual board's program is launched, also where an earlier one has ended; a real
        one runs already.
        """
        ...

    async def health(self) -> None:
        """Raise `InfrastructureError`, in clear words, when the board is not fit for a session: `ForeignFirmware` or
        `NoAnswer` where flashing may mend it.
        """
        ...

    async def flash(self, firmware: Firmware, say: Callable[[str], None]) -> None:
        """Bring a firmware to the running board; `say` takes what a user should read meanwhile. Raises
        `InfrastructureError`.
        """
        ...

    def runs(self, firmware: Firmware) -> bool:
        """Whether the board, when it was last asked, ran this very build, and not another one with the same models."""
        ...

    def feed(self) -> Player | None:
        """What brings samples right to the board's microphone; None where it hears the room that it stands in."""
        ...

    def microphone_address(self) -> MicrophoneAddress:
        """Where the bench's microphone listens, in a firmware that has it."""
        ...

    @property
    def room(self) -> Path | None:
        """The socket of the room that a board hears which is a program (`firmware.virtual.room`); None for one that
        stands in a real room.
        """
        ...

    def probabilities(self, model_sha256: str) -> NDArray[np.uint8] | None:
        """One uint8 an inference of this model since the board has started, `[inferences]`; None where a board does not
        tell them.
        """
        ...

    async def stop(self) -> None:
        """End what `start` began. Called once, at the end of a session."""
        ...


class OpenBoard(Protocol):
    """Makes the board of an inventory entry, not started yet."""

    def __call__(
        self,
        entry: BoardEntry,
        firmware: Firmware | None,
        *,
        folder: Path | None = None,
        realtime: bool = False,
        digital: bool = False,
        delivery: ModelDelivery | None = None,
    ) -> Board:
        """The board of an inventory entry.

        Args:
            entry: Of the inventory.
            firmware: What the board runs, or is to run.
            folder: Where it may keep files.
            realtime: Hear at the speed of sound.
            digital: It is played samples over the network instead of sound.
            delivery: A model that it gets before each stream.

        Raises `ConfigError` where something is missing that this kind of board needs.
        """
        ...


@dataclass(frozen=True)
class BoardKind:
    """What is known of a kind of board: the constant `KIND` of its module in `firmware.boards.kinds`."""

    name: str
    """As boards.yaml has it."""
    source: Literal["virtual board", "on-device"]
    """What its figures may be called."""
    fed: bool
    """Whether its microphone takes samples (`Board.feed`), from the harness or from a recording device of this machine.
    Others hear a loudspeaker."""
    open: OpenBoard
    lack: Callable[[BoardEntry], str] = lambda _: ""
    """What an entry of the inventory has to say and does not, with the remedy; empty if nothing."""

    @property
    def runs_here(self) -> bool:
        """Whether it is a program on this machine, which runs what it is opened with: there is nothing to flash."""
        return self.source == "virtual board"
