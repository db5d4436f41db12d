"""The quiet parts of a batch: what is filled, what is erased, and that both depend on seed and step alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.networks import speechlike
from trainer.config.batch_settings import QuietAugment
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.drawn_sets import FeatureSet
from trainer.data.quiet_augment import KEPT, draw_quiet_parts, falling, quiet_augment

BOTH = QuietAugment(share=0.6, fill=30, erase=170)
settings = st.builds(QuietAugment, share=st.floats(0, 1), fill=st.floats(0, 180), erase=st.floats(0, 255))


def batch(windows: int = 16, slices: int = 50) -> NDArray[np.int8]:
    return np.stack([speechlike(seed, slices) for seed in range(windows)])


@given(settings, st.integers(0, 1000), st.integers(0, 1000))
def test_a_batch_depends_on_seed_and_step_alone_and_is_left_as_it_is(asked: QuietAugment, seed: int, step: int) -> None:
    features = batch(6, 20)
    given_before = features.copy()
    changed = quiet_augment(features, asked, seed, step)
    np.testing.assert_array_equal(features, given_before)
    assert changed.dtype == np.int8
    np.testing.assert_array_equal(changed, quiet_augment(features, asked, seed, step))


@given(st.floats(1, 180), st.integers(0, 1000))
def test_filling_only_raises_and_never_to_the_loudest(nearest: float, step: int) -> None:
    features = batch(8, 60)
    filled = quiet_augment(features, QuietAugment(share=1, fill=nearest), 1, step).astype(int)
    assert (filled >= features).all()
    np.testing.assert_array_equal(filled.max(axis=2).max(axis=1), features.max(axis=2).max(axis=1))


@given(st.floats(1, 255), st.integers(0, 1000))
def test_erasing_leaves_what_is_loud_and_silences_what_is_below_one_level(highest: float, step: int) -> None:
    features = batch(8, 60)
    asked = QuietAugment(share=1, erase=highest)
    erased = quiet_augment(features, asked, 1, step)
    levels = draw_quiet_parts(asked, 8, 60, 1, step).erased
    assert ((levels >= -128) & (levels < -128 + highest + 1)).all()
    for window, left, level in zip(features, erased, levels, strict=True):
        least = min(level, int(window.max()) - KEPT)
        np.testing.assert_array_equal(left, np.where(window < least, -128, window))


def test_silence_before_the_first_sound_stays_silence() -> None:
    features = np.full((32, 40, 40), -128, np.int8)
    features[:, 20:25] = 100
    filled = quiet_augment(features, QuietAugment(share=1, fill=30), 5, 1)
    assert (filled[:, :20] == -128).all()
    assert (filled[:, 25:30] > -128).any(), "a room goes on behind the sound"


def test_a_room_falls_by_its_decay_and_rises_at_once() -> None:
    loudest = np.array([[-128, 90, -128, -128, 60, -128], [-128, 90, -128, -128, 60, -128]], np.int16)
    slow, fast = falling(loudest, np.array([10.0, 100.0], np.float32)).tolist()
    assert slow == [-128, 90, 80, 70, 60, 50]
    assert fast == [-128, 90, -10, -110, 60, -40]


@given(st.integers(1, 12), st.integers(2, 30), st.integers(0, 50))
def test_falling_is_the_recursion_that_it_stands_for(windows: int, slices: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    loudest = draw.integers(-128, 128, (windows, slices), np.int16)
    decay = draw.integers(1, 20, windows).astype(np.float32)
    wanted = loudest.astype(float)
    for place in range(1, slices):
        wanted[:, place] = np.maximum(wanted[:, place], wanted[:, place - 1] - decay)
    np.testing.assert_array_equal(falling(loudest, decay), wanted)


def test_the_share_is_that_of_windows() -> None:
    parts = draw_quiet_parts(QuietAugment(share=0.6, fill=30, erase=170), 4000, 5, 0, 0)
    filled, erased = (parts.distance < 400).any(axis=1), parts.erased > -128
    for changed in (filled, erased):
        assert 0.57 < changed.mean() < 0.63
    assert 0.33 < (filled & erased).mean() < 0.39, "one does not decide the other"


def sampler(**of_section: Any) -> BatchSampler:
    clips = list(batch(8, 120))
    sets = (FeatureSet("words", True, clips[:4]), FeatureSet("negatives", False, clips[4:]))
    return BatchSampler(sets, 60, TrainingSection(batch_size=40, seed=4, **of_section))


def test_a_sampler_changes_the_windows_that_it_draws_without() -> None:
    plain, changed = sampler().batch(7), sampler(quiet_augment=BOTH).batch(7)
    np.testing.assert_array_equal(changed.clips, plain.clips)
    np.testing.assert_array_equal(changed.features, quiet_augment(plain.features, BOTH, 4, 7))
    assert (changed.features != sampler(quiet_augment=BOTH).batch(8).features).any()


def test_a_run_goes_on_with_the_same_quiet_parts_alone() -> None:
    off = sampler().fingerprint()
    assert off == sampler(quiet_augment=QuietAugment(share=0)).fingerprint(), "nothing is changed"
    assert len({off, *(sampler(quiet_augment=QuietAugment(fill=fill)).fingerprint() for fill in (20, 30))}) == 3


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"fill": -1}, {"erase": 300}, {"fils": 3}])
def test_wrong_values_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        QuietAugment.model_validate(wrong)
