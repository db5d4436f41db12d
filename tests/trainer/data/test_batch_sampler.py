"""What a batch is drawn from, what its windows weigh, and batches that are made ahead."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.config.batch_settings import TruncationStrategy
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import Batch, BatchSampler, prefetch
from trainer.data.drawn_sets import FeatureSet
from wakeword.errors import ConfigError

SLICES = 20


def numbered_clip(length: int, first: int = 0) -> NDArray[np.int8]:
    """A clip whose slice i holds the value first + i."""
    return np.repeat(np.arange(first, first + length, dtype=np.int8)[:, None], 40, axis=1)


def sampler(*sets: FeatureSet, batch_size: int = 2000, seed: int = 1) -> BatchSampler:
    return BatchSampler(sets, SLICES, TrainingSection(batch_size=batch_size, seed=seed))


NEGATIVES = FeatureSet("negatives", False, [numbered_clip(60)])


def test_the_end_of_a_wake_word_clip_is_kept_up_to_its_shift() -> None:
    batch = sampler(
        FeatureSet("words", True, [numbered_clip(50), numbered_clip(40, 60)], truncation_strategy="truncate_start"),
        NEGATIVES,
    ).batch(0)
    for clip, last in ((0, 49), (1, 99)):
        windows = batch.features[batch.clips == clip]
        assert set(windows[:, -1, 0].tolist()) == set(range(last - 9, last + 1))
        assert np.all(np.diff(windows[:, :, 0].astype(int), axis=1) == 1)


def test_a_random_window_is_any_window_of_its_clip() -> None:
    batch = sampler(FeatureSet("words", True, [numbered_clip(5)]), NEGATIVES).batch(0)
    windows = batch.features[batch.truth == 0]
    assert set(windows[:, 0, 0].tolist()) == set(range(60 - SLICES + 1))
    assert np.all(np.diff(windows[:, :, 7].astype(int), axis=1) == 1)


@pytest.mark.parametrize("strategy", ["random", "truncate_start"])
def test_a_short_clip_is_preceded_by_silence_and_not_by_its_neighbour(strategy: TruncationStrategy) -> None:
    words = FeatureSet("words", True, [numbered_clip(12, 50)], truncation_strategy=strategy, end_shift_slices=1)
    batch = sampler(NEGATIVES, words, batch_size=100).batch(0)
    windows = batch.features[batch.truth == 1]
    assert np.all(windows[:, : SLICES - 12] == -128)
    assert np.all(windows[:, SLICES - 12 :, 0] == np.arange(50, 62))


def test_sets_are_drawn_by_their_sampling_weight_and_clips_by_length_or_evenly() -> None:
    words = FeatureSet(
        "words", True, [numbered_clip(30), numbered_clip(90)], sampling_weight=3, truncation_strategy="truncate_start"
    )
    negatives = FeatureSet("negatives", False, [numbered_clip(30), numbered_clip(90)], sampling_weight=1)
    batch = sampler(
        words, negatives, FeatureSet("unused", False, [numbered_clip(9)], sampling_weight=0), batch_size=40_000
    ).batch(0)
    shares = np.bincount(batch.clips, minlength=5) / len(batch.clips)
    np.testing.assert_allclose(shares, [3 / 8, 3 / 8, 1 / 16, 3 / 16, 0], atol=0.01)


def test_sample_weights_are_penalty_times_class_weight() -> None:
    words = FeatureSet("words", True, [numbered_clip(30)], penalty_weight=2)
    sets = [words, NEGATIVES, FeatureSet("dear", False, [numbered_clip(30)], penalty_weight=4)]
    batch = BatchSampler(
        sets, SLICES, TrainingSection(batch_size=2000, positive_class_weight=(1.5, 1), negative_class_weight=(20, 1))
    ).batch(0)
    assert {(clip, weight) for clip, weight in zip(batch.clips.tolist(), batch.weights.tolist(), strict=True)} == {
        (0, 3.0),
        (1, 20.0),
        (2, 80.0),
    }
    assert batch.weights.dtype == batch.truth.dtype == np.float32


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    words = FeatureSet("words", True, [numbered_clip(30)])
    first, second, other = sampler(words, NEGATIVES), sampler(words, NEGATIVES), sampler(words, NEGATIVES, seed=2)
    first.batch(0)
    np.testing.assert_array_equal(first.batch(7).features, second.batch(7).features)
    assert not np.array_equal(first.batch(7).features, second.batch(8).features)
    assert not np.array_equal(first.batch(7).features, other.batch(7).features)
    assert first.fingerprint() == second.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clips": []}, "has no clips"),
        ({"clips": [np.zeros((3, 40), np.float32)]}, r"float32 \[3, 40\]; clips are int8 \[slices, 40\]"),
        ({"clips": [np.zeros((3, 39), np.int8)]}, r"int8 \[3, 39\]"),
        ({"clips": [np.zeros((0, 40), np.int8)]}, r"int8 \[0, 40\]"),
        ({"sampling_weight": -1}, "must not be negative"),
        (
            {"truncation_strategy": "middle"},
            "'middle'; give one of random, truncate_start, truncate_end, split, fixed_right_cutoff",
        ),
        ({"end_shift_slices": 0}, "end_shift_slices is 0"),
    ],
)
def test_refuses_a_feature_set_that_cannot_be_drawn_from(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(NEGATIVES, **values)


def test_refuses_to_train_on_one_class() -> None:
    with pytest.raises(ConfigError, match=r"has wake words \(truth: true\)"):
        sampler(NEGATIVES)
    with pytest.raises(ConfigError, match=r"has negatives \(truth: false\)"):
        sampler(FeatureSet("words", True, [numbered_clip(30)]))


def test_batches_are_made_ahead_in_order_and_errors_reach_the_caller() -> None:
    batches = sampler(FeatureSet("words", True, [numbered_clip(30)]), NEGATIVES, batch_size=4)
    for step, batch in enumerate(prefetch(batches.batch, range(6), 2)):
        np.testing.assert_array_equal(batch.clips, batches.batch(step).clips)

    def fail(step: int) -> Batch:
        raise MemoryError(f"step {step}")

    with pytest.raises(MemoryError, match="step 3"):
        list(prefetch(fail, range(3, 9), 2))


@pytest.mark.parametrize("ahead", [1, 4])
def test_so_many_batches_are_made_ahead_and_no_more(ahead: int) -> None:
    batches, made, enough = (
        sampler(FeatureSet("words", True, [numbered_clip(30)]), NEGATIVES, batch_size=4),
        [],
        threading.Event(),
    )

    def make(step: int) -> Batch:
        made.append(step)
        if len(made) == 1 + ahead:
            enough.set()
        return batches.batch(step)

    with closing(prefetch(make, range(20), ahead)) as drawn:
        next(drawn)
        assert enough.wait(30)
    assert made == list(range(1 + ahead))
