"""Small and fast computed rigs that are calibrated, and who puts the calibrator on and off."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from bench_audio.calibration.flow import STEPS, CalibrationSettings, Measured, Moment, measure
from bench_audio.simulated_rig import SimulatedRig

RATE = 24_000
SHORT = CalibrationSettings(
    max_boost_db=15.0, sweep_seconds=4.0, noise_seconds=5.0, level_seconds=10.0, tail_seconds=1.0
)
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

STATED = replace(SHORT, steps=STEPS[1:], full_scale_spl=120.0)


class Person:
    """Puts the calibrator on and off, and may let the microphone drift meanwhile."""

    def __init__(self, rig: SimulatedRig, drift_db: float = 0.0) -> None:
        self.rig, self.drift_db = rig, drift_db
        self.moments: list[Moment] = []

    def __call__(self, moment: Moment, _: str) -> None:
        self.moments.append(moment)
        self.rig.calibrator_spl = 94.0 if moment in ("calibrator on", "calibrator again") else None
        if moment == "calibrator again":
            self.rig.sensitivity_drift_db = self.drift_db


def calibrated(rig: SimulatedRig, settings: CalibrationSettings = SHORT, drift_db: float = 0.0) -> Measured:
    return measure(rig, settings, Person(rig, drift_db), lambda _: None)
