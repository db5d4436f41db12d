from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench_audio.calibration.sensitivity import CalibratorReading, check_drift, read_calibrator
from bench_audio.duplex import MicrophoneRecording
from bench_audio.simulated_rig import Rig, SimulatedRig
from wakeword.errors import InfrastructureError


def recorded(samples: NDArray[np.float64], rate: int = 48_000) -> MicrophoneRecording:
    return MicrophoneRecording(samples.astype(np.float32), rate)


def sine(frequency: float, level: float, seconds: float = 4.0, rate: int = 48_000) -> NDArray[np.float64]:
    wave = np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    scaled: NDArray[np.float64] = wave * (np.sqrt(2) * 10 ** (level / 20))
    return scaled


@settings(max_examples=25)
@given(
    st.sampled_from([94.0, 114.0]), st.floats(985, 1015), st.floats(112, 135), st.sampled_from([16_000, 44_100, 48_000])
)
def test_the_sensitivity_is_found_within_a_fifth_of_a_decibel(
    calibrator: float, frequency: float, full_scale: float, rate: int
) -> None:
    level = calibrator - full_scale
    assume(level < -3.1)
    noise = np.random.default_rng(1).standard_normal(4 * rate) * 10 ** ((level - 26) / 20)
    reading = read_calibrator(recorded(sine(frequency, level, rate=rate) + noise + 0.01, rate), calibrator)
    assert reading.full_scale_spl == pytest.approx(full_scale, abs=0.05)
    assert reading.frequency_hz == pytest.approx(frequency, abs=0.5)


def test_a_drift_of_the_microphone_is_found() -> None:
    rig = SimulatedRig(Rig(noise_spl=50))
    rig.calibrator_spl = 94
    before = read_calibrator(rig.record(5), 94)
    assert before.full_scale_spl == pytest.approx(120, abs=0.02)
    rig.sensitivity_drift_db = -0.4
    assert check_drift(before, read_calibrator(rig.record(5), 94)) == pytest.approx(-0.4, abs=0.02)
    rig.sensitivity_drift_db = 0.6
    with pytest.raises(InfrastructureError, match=r"\+0.60 dB from where it began.*session is void"):
        check_drift(before, read_calibrator(rig.record(5), 94))


@pytest.mark.parametrize(("drift", "void"), [(0.499, False), (-0.499, False), (0.501, True), (-0.501, True)])
def test_the_limit_is_half_a_decibel(drift: float, void: bool) -> None:
    before, after = (CalibratorReading(level, 94 - level, 1000) for level in (-26.0, -26.0 + drift))
    if void:
        with pytest.raises(InfrastructureError, match="void"):
            check_drift(before, after)
    else:
        assert check_drift(before, after) == pytest.approx(drift)


NOISE = np.random.default_rng(0).standard_normal(4 * 48_000)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (NOISE * 0.01, "no calibrator is heard"),
        (sine(440, -26), "strongest tone lies at 440 Hz"),
        (sine(1030, -26), "lies at 1030 Hz"),
        (sine(1000, -26) * np.linspace(1, 1.1, 4 * 48_000), "wanders by 0.6 dB"),
        (sine(1000, -26) + NOISE * 10 ** (-35 / 20), "above the rest of the sound"),
        (sine(1000, -26, seconds=1.0), "record 2 s or more"),
        (np.zeros(4 * 48_000), "no calibrator is heard"),
    ],
)
def test_what_is_no_seated_calibrator_is_refused(samples: NDArray[np.float64], message: str) -> None:
    with pytest.raises(InfrastructureError, match=message):
        read_calibrator(recorded(samples), 94)
