"""Response, distortion, reverberation and inverse filter, each against a rig whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bench_audio import signals
from bench_audio.calibration.equalizer import design_inverse, response_curve, within
from bench_audio.calibration.microphone import MicrophoneCurve
from bench_audio.calibration.reverberation import reverberation
from bench_audio.calibration.sweep import Distortion, Response, measure_sweep
from bench_audio.simulated_rig import Rig, SimulatedRig
from bench_audio.synthetic_room import Room
from wakeword.errors import ConfigError, InfrastructureError

SWEEP = signals.exponential_sweep(8.0, 48_000, -20)
ANECHOIC = Room(rt60_seconds=0, delay_seconds=0.003)
CROOKED = ((50, 0.0), (100, -8.0), (300, 6.0), (1000, -8.0), (3000, 6.0), (7500, -8.0), (20_000, -8.0))
"""+6/-8 dB within the band."""


def swept(rig: Rig, samples: NDArray[np.float64] | None = None) -> tuple[Response, Distortion]:
    heard = SimulatedRig(rig).play(signals.as_played(SWEEP.samples if samples is None else samples), 1.5)
    return measure_sweep(heard.samples.astype(np.float64), SWEEP)


def truth_at(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.interp(np.log(frequencies), np.log([point[0] for point in CROOKED]), [point[1] for point in CROOKED])


def test_the_response_is_the_loudspeakers() -> None:
    curve = response_curve(swept(Rig(room=ANECHOIC, loudspeaker=CROOKED))[0])
    frequencies = np.array(curve.frequencies_hz)
    inside = within(frequencies)
    error = (curve.levels_db - truth_at(frequencies))[inside]
    # A sixth of an octave rounds the corners off.
    assert np.ptp(error) < 1.6
    assert np.percentile(np.abs(error - np.median(error)), 80) < 0.2
    assert frequencies[inside][[0, -1]] == pytest.approx([100, 7500])


@pytest.mark.parametrize("drift_ppm", [0, 100])
def test_a_crooked_loudspeaker_is_flattened_to_a_decibel(drift_ppm: float) -> None:
    rig = Rig(room=ANECHOIC, loudspeaker=CROOKED, drift_ppm=drift_ppm)
    response, _ = swept(rig)
    inverse = design_inverse(response)
    before, after = response_curve(response), response_curve(swept(rig, inverse.apply(SWEEP.samples))[0])
    # Not only as this program measures it: the curve that was put in times the filter, unsmoothed.
    frequencies = np.array(after.frequencies_hz)
    truth = (truth_at(frequencies) + inverse.gains_db(frequencies))[within(frequencies)]
    truth = truth - truth.mean()
    assert before.highest_db > 6 > -6 > before.lowest_db
    assert max(after.highest_db, -after.lowest_db) < 0.3
    assert np.abs(truth).max() < 1


def test_it_is_flattened_in_a_room_as_well() -> None:
    rig = Rig(room=Room(rt60_seconds=0.4, seed=1, delay_seconds=0.003), loudspeaker=CROOKED)
    response, _ = swept(rig)
    inverse = design_inverse(response)
    after = response_curve(swept(rig, inverse.apply(SWEEP.samples))[0])
    assert max(after.highest_db, -after.lowest_db) < 1


def test_the_boost_has_a_bound_everywhere_and_nothing_is_boosted_outside_the_band() -> None:
    hole = (
        (50, -40.0),
        (95, -30.0),
        (150, 0.0),
        (1000, 0.0),
        (1400, -25.0),
        (2000, 0.0),
        (7500, 0.0),
        (9000, -40.0),
        (20_000, -60.0),
    )
    response, _ = swept(Rig(room=ANECHOIC, loudspeaker=hole))
    frequencies = np.geomspace(5, 23_900, 4000)
    for bound in (0.0, 6.0, 10.0):
        gains = design_inverse(response, max_boost_db=bound).gains_db(frequencies)
        assert gains.max() < bound + 0.05  # between the bins that were looked at
        assert gains[(frequencies < 50) | (frequencies > 11_000)].max() < -6
    with pytest.raises(ConfigError, match="breaks loudspeakers"):
        design_inverse(response, max_boost_db=30)


def test_the_microphones_own_response_is_taken_out() -> None:
    response, _ = swept(Rig(room=ANECHOIC, loudspeaker=CROOKED))
    # A microphone that hears what the loudspeaker does: what is left is flat.
    frequencies = np.geomspace(50, 20_000, 300)
    curve = response_curve(response, MicrophoneCurve(tuple(frequencies), tuple(truth_at(frequencies))))
    assert max(curve.highest_db, -curve.lowest_db) < 0.1


def test_a_known_nonlinearity_is_found() -> None:
    second, third = 0.08, 0.3
    rig = Rig(room=ANECHOIC, loudspeaker=(), noise_spl=20, second_harmonic=second, third_harmonic=third)
    distortion = swept(rig)[1]
    amplitude = math.sqrt(2) * 10 ** (-20 / 20)
    fundamental = amplitude + 0.75 * third * amplitude**3
    thd = 100 * math.hypot(second * amplitude**2 / 2, third * amplitude**3 / 4) / fundamental
    both = np.array(distortion.frequencies_hz) < 6000  # above it the third harmonic leaves the sweep
    error = np.array(distortion.percent)[both] / thd - 1
    assert np.abs(error).max() < 0.05
    assert max(distortion.floor_percent) < thd / 2


def test_without_distortion_only_the_floor_is_found() -> None:
    distortion = swept(Rig(room=ANECHOIC, loudspeaker=()))[1]
    assert all(percent < 2 * floor for percent, floor in zip(distortion.percent, distortion.floor_percent, strict=True))
    assert max(distortion.percent) < 0.4


@pytest.mark.parametrize("rt60", [0.2, 0.3, 0.5, 0.7])
def test_the_reverberation_time_is_the_rooms(rt60: float) -> None:
    found = []
    for seed in range(3):
        room, _ = reverberation(
            swept(Rig(room=Room(rt60_seconds=rt60, seed=seed, delay_seconds=0.003), noise_spl=45))[0]
        )
        assert room.mid_seconds is not None
        found.append(room.mid_seconds)
        for band in room.bands:
            assert band.seconds is not None
            # A band of few modes is one draw of a random room: its spread is the room's, not the method's.
            assert band.seconds == pytest.approx(rt60, rel=0.35 if band.centre_hz < 400 else 0.2)
    assert found == pytest.approx([rt60] * 3, rel=0.1)


def test_noise_does_not_lengthen_the_decay_and_too_much_of_it_is_said() -> None:
    times = {}
    for noise in (None, 45.0, 55.0, 70.0):
        room, _ = reverberation(
            swept(Rig(room=Room(rt60_seconds=0.5, seed=1, delay_seconds=0.003), noise_spl=noise))[0]
        )
        times[noise] = room.mid_seconds
    assert times[None] is not None
    assert times[45.0] == pytest.approx(times[None], rel=0.03)
    assert times[55.0] == pytest.approx(times[None], rel=0.05)
    assert times[70.0] is None


def test_a_sweep_that_is_not_heard_is_refused() -> None:
    noise = np.random.default_rng(0).standard_normal(SWEEP.samples.size + 72_000) * 0.01
    with pytest.raises(InfrastructureError, match="above the noise"):
        measure_sweep(noise, SWEEP)


def test_a_recording_that_ends_early_is_refused() -> None:
    heard = SimulatedRig(Rig(room=ANECHOIC)).play(signals.as_played(SWEEP.samples), 1.5)
    with pytest.raises(InfrastructureError, match="ends before the sweep does"):
        measure_sweep(heard.samples[: SWEEP.samples.size].astype(np.float64), SWEEP)
