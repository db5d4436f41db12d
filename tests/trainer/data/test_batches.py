"""Where windows are cut, what hard negatives weigh, masks, and clips that lie in one array."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.config.batch_settings import TruncationStrategy
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.clip_rows import ClipRows
from trainer.data.drawn_sets import FeatureSet
from wakeword.errors import ConfigError

SLICES = 20


def numbered_clip(length: int) -> NDArray[np.int8]:
    """A clip whose slice i holds the value i."""
    return np.repeat(np.arange(length, dtype=np.int8)[:, None], 40, axis=1)


WORDS = FeatureSet("words", True, [numbered_clip(30)], truncation_strategy="truncate_start")
NEGATIVES = FeatureSet("negatives", False, [numbered_clip(70)])


def sampler(*sets: FeatureSet, batch_size: int, steps: tuple[int, ...] = (5, 5), **of_phases: Any) -> BatchSampler:
    even = dict.fromkeys(("learning_rates", "positive_class_weight", "negative_class_weight"), (1.0,) * len(steps))
    return BatchSampler(
        sets, SLICES, TrainingSection(training_steps=steps, batch_size=batch_size, seed=1, **(even | of_phases))
    )


def last_slices(strategy: TruncationStrategy, length: int = 70, **changes: Any) -> set[int]:
    """The last slices of the windows that a strategy draws from one clip."""
    negatives = FeatureSet("negatives", False, [numbered_clip(length)], truncation_strategy=strategy, **changes)
    batch = sampler(negatives, WORDS, batch_size=500).batch(0)
    windows = batch.features[batch.truth == 0]
    heard = windows[:, :, 0].astype(int)
    assert np.all((np.diff(heard, axis=1) == 1) | (heard[:, :-1] == -128)), "a window is a stretch of its clip"
    return set(heard[:, -1].tolist())


def test_each_strategy_cuts_where_it_says() -> None:
    assert last_slices("random") == set(range(19, 70))
    assert last_slices("truncate_start", end_shift_slices=3) == {67, 68, 69}
    assert last_slices("truncate_end") == {19}
    assert last_slices("fixed_right_cutoff", right_cutoff_slices=7) == {62}
    assert last_slices("split") == {69, 49, 29, 19}
    assert last_slices("split", 60) == {59, 39, 19}


@pytest.mark.parametrize("strategy", ["random", "truncate_start", "truncate_end", "split", "fixed_right_cutoff"])
def test_a_clip_shorter_than_the_window_is_preceded_by_silence(strategy: TruncationStrategy) -> None:
    assert last_slices(strategy, 5, end_shift_slices=1) == {4}


def test_split_draws_windows_evenly() -> None:
    clips = [numbered_clip(20), numbered_clip(60)]
    batch = sampler(FeatureSet("ambient", False, clips, truncation_strategy="split"), WORDS, batch_size=40_000).batch(0)
    shares = np.bincount(batch.clips, minlength=3) / len(batch.clips)
    np.testing.assert_allclose(shares, [1 / 8, 3 / 8, 1 / 2], atol=0.01)


def test_hard_negatives_have_the_weight_of_their_phase() -> None:
    hard = FeatureSet("hard", False, [numbered_clip(30)], hard=True, penalty_weight=0.5)
    drawn = sampler(
        WORDS,
        NEGATIVES,
        hard,
        batch_size=200,
        steps=(7, 3),
        negative_class_weight=(20, 20),
        hard_negative_class_weight=(40, 60),
    )
    for step, weight in ((0, 20.0), (6, 20.0), (7, 30.0), (100, 30.0)):
        batch = drawn.batch(step)
        found = set(zip(batch.clips.tolist(), batch.weights.tolist(), strict=True))
        assert found == {(0, 1.0), (1, 20.0), (2, weight)}
    with pytest.raises(ConfigError, match="holds wake words and is marked hard"):
        replace(WORDS, hard=True)
    with pytest.raises(ConfigError, match="right_cutoff_slices is -1"):
        replace(WORDS, right_cutoff_slices=-1)


def test_balanced_each_class_has_half_of_the_weight_however_much_of_it_is_drawn() -> None:
    words, negatives, hard = (
        replace(WORDS, sampling_weight=1),
        replace(NEGATIVES, sampling_weight=5, penalty_weight=2),
        replace(NEGATIVES, name="hard", hard=True, sampling_weight=4),
    )
    balanced = sampler(
        words, negatives, hard, batch_size=4000, class_weights="balanced", negative_class_weight=(20.0, 20.0)
    )
    batch = balanced.batch(0)
    assert set(batch.weights[batch.truth == 1]) == {np.float32(5.0)}, "one of ten: 10 / (2 classes x 1)"
    of_negatives = np.float32(10 / (2 * 9))
    assert set(batch.weights[batch.truth == 0]) == {of_negatives, 2 * of_negatives}, "penalty weights count beside it"
    of_words = batch.weights[batch.truth == 1].sum()
    without_penalty = np.where(batch.truth == 0, of_negatives, 0).sum()
    assert of_words / without_penalty == pytest.approx(1, abs=0.15), "of 4,000 drawn windows"
    np.testing.assert_array_equal(balanced.batch(7).weights, balanced.batch(7).weights)
    other = balanced.drawing_from([words, replace(negatives, sampling_weight=1)]).batch(0)
    assert set(other.weights[other.truth == 1]) == {np.float32(1.0)}, "mined sets change what is drawn"


def test_masks_are_those_of_the_phase_and_the_same_for_the_same_step() -> None:
    plain = sampler(WORDS, NEGATIVES, batch_size=50)
    masks = {
        "time_mask_max_size": (0, 5),
        "time_mask_count": (0, 2),
        "freq_mask_max_size": (0, 10),
        "freq_mask_count": (0, 1),
    }
    first, second = (sampler(WORDS, NEGATIVES, batch_size=50, **masks) for _ in range(2))
    np.testing.assert_array_equal(first.batch(4).features, plain.batch(4).features)
    masked, unmasked = first.batch(5), plain.batch(5)
    np.testing.assert_array_equal(masked.features, second.batch(5).features)
    silenced = masked.features != unmasked.features
    assert silenced.any()
    assert np.all(masked.features[silenced] == -128)
    np.testing.assert_array_equal(masked.clips, unmasked.clips)
    assert first.fingerprint() == second.fingerprint() != plain.fingerprint()


def test_clips_in_one_array_give_the_batches_of_a_list(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = [rng.integers(-128, 128, (length, 40)).astype(np.int8) for length in (30, 5, 90, 20)]
    rows = ClipRows.of(clips)
    np.save(tmp_path / "rows.npy", rows.rows)
    mapped = ClipRows(np.load(tmp_path / "rows.npy", mmap_mode="r"), rows.lengths)
    for one, other in zip(clips, mapped, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(mapped[-1], clips[-1])
    assert [len(clip) for clip in mapped[1:3]] == [5, 90]
    in_list, in_file = (sampler(replace(NEGATIVES, clips=given), WORDS, batch_size=64) for given in (clips, mapped))
    for step in range(3):
        np.testing.assert_array_equal(in_list.batch(step).features, in_file.batch(step).features)
    assert in_list.fingerprint() == in_file.fingerprint()
    assert ClipRows.of(mapped) is mapped


def test_clips_may_be_parts_of_an_array_that_others_lie_in() -> None:
    whole = ClipRows.of([numbered_clip(100)])
    parts = ClipRows(whole.rows, np.array([30, 25]), np.array([60, 10]))
    assert [clip[0, 0] for clip in parts] == [60, 10]
    drawn = sampler(
        replace(NEGATIVES, clips=whole, sampling_weight=0), replace(NEGATIVES, clips=parts), WORDS, batch_size=500
    )
    batch = drawn.batch(0)
    windows = batch.features[(batch.clips == 1) | (batch.clips == 2)][:, :, 0].astype(int)
    assert set(windows[:, -1].tolist()) == {*range(79, 90), *range(29, 35)}
    assert np.all(np.diff(windows, axis=1) == 1)
    again = drawn.drawing_from([NEGATIVES, WORDS])
    np.testing.assert_array_equal(again.batch(3).features, sampler(NEGATIVES, WORDS, batch_size=500).batch(3).features)
