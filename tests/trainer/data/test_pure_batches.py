"""Batches made by JAX, from windows or from a store on its device, are those of NumPy bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.config.batch_settings import FilterAugment, QuietAugment
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.drawn_sets import FeatureSet

pytest.importorskip("jax", reason="JAX is not installed; the extra jax has it")

SLICES = 40
FILTERS = FilterAugment(gain=64, tilt=60, ripple=9)
"""So much that values reach both ends of their range."""
MASKS: dict[str, Any] = {
    "time_mask_max_size": (5, 9),
    "time_mask_count": (2, 1),
    "freq_mask_max_size": (4, 0),
    "freq_mask_count": (2, 0),
}
CHOICES = {
    "plain": TrainingSection(batch_size=48, seed=3),
    "filters": TrainingSection(batch_size=48, seed=3, filter_augment=FILTERS),
    "all": TrainingSection(
        batch_size=48, seed=3, training_steps=(3, 3), filter_augment=FILTERS, batch_ratios=(1, 2, 0), **MASKS
    ),
    "quiet": TrainingSection(batch_size=48, seed=3, quiet_augment=QuietAugment(fill=20, erase=90), **MASKS),
}


def sets() -> list[FeatureSet]:
    """Clips longer and shorter than a window, which begin and end their sets."""
    rng = np.random.default_rng(2)

    def clips(*lengths: int) -> list[NDArray[np.int8]]:
        return [rng.integers(-128, 128, (length, 40)).astype(np.int8) for length in lengths]

    return [
        FeatureSet("words", True, clips(7, 60, 41, 12), truncation_strategy="truncate_start"),
        FeatureSet("joined", False, clips(500, 300)),
        FeatureSet("alone", False, clips(9, 45, 5), 0.5, truncation_strategy="split"),
    ]


@pytest.mark.parametrize("name", CHOICES)
def test_batches_are_those_of_the_host(name: str) -> None:
    import jax

    from trainer.data.pure_batches import features_of

    sampler, make = BatchSampler(sets(), SLICES, CHOICES[name]), jax.jit(features_of, static_argnums=1)
    store = np.concatenate(sampler.rows)
    assert sampler.made_on_host == (name == "quiet")
    for step in range(6):
        wanted = sampler.batch(step)
        given = [sampler.numbers(step)]
        given += [] if sampler.made_on_host else [sampler.numbers(step, with_features=False)]
        for numbers in given:
            np.testing.assert_array_equal(make(numbers, SLICES, store), wanted.features)
            np.testing.assert_array_equal(numbers["truth"], wanted.truth)
            np.testing.assert_array_equal(numbers["weights"], wanted.weights)
    assert (wanted.features == -128).any()
    if name != "plain":
        changed = BatchSampler(sets(), SLICES, CHOICES["plain"].model_copy(update={"batch_ratios": None})).batch(5)
        assert (changed.features != wanted.features).mean() > 0.05
