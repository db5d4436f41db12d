"""A diagnosis from what the user gave to its facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from firmware.boards.entry import BoardEntry
from firmware.boards.inventory import find_board, inventory_path
from firmware.boards.lock import hold_board
from firmware.boards.registry import kind_of
from firmware.terminal import stages
from harness.diagnosis.facts import Facts
from harness.diagnosis.record import PAGE_FILE, RECORD_FILE
from harness.diagnosis.reference import (
    choose_probe,
    examine_reference,
    reference_recordings,
)
from harness.session.firmware import find_firmware
from harness.session.measure import require_client
from wakeword.device_model import DeviceModel, load_model
from wakeword.errors import ConfigError
from wakeword.progress import working

if TYPE_CHECKING:
    from firmware.build import Firmware

from harness.diagnosis.examination import Examination
from harness.diagnosis.request import DiagnosisRequest


def diagnose(request: DiagnosisRequest, say: Callable[[str], None] = lambda _: None) -> Facts:
    """Ask, play to and listen to a board.

    Raises `ConfigError` for wrong input, `InfrastructureError` when the board does not answer or another one does.
    """
    require_client()
    candidate = load_model(request.model)
    entry = find_board(request.board, inventory_path(request.boards))
    kind = kind_of(entry)
    if request.rehearse is not None and not kind.runs_here:
        raise ConfigError(
            f"--rehearse is for a board that is a program; board {entry.name!r} has a microphone of its own"
        )
    recordings = [] if request.data is None else reference_recordings(request.data)
    with working("reading the training data"):
        reference = None if request.data is None else examine_reference(request.data, recordings)
        probe = choose_probe(candidate, request.probe, recordings)
    request.output.mkdir(parents=True, exist_ok=True)
    for name in (RECORD_FILE, PAGE_FILE):  # an older one would look like this one's
        (request.output / name).unlink(missing_ok=True)
    with hold_board(entry):
        firmware = _firmware(request, entry, candidate)
        board = kind.open(entry, firmware, digital=True)
        return asyncio.run(Examination(request, board, candidate, probe, reference, recordings, say).run())


def _firmware(request: DiagnosisRequest, entry: BoardEntry, candidate: DeviceModel) -> Firmware | None:
    """What the board runs. One that holds another model is no mistake here: it is what is looked for."""
    if request.firmware is not None:
        from firmware.build import read_firmware

        return read_firmware(request.firmware)
    with stages() as (report, progress):
        return find_firmware(entry, candidate, None, digital=True, report=report, progress=progress)
