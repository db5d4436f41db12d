"""Markers are found to a fraction of a sample, and the line through them survives what a session does to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench_audio.markers import MARKER_SAMPLES, PEAK, MarkerFound, find_marker, fit_alignment, marker

RATE = 16_000


def delayed(delay: float, length: int = 4 * RATE) -> NDArray[np.float64]:
    """The marker at a place between samples, by its spectrum."""
    padded = np.zeros(length)
    padded[:MARKER_SAMPLES] = marker()
    return np.fft.irfft(np.fft.rfft(padded) * np.exp(-2j * np.pi * np.fft.rfftfreq(length) * delay), length)


def test_the_marker_is_what_it_says() -> None:
    sweep = marker().astype(float)
    assert len(sweep) == 8000
    assert np.abs(sweep).max() == pytest.approx(PEAK * 32767, rel=0.01)
    power = np.abs(np.fft.rfft(sweep)) ** 2
    frequencies = np.fft.rfftfreq(len(sweep), 1 / RATE)
    assert power[(frequencies > 150) & (frequencies < 7400)].sum() / power.sum() > 0.999
    with pytest.raises(ValueError, match="read-only"):
        marker()[0] = 1


@given(st.floats(0, 40_000), st.sampled_from([0.0, 30.0, 1000.0]), st.integers(0, 1000))
def test_it_is_found_between_samples_in_noise(delay: float, noise: float, seed: int) -> None:
    recording = delayed(delay) + np.random.default_rng(seed).normal(0, max(noise, 0.1), 4 * RATE)
    found = find_marker(recording.astype(np.float32), 100.0, first=5000.0)
    assert found is not None
    assert found.played == 100.0
    assert found.heard == pytest.approx(5000 + delay, abs=0.02)


def test_it_is_found_as_loud_as_the_noise_and_not_where_it_is_not() -> None:
    random = np.random.default_rng(0)
    level = float(np.sqrt(np.mean(marker().astype(float) ** 2)))
    found = find_marker((delayed(12_345.6) + random.normal(0, level, 4 * RATE)).astype(np.float32), 0.0)
    assert found is not None
    assert found.heard == pytest.approx(12_345.6, abs=0.1)
    for _ in range(50):
        assert find_marker(random.normal(0, level, 2 * RATE).astype(np.float32), 0.0) is None
    assert find_marker(np.zeros(RATE, np.float32), 0.0) is None
    assert find_marker(np.zeros(10, np.float32), 0.0) is None


@given(st.floats(-300, 300), st.floats(-5000, 50_000), st.integers(2, 30), st.integers(0, 1000))
def test_offset_and_drift_are_fitted(drift: float, offset: float, count: int, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.01, count)
    played = [RATE * 60.0 * index for index in range(count)]
    fit = fit_alignment(
        [
            MarkerFound(one, offset + (1 + drift * 1e-6) * one + error, 100)
            for one, error in zip(played, noise, strict=True)
        ]
    )
    assert fit.drift_ppm == pytest.approx(drift, abs=0.1)
    assert fit.heard(played[-1]) == pytest.approx(offset + (1 + drift * 1e-6) * played[-1], abs=0.1)
    assert fit.played(fit.heard(1234.5)) == pytest.approx(1234.5, abs=1e-6)
    assert fit.residual_rms < 0.05
    assert fit.markers == count


def test_a_lost_marker_and_an_echo_do_no_harm() -> None:
    markers = [MarkerFound(RATE * 60.0 * index, 500 + (1 + 40e-6) * RATE * 60 * index, 100) for index in range(10)]
    del markers[4]
    echo = MarkerFound(markers[6].played, markers[6].heard + 700, 9)
    fit = fit_alignment([*markers[:6], echo, *markers[7:]])
    assert fit.drift_ppm == pytest.approx(40, abs=0.01)
    assert fit.markers == 8
    assert fit.residual_rms < 1e-3


def test_steps_share_the_drift_and_lost_sound_maps_to_where_it_was_lost() -> None:
    def heard(played: float) -> float:
        return 100 + 1.00002 * played - (320 if played > 1_000_000 else 0)

    fit = fit_alignment(
        [MarkerFound(float(one), heard(one), 100) for one in range(0, 2_000_000, 400_000)], steps=[1_000_000.0]
    )
    assert fit.drift_ppm == pytest.approx(20, abs=0.01)
    assert fit.offsets[0] - fit.offsets[1] == pytest.approx(320, abs=0.01)
    assert fit.residual_rms < 1e-3
    assert fit.played(heard(999_000)) == pytest.approx(999_000, abs=0.1)
    assert fit.played(heard(1_100_000)) == pytest.approx(1_100_000, abs=0.1)


def test_without_two_markers_in_a_piece_what_lies_between_tells_the_drift() -> None:
    markers = [MarkerFound(0.0, 10.0, 100), MarkerFound(1_000_000.0, 1_000_010.0 + 50 - 160, 100)]
    between = [(float(one), one * 1.00005 + 10 - (160 if one > 500_000 else 0)) for one in range(0, 1_000_000, 8000)]
    fit = fit_alignment(markers, [500_000.0], between)
    assert fit.drift_ppm == pytest.approx(50, abs=0.5)
    alone = fit_alignment(markers[:1], [500_000.0], between)
    assert alone.heard(900_000) == pytest.approx(900_045 + 10 - 160, abs=1)
    with pytest.raises(ValueError, match="no marker"):
        fit_alignment([])
