"""What a session needs of the station, looked at before anything that takes minutes: the sound's devices, a calibration that holds, a board that is free."""

from __future__ import annotations

from firmware.boards.entry import BoardEntry
from firmware.boards.lock import hold_board
from harness.air.settings import AirSettings, find_devices, inverse_filter


def check_sound(air: AirSettings | None) -> None:
    """Raise `ConfigError` for a loudspeaker or microphone that is not there, and for a calibration that does not hold for them and their gains."""
    if air is not None:
        find_devices(air)
        inverse_filter(air)


def check_free(entry: BoardEntry) -> None:
    """Raise `InfrastructureError`, which names the holder, where another process has the board or its room now."""
    with hold_board(entry):
        pass
