from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from bench_audio.synthetic_room import ConvolutionStage, Room, impulse_response
from wakeword.errors import ConfigError

RATE = 16_000
ROOM = Room(rt60_seconds=0.3, seed=5, delay_seconds=0.004, gain_db=-6, noise_dbfs=-60)


def in_blocks(room: Room, samples: NDArray[np.float64], sizes: list[int]) -> NDArray[np.float64]:
    stage, blocks, place = ConvolutionStage(room, RATE), [], 0
    while place < samples.size:
        for size in sizes:
            blocks.append(stage.process(samples[place : place + size]))
            place += size
    return np.concatenate(blocks)


@settings(max_examples=20)
@given(st.lists(st.integers(300, 5000), min_size=1, max_size=6), st.integers(1, 20_000))
def test_blocks_of_any_sizes_make_one_convolution(sizes: list[int], length: int) -> None:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, length)
    whole = ConvolutionStage(ROOM, RATE).process(samples)
    np.testing.assert_allclose(in_blocks(ROOM, samples, [*sizes, 0, 1]), whole, atol=1e-12)


def test_a_stream_is_convolved_with_the_rooms_response() -> None:
    samples = np.random.default_rng(2).uniform(-0.5, 0.5, 200_000)
    quiet = Room(rt60_seconds=0.3, seed=5, delay_seconds=0.004, gain_db=-6)
    expected = fftconvolve(samples, impulse_response(quiet, RATE))[: samples.size]
    np.testing.assert_allclose(ConvolutionStage(quiet, RATE).process(samples), expected, atol=1e-12)


def test_the_noise_has_its_level_and_does_not_end() -> None:
    stage = ConvolutionStage(Room(rt60_seconds=0, seed=5, noise_dbfs=-60), RATE)
    loop = stage.process(np.zeros(20 * RATE))
    assert 10 * np.log10(np.mean(loop**2)) == pytest.approx(-60, abs=0.001)
    np.testing.assert_array_equal(stage.process(np.zeros(20 * RATE)), loop)
    # No seam: the step from end to beginning is as small as its neighbours.
    assert abs(loop[0] - loop[-1]) < 5 * np.std(np.diff(loop))


def test_the_response_is_what_the_description_says() -> None:
    response = impulse_response(
        Room(rt60_seconds=0.5, seed=1, direct_to_reverberant_db=6, delay_seconds=0.01, gain_db=-20), RATE
    )
    assert np.flatnonzero(response)[0] == 160
    assert response[160] == pytest.approx(0.1)
    tail = response[161:] ** 2
    assert 10 * np.log10(0.01 / tail.sum()) == pytest.approx(6)
    # Half of RT60 is 30 dB.
    early, late = tail[:800].mean(), tail[4000:4800].mean()
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=1.5)


def test_the_same_description_is_the_same_room() -> None:
    np.testing.assert_array_equal(impulse_response(ROOM, RATE), impulse_response(ROOM, RATE))
    other = Room(rt60_seconds=0.3, seed=6, delay_seconds=0.004, gain_db=-6)
    assert not np.array_equal(impulse_response(ROOM, RATE), impulse_response(other, RATE))


def test_float32_stays_float32() -> None:
    assert ConvolutionStage(ROOM, RATE).process(np.zeros(160, np.float32)).dtype == np.float32


def test_a_room_that_none_is_is_refused() -> None:
    with pytest.raises(ConfigError, match="RT60 -1 s"):
        Room(rt60_seconds=-1)
