"""Which boards are flashed before a session, and which never."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from firmware.boards.board import ForeignFirmware, NoAnswer
from firmware.boards.ready import make_ready
from firmware.build import Firmware, FirmwareModel
from firmware.native_api import WrongBoard
from tests.harness.session.conftest import candidate, material
from tests.harness.session.fakes import FakeBoard
from wakeword.device_model import DeviceModel
from wakeword.errors import InfrastructureError

__all__ = ["candidate", "material"]


class Unfit(FakeBoard):
    """Not fit for a session until it is flashed."""

    error: InfrastructureError = NoAnswer("nobody there")

    async def health(self) -> None:
        if not self.flashed:
            raise self.error


def firmware(sha256: str) -> Firmware:
    """With one model of this hash."""
    model = FirmwareModel("ww_loud", "loud", Path("loud.json"), sha256, bytes=1, cutoff=128, window=1, arena=1)
    return Firmware("esp32-s3-devkitc-1", "mww-desk", Path("runs/desk"), None, (model,), "2026.10.0")


def ready(board: FakeBoard, *, flash: bool, given: bool = True) -> list[str]:
    said: list[str] = []
    made = firmware(board.model_sha256) if given else None
    asyncio.run(make_ready(board, made, flash=flash, say=said.append))
    return said


@pytest.mark.parametrize("error", [NoAnswer("nobody there"), ForeignFirmware("lacks the action")])
def test_a_blank_or_foreign_one_is_flashed_when_that_was_asked_for(
    error: InfrastructureError, candidate: DeviceModel
) -> None:
    board = Unfit(candidate)
    board.error = error
    with pytest.raises(
        type(error),
        match=(
            rf"{error}; a board that is blank .* needs the bench's: mww-firmware flash --board virtual --firmware"
            r" runs/desk"
        ),
    ):
        ready(board, flash=False)
    with pytest.raises(
        type(error),
        match="build it with mww-firmware build --target host, then mww-firmware flash --board virtual --firmware DIR",
    ):
        ready(board, flash=True, given=False)
    assert not board.flashed
    assert ready(board, flash=True) == [f"{error}; flashing mww-desk"]
    assert len(board.flashed) == 1
    assert ready(board, flash=True) == []


@pytest.mark.parametrize("error", [WrongBoard("another MAC"), InfrastructureError("its program has ended")])
def test_another_board_is_never_flashed(error: InfrastructureError, candidate: DeviceModel) -> None:
    board = Unfit(candidate)
    board.error = error
    with pytest.raises(type(error), match=f"^{error}$"):
        ready(board, flash=True)
    assert not board.flashed
