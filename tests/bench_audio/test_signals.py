from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from bench_audio import signals
from wakeword.errors import ConfigError

RATES = st.sampled_from([16_000, 44_100, 48_000])


def middle(samples: signals.Samples) -> signals.Samples:
    return samples[samples.size // 10 : -samples.size // 10]


@settings(max_examples=20)
@given(RATES, st.floats(-60, -4))
def test_a_tone_has_the_level_stated(rate: int, level: float) -> None:
    samples = signals.tone(1.0, rate, level)
    assert samples.size == rate
    assert signals.level_dbfs(middle(samples)) == pytest.approx(level, abs=0.01)


def test_a_tone_at_full_scale_is_3_db_below_0_dbfs() -> None:
    peak = np.abs(signals.tone(1.0, 48_000, 20 * math.log10(math.sqrt(0.5)))).max()
    assert peak == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(ConfigError, match=r"would clip by 1\.0 dB"):
        signals.tone(1.0, 48_000, 20 * math.log10(math.sqrt(0.5)) + 1)


def test_all_begin_and_end_in_silence() -> None:
    for samples in (
        signals.tone(1.0, 48_000, -20),
        signals.pink_noise(1.0, 48_000, -20, seed=1),
        signals.exponential_sweep(3.0, 48_000, -20).samples,
    ):
        assert abs(samples[0]) < 1e-6
        assert abs(samples[-1]) < 1e-6


@settings(max_examples=8)
@given(RATES, st.integers(0, 1000))
def test_pink_noise_is_its_seeds(rate: int, seed: int) -> None:
    first = signals.pink_noise(0.5, rate, -20, seed=seed)
    np.testing.assert_array_equal(first, signals.pink_noise(0.5, rate, -20, seed=seed))
    assert not np.array_equal(first, signals.pink_noise(0.5, rate, -20, seed=seed + 1))
    assert signals.level_dbfs(first) == pytest.approx(-20, abs=0.5)  # with its fades


def test_pink_noise_falls_3_db_an_octave_within_its_band_and_is_gone_outside() -> None:
    rate = 48_000
    frequencies, power = welch(signals.pink_noise(20.0, rate, -20, seed=3), rate, nperseg=1 << 13)
    level = 10 * np.log10(power)

    def at(low: float, high: float) -> float:
        return float(level[(frequencies >= low) & (frequencies < high)].mean())

    assert at(250, 300) - at(4000, 4800) == pytest.approx(12.04, abs=0.5)
    assert at(250, 300) - at(20, 45) > 20
    assert at(4000, 4800) - at(15_000, 18_000) > 30
    # Peaks of Gaussian noise: the room that the level leaves is enough.
    assert np.abs(signals.pink_noise(20.0, rate, -16, seed=4)).max() < 1


def test_a_sweep_moves_from_one_end_of_the_band_to_the_other() -> None:
    sweep = signals.exponential_sweep(8.0, 48_000, -12)
    assert list(sweep.band_hz) == [50, 20_000]
    times = np.flatnonzero(np.diff(np.signbit(sweep.samples))) / 48_000
    # After each e-fold of time the frequency has grown by e (Farina 2000).
    for octave in (1, 3, 6):
        moment = octave * math.log(2) * sweep.seconds_per_e
        frequency = np.count_nonzero(np.abs(times - moment) < 0.05) / 2 / 0.1
        assert frequency == pytest.approx(50 * 2**octave, rel=0.06)
    assert signals.level_dbfs(middle(sweep.samples)) == pytest.approx(-12, abs=0.05)


def test_a_sweep_for_a_slow_device_ends_below_half_its_rate() -> None:
    assert signals.exponential_sweep(3.0, 16_000, -20).band_hz[1] == pytest.approx(7840)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: signals.tone(1.0, 48_000, -20, frequency_hz=30_000), "below half the rate"),
        (lambda: signals.tone(0.0, 48_000, -20), "give up to 3600 s"),
        (lambda: signals.pink_noise(1.0, 48_000, 0, seed=0), "would clip"),
        (lambda: signals.pink_noise(1.0, 8000, -20, seed=0), "below half the rate"),
        (lambda: signals.exponential_sweep(3.0, 48_000, -20, band_hz=(100, 150)), "at least an octave"),
        (lambda: signals.as_played(np.array([0.0, 2.0])), "peaks 6.0 dB above full scale"),
    ],
)
def test_what_cannot_be_played_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=message):
        make()
