"""FilterAugment on the device's features: what it adds, where, and that a batch depends on seed and step alone."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.networks import speechlike
from trainer.config.batch_settings import FilterAugment
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.drawn_sets import FeatureSet
from trainer.data.filter_augment import draw_filters, filter_augment
from trainer.data.spec_augment import choose_array_module
from wakeword.errors import ConfigError

STRONG = FilterAugment(gain=14, tilt=8, ripple=3)
settings = st.builds(
    FilterAugment, share=st.floats(0, 1), gain=st.floats(0, 64), tilt=st.floats(0, 64), ripple=st.floats(0, 64)
)


def batch(windows: int = 16, slices: int = 50) -> NDArray[np.int8]:
    return np.stack([speechlike(seed, slices) for seed in range(windows)])


@given(settings, st.integers(0, 1000), st.integers(0, 1000))
def test_no_channel_changes_by_more_than_all_three_together(asked: FilterAugment, seed: int, step: int) -> None:
    added = draw_filters(asked, 30, seed, step)
    assert added.shape == (30, 40)
    assert np.abs(added).max() <= round(asked.gain + asked.tilt + asked.ripple + 0.5)
    np.testing.assert_array_equal(added, draw_filters(asked, 30, seed, step))


@given(settings, st.integers(0, 1000))
def test_silence_stays_silence_and_the_rest_is_moved_within_int8(asked: FilterAugment, step: int) -> None:
    features = batch(6, 20)
    given_before, filtered = features.copy(), filter_augment(features, asked, 3, step)
    np.testing.assert_array_equal(features, given_before)
    assert filtered.dtype == np.int8
    wanted = np.clip(features.astype(int) + draw_filters(asked, 6, 3, step)[:, None], -128, 127)
    np.testing.assert_array_equal(filtered, np.where(features == -128, -128, wanted))


def test_each_part_does_what_it_says() -> None:
    gain = draw_filters(FilterAugment(share=1, gain=14), 2000, 1, 2)
    assert (gain == gain[:, :1]).all()
    assert gain.min() == -14
    assert gain.max() == 14
    tilt = draw_filters(FilterAugment(share=1, tilt=8), 2000, 1, 2)
    np.testing.assert_array_equal(tilt, -tilt[:, ::-1])
    assert tilt[:, -1].max() == 8
    assert (np.abs(np.diff(tilt, axis=1)) <= 1).all()
    ripple = draw_filters(FilterAugment(share=1, ripple=3), 2000, 1, 2)
    assert np.abs(np.corrcoef(ripple.T) - np.eye(40)).max() < 0.15, "no channel goes with another"


def test_the_share_is_that_of_windows() -> None:
    changed = draw_filters(FilterAugment(share=0.75, gain=20, ripple=3), 4000, 0, 0).any(axis=1).mean()
    assert 0.72 < changed < 0.78


def sampler(**of_section: Any) -> BatchSampler:
    clips = list(batch(8, 120))
    sets = (FeatureSet("words", True, clips[:4]), FeatureSet("negatives", False, clips[4:]))
    return BatchSampler(sets, 60, TrainingSection(batch_size=40, seed=4, **of_section))


def test_a_sampler_filters_the_windows_that_it_draws_without() -> None:
    plain, filtered = sampler().batch(7), sampler(filter_augment=STRONG).batch(7)
    np.testing.assert_array_equal(filtered.clips, plain.clips)
    np.testing.assert_array_equal(filtered.features, filter_augment(plain.features, STRONG, 4, 7))
    assert (filtered.features != sampler(filter_augment=STRONG).batch(8).features).any()


def test_masks_come_after_filters_so_that_they_are_silent() -> None:
    masks = {"time_mask_max_size": (5, 5), "time_mask_count": (2, 2)}
    masked = sampler(**masks).batch(3).features == -128
    both = sampler(filter_augment=STRONG, **masks).batch(3).features
    assert (both[masked] == -128).all()


def test_a_run_with_other_filters_is_another_run() -> None:
    prints = {sampler().fingerprint(), sampler(filter_augment=FilterAugment()).fingerprint()}
    assert len(prints) == 1, "off is what it was before there were any"
    prints |= {sampler(filter_augment=STRONG).fingerprint()}
    prints |= {sampler(filter_augment=FilterAugment(gain=14, tilt=8)).fingerprint()}
    assert len(prints) == 3


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed (extra gpu)")
def test_cupy_gives_what_numpy_gives() -> None:
    try:
        cupy: Any = choose_array_module(gpu_only=True)
    except ConfigError as error:
        pytest.skip(str(error))
    features = batch()
    np.testing.assert_array_equal(
        cupy.asnumpy(filter_augment(features, STRONG, 5, 6, cupy)), filter_augment(features, STRONG, 5, 6)
    )
