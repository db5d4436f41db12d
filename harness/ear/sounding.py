"""Bringing sound into the room that a board's own microphone hears: a computed one, or a real one by a loudspeaker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from firmware.boards.board import Board, BoardGone
from wakeword.contract import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from firmware.virtual.room import VirtualRoom

PATIENCE = 3.0
"""A computed room may take so many times as long as its sound lasts."""


@contextlib.contextmanager
def room_of(board: Board, settings: Mapping[str, float | int] | None = None) -> Iterator[VirtualRoom | None]:
    """The room of a board that is a program, with these settings of `VirtualRoom`; None for a real one."""
    if board.room is None:
        yield None
        return
    from firmware.virtual.room import VirtualRoom

    with VirtualRoom(board.room, **(settings or {})) as room:  # type: ignore[arg-type]
        yield room


async def play_in_room(
    board: Board, room: VirtualRoom | None, samples: NDArray[np.int16], speaker: str | None = None
) -> bool:
    """Play 16 kHz mono samples `[n]` in the board's room, to their end. False where no loudspeaker is known.

    Raises `BoardGone` where a program does not listen, and as `AirPlayer` does.
    """
    if room is not None:
        room.play(samples)
        if not await asyncio.to_thread(room.wait, 10.0 + PATIENCE * len(samples) / SAMPLE_RATE_HZ):
            raise BoardGone(f"board {board.entry.name!r} does not hear its room to the end")
        return True
    speaker = speaker or board.entry.speaker
    if speaker is None:
        return False
    from harness.air.player import AirPlayer
    from harness.air.settings import AirSettings, check_sound

    settings = AirSettings(speaker=speaker, speaker_rate=board.entry.speaker_rate)
    check_sound(settings)
    player = AirPlayer(settings)
    try:
        await player.play(samples)
        await player.drain()
    finally:
        await player.close()
    return True
