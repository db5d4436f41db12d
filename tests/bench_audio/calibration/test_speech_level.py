from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench_audio.calibration.speech_level import active_speech_level
from tests.spoken import Spoken
from wakeword.errors import ConfigError

RATE = 16_000


def speech_like(seed: int = 0) -> NDArray[np.float64]:
    """Syllables of noise of different loudness, in two sentences with a pause of 2 s."""
    generator = np.random.default_rng(seed)
    parts = [np.zeros(RATE // 2)]
    for sentence in range(2):
        for _ in range(8):
            length = int(generator.uniform(0.08, 0.3) * RATE)
            parts += [
                generator.standard_normal(length) * generator.uniform(0.02, 0.1) * np.hanning(length),
                np.zeros(int(generator.uniform(0.01, 0.08) * RATE)),
            ]
        parts.append(np.zeros(2 * RATE if sentence == 0 else RATE))
    return np.concatenate(parts)


def as_the_recommendation_describes(samples: NDArray[np.float64], rate: int) -> tuple[float, float]:
    """Method B sample by sample: 15 thresholds a factor of 2 apart, activity counted with its hangover, interpolated
    where the margin is 15.9 dB.
    """
    g, hangover = math.exp(-1 / (rate * 0.03)), round(0.2 * rate)
    thresholds = [2.0**-power for power in range(15, 0, -1)]
    counts, held = [0] * len(thresholds), [hangover] * len(thresholds)
    p = q = energy = 0.0
    for x in samples.tolist():
        energy += x * x
        p = g * p + (1 - g) * abs(x)
        q = g * q + (1 - g) * p
        for index, threshold in enumerate(thresholds):
            if q >= threshold:
                counts[index] += 1
                held[index] = 0
            elif held[index] < hangover:
                counts[index] += 1
                held[index] += 1
    previous: tuple[float, float, float] | None = None
    for count, threshold in zip(counts, thresholds, strict=True):
        level = 10 * math.log10(energy / count)
        margin = level - 20 * math.log10(threshold)
        if margin <= 15.9:
            assert previous is not None
            share = (previous[1] - 15.9) / (previous[1] - margin)
            found = previous[0] + share * (level - previous[0])
            return found, energy / samples.size / 10 ** (found / 10)
        previous = (level, margin, count)
    raise AssertionError


def test_it_agrees_with_the_recommendation_done_sample_by_sample() -> None:
    samples = speech_like()
    level, activity = as_the_recommendation_describes(samples, RATE)
    measured = active_speech_level(samples, RATE)
    assert measured.active_dbfs == pytest.approx(level, abs=0.005)
    assert measured.activity == pytest.approx(activity, rel=0.002)


def test_it_agrees_on_speech(spoken: Spoken) -> None:
    differences = []
    for path in spoken.speech[:4]:
        samples, rate = soundfile.read(path, dtype="float64", frames=RATE * 5)
        samples = samples if samples.ndim == 1 else samples.mean(axis=1)
        differences.append(
            active_speech_level(samples, rate).active_dbfs - as_the_recommendation_describes(samples, rate)[0]
        )
    assert np.abs(differences).max() < 0.01


@settings(max_examples=20)
@given(st.floats(-30, 20))
def test_the_level_follows_the_gain(gain: float) -> None:
    samples = speech_like()
    before, after = active_speech_level(samples, RATE), active_speech_level(samples * 10 ** (gain / 20), RATE)
    # Thresholds do not move with the gain; that is what interpolation between them costs.
    assert after.active_dbfs - before.active_dbfs == pytest.approx(gain, abs=0.5)
    twice = active_speech_level(2 * samples, RATE)
    assert twice.active_dbfs - before.active_dbfs == pytest.approx(20 * math.log10(2), abs=1e-9)
    assert twice.activity == pytest.approx(before.activity)


@settings(max_examples=10)
@given(st.floats(0.5, 5))
def test_silence_around_speech_does_not_make_it_softer(seconds: float) -> None:
    samples = speech_like()
    silence = np.zeros(round(seconds * RATE))
    longer = active_speech_level(np.concatenate([silence, samples, silence]), RATE)
    assert longer.active_dbfs == pytest.approx(active_speech_level(samples, RATE).active_dbfs, abs=0.01)


def test_without_pauses_it_is_the_rms_level() -> None:
    noise = np.random.default_rng(0).standard_normal(10 * RATE) * 0.1
    assert active_speech_level(noise, RATE).active_dbfs == pytest.approx(-20, abs=0.05)


def test_activity_holds_for_a_fifth_of_a_second_after_the_sound_and_not_before() -> None:
    burst = np.random.default_rng(0).standard_normal(RATE)
    level = active_speech_level(np.concatenate([np.zeros(2 * RATE), burst, np.zeros(2 * RATE)]), RATE)
    # Rise and fall of the envelope move both edges by about as much.
    assert level.activity * 5 == pytest.approx(1.2 + 0.08, abs=0.06)


@pytest.mark.parametrize(("samples", "message"), [(np.zeros(RATE), "silent"), (np.ones(100), "too short")])
def test_what_has_no_level_is_refused(samples: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        active_speech_level(samples, RATE)
