from __future__ import annotations

import math

import numpy as np
import pyfar
import pytest
from numpy.typing import NDArray

from bench_audio import signals
from bench_audio.calibration.levels import (
    Weighting,
    band_level,
    equivalent_level,
    third_octaves,
    time_weighted_level,
    weighted,
)
from bench_audio.synthetic_room import NoiseLoop
from wakeword.errors import ConfigError

IEC_61672_TABLE_3 = {  # Hz: A, C
    63: (-26.2, -0.8),
    125: (-16.1, -0.2),
    250: (-8.6, 0.0),
    500: (-3.2, 0.0),
    1000: (0.0, 0.0),
    2000: (1.2, -0.2),
    4000: (1.0, -0.8),
    6300: (-0.1, -2.0),
    8000: (-1.1, -3.0),
}
"""The standard's nominal frequencies; the values belong to the exact ones, 10^(n/10)."""
IEC_61672_TABLE_4_FAST = {1.0: 0.0, 0.5: -0.1, 0.2: -1.0, 0.1: -2.6, 0.05: -4.8, 0.02: -8.3, 0.01: -11.1}
"""Seconds of a 4 kHz tone burst, and its highest level over that of the steady tone."""


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 96_000])
def test_weightings_have_the_values_of_iec_61672(rate: int) -> None:
    worst = 0.0
    for nominal, (a, c) in IEC_61672_TABLE_3.items():
        exact = 10 ** (round(10 * math.log10(nominal)) / 10)
        if exact > 0.45 * rate:
            continue
        tone = signals.tone(2.0, rate, -20, frequency_hz=exact)
        level = signals.level_dbfs(tone)
        expected: dict[Weighting, float] = {"A": a, "C": c}
        worst = max(
            worst,
            *(abs(equivalent_level(tone, rate, weighting) - level - value) for weighting, value in expected.items()),
        )
    assert worst < 0.25  # class 1 allows 0.7 dB at 1 kHz and 1.5 dB at 8 kHz


@pytest.mark.parametrize("weighting", ["A", "C"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_the_level_of_noise_is_within_a_fifth_of_a_decibel(weighting: Weighting, rate: int) -> None:
    noise = NoiseLoop(-50, rate, seed=1).next(20 * rate)
    # The truth: the power in each of the noise's own bins, times the standard's formula.
    power = np.abs(np.fft.rfft(noise)[1:-1]) ** 2
    gains = 10 ** (pyfar.constants.frequency_weighting_curve(weighting, np.arange(1, power.size + 1) / 20) / 10)
    truth = -50 + 10 * math.log10(np.sum(power * gains) / np.sum(power))
    error = equivalent_level(noise, rate, weighting) - truth
    assert abs(error) < 0.2


def test_an_offset_is_no_sound() -> None:
    noise = NoiseLoop(-60, 48_000, seed=1).next(96_000)
    weightings: tuple[Weighting, ...] = ("A", "C", "Z")
    for weighting in weightings:
        assert equivalent_level(noise + 0.3, 48_000, weighting) == pytest.approx(
            equivalent_level(noise, 48_000, weighting), abs=1e-6
        )


def test_silence_has_no_level() -> None:
    assert equivalent_level(np.zeros(48_000), 48_000, "A") == -math.inf
    assert equivalent_level(np.zeros(0), 48_000, "Z") == -math.inf


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_third_octaves_sum_to_the_total(rate: int) -> None:
    noise = signals.pink_noise(10.0, rate, -20, seed=2, band_hz=(125, 6000))
    bands = third_octaves(noise, rate)
    total = 10 * math.log10(np.sum(10 ** (bands.levels / 10)))
    assert total == pytest.approx(signals.level_dbfs(noise), abs=0.05)
    inside = bands.levels[(bands.centres_hz > 150) & (bands.centres_hz < 5000)]
    assert np.ptp(inside) < 1.0  # pink: every band holds as much


def test_a_tone_is_in_its_third_octave_alone() -> None:
    bands = third_octaves(signals.tone(5.0, 48_000, -30), 48_000)
    index = int(np.argmax(bands.levels))
    assert bands.centres_hz[index] == pytest.approx(1000)
    assert bands.levels[index] == pytest.approx(-30, abs=0.1)
    assert max(bands.levels[index - 1], bands.levels[index + 1]) < -50
    assert bands.centres_hz[0] == pytest.approx(50.1, abs=0.1)
    assert bands.centres_hz[-1] == pytest.approx(10_000, rel=1e-3)


def burst(seconds: float, rate: int) -> NDArray[np.float64]:
    samples = np.zeros(3 * rate)
    count = round(seconds * rate)
    samples[rate : rate + count] = np.sin(2 * np.pi * 4000 * np.arange(count) / rate)
    return samples


def test_time_weighting_fast_has_the_burst_responses_of_iec_61672() -> None:
    rate = 48_000
    steady = time_weighted_level(np.sin(2 * np.pi * 4000 * np.arange(3 * rate) / rate), rate, "A", "fast")[-1]
    for seconds, expected in IEC_61672_TABLE_4_FAST.items():
        assert time_weighted_level(burst(seconds, rate), rate, "A", "fast").max() - steady == pytest.approx(
            expected, abs=0.15
        )


def test_time_weighting_slow_falls_as_it_must() -> None:
    rate = 16_000
    level = time_weighted_level(burst(1.0, rate), rate, "Z", "slow")
    assert level[2 * rate] - level[3 * rate - 1] == pytest.approx(10 * math.log10(math.e), abs=0.01)


def test_rumble_is_not_in_the_speech_band() -> None:
    rate = 48_000
    noise = signals.pink_noise(10.0, rate, -40, seed=1)
    rumble = signals.tone(10.0, rate, -35, frequency_hz=20)
    assert band_level(noise + rumble, rate, signals.SPEECH_BAND_HZ) == pytest.approx(
        signals.level_dbfs(noise), abs=0.05
    )


def test_a_rate_without_a_filter_of_class_1_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def poor(*_: object, **__: object) -> None:
        warnings.warn("The generated A weighting filter is not class 1 compliant.", stacklevel=2)

    monkeypatch.setattr(pyfar.dsp.filter, "frequency_weighting_filter", poor)
    with pytest.raises(ConfigError, match=r"sampling rate 12345 Hz.*16, 44.1 or 48 kHz"):
        weighted(np.ones(100), 12_345, "A")
