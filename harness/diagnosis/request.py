"""What a user asks of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REHEARSALS: dict[str, dict[str, float | int]] = {
    "quiet": {"gain_db": -60.0, "noise_dbfs": -100.0},
    "noisy": {"gain_db": -40.0},
    "clipped": {"gain_db": 40.0},
    "empty-channel": {"channel": 1},
    "wrong-rate": {"rate": 48_000},
    "disabled": {},
    "stopped": {},
}
"""Faults that a virtual board can be given; those of its microphone as settings of
`firmware.virtual.room.VirtualRoom`."""


@dataclass(frozen=True)
class DiagnosisRequest:
    """What the user asked for."""

    board: str
    model: Path
    output: Path
    boards: Path | None = None
    firmware: Path | None = None
    probe: Path | None = None
    data: Path | None = None
    """Recordings of the wake word that the model was trained on, or its run's folder."""
    listen_seconds: float = 8.0
    """For a voice, where nothing plays the probe."""
    speaker: str | None = None
    rehearse: str | None = None
    """A fault for a virtual board, of `REHEARSALS`."""
