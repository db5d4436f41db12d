"""One calibration for all that look at what it found."""

from __future__ import annotations

import pytest

from bench_audio.calibration.flow import Measured
from bench_audio.simulated_rig import Rig, SimulatedRig
from bench_audio.synthetic_room import Room
from tests.bench_audio.calibration.rigs import RATE, calibrated


@pytest.fixture(scope="session")
def done() -> tuple[SimulatedRig, Measured]:
    rig = SimulatedRig(Rig(room=Room(rt60_seconds=0.3, seed=2, delay_seconds=0.003), sample_rate=RATE))
    return rig, calibrated(rig)
