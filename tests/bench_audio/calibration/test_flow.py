"""The whole flow on computed rigs: what is found, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from bench_audio import signals
from bench_audio.calibration.flow import CalibrationSettings, Measured
from bench_audio.calibration.levels import equivalent_level
from bench_audio.duplex import DeviceFacts, MicrophoneRecording
from bench_audio.simulated_rig import Rig, SimulatedRig, loudspeaker_taps
from bench_audio.synthetic_room import Room, impulse_response
from tests.bench_audio.calibration.rigs import RATE, SHORT, STATED, calibrated
from wakeword.errors import ConfigError, InfrastructureError


def heard_truly(rig: Rig, played: NDArray[np.float64]) -> NDArray[np.float64]:
    """At the microphone in pascal-like units: an rms of 1 is `spl_of_full_scale_played`; no noise, no microphone, no
    latency.
    """
    through = oaconvolve(
        oaconvolve(played, loudspeaker_taps(rig.loudspeaker, rig.sample_rate)),
        impulse_response(rig.room, rig.sample_rate),
    )
    return through[: played.size]


def test_the_level_at_the_board_is_true_within_a_fifth_of_a_decibel(done: tuple[SimulatedRig, Measured]) -> None:
    rig, measured = done
    level, equalizer = measured.level, measured.swept.equalizer if measured.swept else None
    assert level is not None
    assert equalizer is not None
    played = signals.pink_noise(20.0, RATE, level.played_dbfs, seed=99)  # other noise than was used
    truth = rig.rig.spl_of_full_scale_played + equivalent_level(
        heard_truly(rig.rig, equalizer.apply(played))[RATE:-RATE], RATE, "A"
    )
    assert level.measured_spl == pytest.approx(truth, abs=0.2)
    assert truth == pytest.approx(65, abs=0.7)
    assert level.slow_min_spl < level.measured_spl < level.slow_max_spl


def test_the_noise_floor_is_true_within_a_fifth_of_a_decibel(done: tuple[SimulatedRig, Measured]) -> None:
    rig, measured = done
    assert measured.noise is not None
    from bench_audio.synthetic_room import NoiseLoop

    truth = equivalent_level(NoiseLoop(rig.rig.noise_spl or 0, RATE, seed=2).next(20 * RATE), RATE, "A")
    assert measured.noise.la_eq == pytest.approx(truth, abs=0.2)


def test_response_and_room_are_found(done: tuple[SimulatedRig, Measured]) -> None:
    swept = done[1].swept
    assert swept is not None
    assert swept.after is not None
    assert max(swept.after.highest_db, -swept.after.lowest_db) < 1 < 6 < swept.before.highest_db
    assert swept.room.mid_seconds == pytest.approx(0.3, rel=0.1)
    assert done[1].sensitivity.drift_db == pytest.approx(0, abs=0.01)


def test_a_flat_loudspeaker_without_a_filter_gives_the_rigs_own_level() -> None:
    rig = SimulatedRig(Rig(room=Room(rt60_seconds=0), sample_rate=RATE, loudspeaker=(), noise_spl=30))
    settings = replace(SHORT, steps=("level",), full_scale_spl=120.0, equalize=False, weighting="C")
    measured = calibrated(rig, settings)
    assert measured.level is not None
    assert measured.level.full_scale_played_spl == pytest.approx(rig.rig.spl_of_full_scale_played, abs=0.1)
    assert measured.level.measured_spl == pytest.approx(65, abs=0.5)


def test_without_a_filter_there_is_none() -> None:
    rig = SimulatedRig(Rig(room=Room(rt60_seconds=0.2), sample_rate=RATE))
    swept = calibrated(rig, replace(SHORT, steps=("sweep",), full_scale_spl=120.0, equalize=False)).swept
    assert swept is not None
    assert (swept.after, swept.equalizer) == (None, None)


def test_a_microphone_that_drifts_voids_the_session() -> None:
    rig = SimulatedRig(Rig(sample_rate=RATE))
    with pytest.raises(InfrastructureError, match="void"):
        calibrated(rig, replace(SHORT, steps=("calibrator", "noise")), drift_db=0.7)
    assert calibrated(
        SimulatedRig(Rig(sample_rate=RATE)), replace(SHORT, steps=("calibrator", "noise")), drift_db=0.3
    ).sensitivity.drift_db == pytest.approx(0.3, abs=0.02)


HALVES = ((20, 9.0), (800, 9.0), (900, -9.0), (12_000, -9.0))
"""A loudspeaker whose inverse filter makes pink noise 6 dB louder."""


@pytest.mark.parametrize(
    ("rig", "settings", "error", "message"),
    [
        (
            Rig(sample_rate=RATE, spl_of_full_scale_played=70),
            replace(STATED, steps=("level",)),
            ConfigError,
            "turn the amplifier up",
        ),
        (
            Rig(sample_rate=RATE, spl_of_full_scale_played=140),
            replace(STATED, steps=("sweep",)),
            InfrastructureError,
            "the sweep: the microphone clips",
        ),
        (
            Rig(sample_rate=RATE, noise_spl=62),
            replace(STATED, steps=("noise", "level")),
            InfrastructureError,
            "noise floor lies only",
        ),
        (
            Rig(sample_rate=RATE, spl_of_full_scale_played=-60),
            replace(STATED, steps=("sweep",)),
            InfrastructureError,
            "above the noise",
        ),
        (
            Rig(sample_rate=RATE, spl_of_full_scale_played=-60),
            replace(STATED, steps=("level",)),
            InfrastructureError,
            "does not hear the loudspeaker",
        ),
        (
            Rig(sample_rate=RATE, noise_spl=None),
            replace(STATED, steps=("noise",)),
            InfrastructureError,
            "nothing but zeros",
        ),
        (
            Rig(sample_rate=RATE, loudspeaker=HALVES, spl_of_full_scale_played=82),
            STATED,
            ConfigError,
            r"65 dBA needs \d+\.\d dB more",
        ),
        (Rig(sample_rate=12_000), replace(STATED, steps=("sweep",)), ConfigError, "do not reach 7500 Hz"),
    ],
)
def test_a_station_that_cannot_be_measured_is_told_so(
    rig: Rig, settings: CalibrationSettings, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        calibrated(SimulatedRig(rig), settings)


class Faulty(SimulatedRig):
    def record(self, seconds: float) -> MicrophoneRecording:
        return replace(super().record(seconds), faults=("input overflow",))


def test_a_fault_of_the_audio_system_is_not_measured() -> None:
    with pytest.raises(InfrastructureError, match="reported input overflow"):
        calibrated(Faulty(Rig(sample_rate=RATE)), replace(STATED, steps=("noise",)))


class Automatic(SimulatedRig):
    """A microphone with automatic gain control."""

    def play(self, samples: NDArray[np.float32], tail_seconds: float) -> MicrophoneRecording:
        heard = super().play(samples, tail_seconds)
        return replace(heard, samples=(heard.samples / np.abs(heard.samples).max() * 0.3).astype(np.float32))


def test_automatic_gain_control_is_found() -> None:
    rig = Automatic(Rig(sample_rate=RATE, room=Room(rt60_seconds=0)))
    with pytest.raises(InfrastructureError, match="automatic gain control"):
        calibrated(rig, replace(STATED, steps=("level",), level_spl=80))


class Short(SimulatedRig):
    """An audio system that drops the end of what it was given."""

    def play(self, samples: NDArray[np.float32], tail_seconds: float) -> MicrophoneRecording:
        kept = samples.copy()
        kept[-samples.size // 8 :] = 0
        return super().play(kept, tail_seconds)


def test_a_sweep_whose_end_was_lost_is_not_taken_for_a_dull_loudspeaker() -> None:
    with pytest.raises(InfrastructureError, match=r"falls \d+ dB below its mean at \d+ Hz: sound was lost"):
        calibrated(Short(Rig(sample_rate=16_000, noise_spl=20)), replace(STATED, steps=("sweep",)))


class TwoRates(SimulatedRig):
    """A microphone at another rate than the loudspeaker."""

    @property
    def microphone(self) -> DeviceFacts:
        return DeviceFacts("other microphone", "none", 44_100)

    def _recorded(self, sound: NDArray[np.float64]) -> MicrophoneRecording:
        import soxr

        return MicrophoneRecording(
            soxr.resample(super()._recorded(sound).samples, self.rig.sample_rate, 44_100).astype(np.float32), 44_100
        )


def test_devices_may_have_rates_of_their_own() -> None:
    rig = TwoRates(Rig(room=Room(rt60_seconds=0.3, seed=2, delay_seconds=0.003), sample_rate=RATE))
    measured = calibrated(rig, replace(STATED, steps=("sweep", "level")))
    assert measured.swept is not None
    assert measured.swept.after is not None
    assert max(measured.swept.after.highest_db, -measured.swept.after.lowest_db) < 1
    assert measured.swept.room.mid_seconds == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": ()}, "no step"),
        ({"full_scale_spl": 120.0}, "one of both"),
        ({"steps": ("noise",)}, "one of both"),
        ({"calibrator_spl": 20.0}, "printed on it"),
        ({"level_spl": 120.0}, "30 to 100 dB"),
        ({"steps": ("noise",), "full_scale_spl": math.nan}, "--sensitivity nan: give 40"),
        ({"steps": ("noise",), "full_scale_spl": 9999.0}, "give 40 to 200 dB"),
        ({"max_boost_db": 60.0}, "breaks loudspeakers"),
        ({"sweep_dbfs": 3.0}, "-60 to -3.1 dBFS"),
        ({"sweep_seconds": 1.0}, "'sweep'; give 3 to 600 s"),
        ({"tail_seconds": 0.0}, "after each signal"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CalibrationSettings(**values)  # type: ignore[arg-type]
