"""A board that is fit for a session; where it is blank or has other firmware, it is flashed if the user wants that, or
the one command is said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from firmware.boards.board import Board, ForeignFirmware, NoAnswer

if TYPE_CHECKING:
    from firmware.build import Firmware


async def make_ready(board: Board, firmware: Firmware | None, *, flash: bool, say: Callable[[str], None]) -> None:
    """Start the board and ask how it is. With `flash`, one that does not answer or has other firmware gets `firmware`,
    and is asked again.

    Raises `InfrastructureError` where it is not fit; another board than the inventory's is never flashed.
    """
    await board.start()
    try:
        await board.health()
    except (ForeignFirmware, NoAnswer) as error:
        if firmware is None or not flash:
            raise type(error)(f"{error}; {_remedy(board, firmware)}") from error
        say(f"{error}; flashing {firmware.name}")
        await board.flash(firmware, say)
        await board.health()


def _remedy(board: Board, firmware: Firmware | None) -> str:
    entry = board.entry
    folder = "DIR" if firmware is None else firmware.folder
    built = f"build it with mww-firmware build --target {entry.target}, then " if firmware is None else ""
    return (
        f"a board that is blank or has other firmware needs the bench's: {built}mww-firmware flash --board {entry.name}"
        f" --firmware {folder} (or --flash here)"
    )
