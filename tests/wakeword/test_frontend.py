"""The frontend streams, and its integers are the device's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wakeword import contract
from wakeword.contract import FLOAT_FEATURE_SCALE
from wakeword.frontend import Frontend, compute_features


@pytest.fixture(scope="module")
def samples() -> NDArray[np.int16]:
    rng = np.random.default_rng(5)
    envelope = np.repeat(rng.uniform(0, 12000, 40), 800)
    return (rng.normal(0, 0.3, 32000) * envelope).clip(-32768, 32767).astype(np.int16)


@given(cuts=st.lists(st.integers(0, 32000), max_size=6))
@settings(max_examples=25, deadline=None)
def test_cutting_the_audio_changes_nothing(cuts: list[int], samples: NDArray[np.int16]) -> None:
    frontend = Frontend()
    pieces = [frontend.process(piece) for piece in np.split(samples, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), compute_features(samples))


@pytest.mark.parametrize(("length", "slices"), [(0, 0), (479, 0), (480, 1), (639, 1), (640, 2), (16000, 98)])
def test_the_first_slice_needs_thirty_milliseconds(length: int, slices: int) -> None:
    assert compute_features(np.zeros(length, np.int16)).shape == (slices, 40)
    assert contract.slice_count(length) == slices


def test_features_are_exact_multiples_of_the_unit(samples: NDArray[np.int16]) -> None:
    from pymicro_features import MicroFrontend

    raw: list[float] = []
    frontend = MicroFrontend()
    for start in range(0, 16000, 160):
        raw += frontend.process_samples(samples[start : start + 160].tobytes()).features
    recovered = compute_features(samples[:16000])
    assert recovered.max() > 255  # a uint8 would not have done
    np.testing.assert_array_equal(recovered.reshape(-1) * FLOAT_FEATURE_SCALE, np.array(raw))


def plain_features(samples: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Every sample through pymicro-features itself."""
    from pymicro_features import MicroFrontend

    frontend = MicroFrontend()
    usable = len(samples) - len(samples) % 160
    rows = [
        frontend.process_samples(samples[start : start + 160].tobytes()).features for start in range(0, usable, 160)
    ]
    return np.rint(np.array([row for row in rows if row]).reshape(-1, 40) / FLOAT_FEATURE_SCALE).astype(np.uint16)


@given(zeros=st.integers(0, 3000), cuts=st.lists(st.integers(0, 9000), max_size=4), quiet=st.sampled_from([0, 1, -1]))
@settings(max_examples=60, deadline=None)
def test_silence_before_sound_is_skipped_without_a_trace(
    zeros: int, cuts: list[int], quiet: int, samples: NDArray[np.int16]
) -> None:
    # `quiet` puts one sample of one least significant bit into the silence: it is sound already.
    stream = np.concatenate(
        [
            np.zeros(zeros, np.int16),
            np.full(1, quiet, np.int16),
            np.zeros(1500, np.int16),
            samples[:4000],
            np.zeros(1000, np.int16),
        ]
    )
    frontend = Frontend()
    pieces = [frontend.process(piece) for piece in np.split(stream, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), plain_features(stream))


def test_a_reset_frontend_is_a_new_one(samples: NDArray[np.int16]) -> None:
    frontend = Frontend()
    first = frontend.process(samples)
    assert not np.array_equal(frontend.process(samples)[: len(first)], first)  # noise reduction remembers
    frontend.reset()
    np.testing.assert_array_equal(frontend.process(samples), first)
