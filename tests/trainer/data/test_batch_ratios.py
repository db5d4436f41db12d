"""Exact ratios of wake words, negatives and hard negatives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trainer.config.loader import load_config
from trainer.config.training_sections import TrainingSection
from trainer.data.batch_ratios import BatchRatios, spread_evenly
from trainer.data.batches import Batch, BatchSampler
from trainer.data.drawn_sets import FeatureSet
from wakeword.errors import ConfigError

CLIPS = [np.full((30, 40), value, np.int8) for value in range(3)]
WORDS = FeatureSet("words", True, CLIPS[:1], sampling_weight=9)
MORE_WORDS = FeatureSet("more words", True, CLIPS[:1], sampling_weight=1)
NEGATIVES = FeatureSet("negatives", False, CLIPS[1:2], sampling_weight=0.1)
HARD = FeatureSet("hard", False, CLIPS[2:], hard=True)


def sampler(ratios: tuple[int, int, int] | None, batch_size: int, sets: Sequence[FeatureSet]) -> BatchSampler:
    return BatchSampler(sets, 20, TrainingSection(batch_size=batch_size, batch_ratios=ratios, seed=1))


def counts(batch: Batch, clips: int = 3) -> list[int]:
    return np.bincount(batch.clips, minlength=clips).tolist()


@pytest.mark.parametrize("ratios", [(1, 2, 1), (2, 4, 2)])
def test_every_batch_is_exact_where_the_ratios_divide_it(ratios: tuple[int, int, int]) -> None:
    drawing = sampler(ratios, 16, [WORDS, NEGATIVES, HARD])
    assert {tuple(counts(drawing.batch(step))) for step in range(50)} == {(4, 8, 4)}
    kinds = drawing.batch(3).clips
    np.testing.assert_array_equal(drawing.batch(3).clips, kinds)


def test_what_does_not_divide_is_carried_over() -> None:
    drawing = sampler((3, 3, 1), 16, [WORDS, NEGATIVES, HARD])
    each = np.array([counts(drawing.batch(step)) for step in range(14)])
    assert each[:7].sum(axis=0).tolist() == each[7:].sum(axis=0).tolist() == [48, 48, 16]
    assert np.abs(each - 16 * np.array([3, 3, 1]) / 7).max() < 1.01
    assert len({tuple(one) for one in each}) > 1


RATIO = st.integers(0, 12) | st.integers(0, 1000)


@example(ratios=(954, 1, 1), batch_size=9, step=53, has_hard=True)
@given(st.tuples(RATIO, RATIO, RATIO), st.integers(1, 300), st.integers(0, 10**6), st.booleans())
def test_no_batch_is_further_from_the_ratios_than_two_windows_of_each_kind(
    ratios: tuple[int, int, int], batch_size: int, step: int, has_hard: bool
) -> None:
    assume(ratios[0] and ratios[1] + ratios[2])
    kinds, wanted = np.arange(3 if has_hard else 2), np.array(ratios)
    if not has_hard:
        wanted = np.array([ratios[0], ratios[1] + ratios[2]])
    pattern = BatchRatios(ratios, batch_size, kinds, np.ones(len(kinds)))
    found = np.bincount(pattern.clips(step, np.full(batch_size, 0.5)), minlength=len(kinds))
    assert np.abs(found - batch_size * wanted / wanted.sum()).max() < 2


def test_within_a_kind_the_sampling_weights_count() -> None:
    batch = sampler((1, 1, 0), 20_000, [WORDS, MORE_WORDS, NEGATIVES, HARD]).batch(0)
    of_words, of_more, of_negatives, of_hard = counts(batch, 4)
    assert (of_words + of_more, of_negatives, of_hard) == (10_000, 10_000, 0)
    assert of_words == pytest.approx(9000, abs=150)


def test_before_hard_negatives_are_mined_their_part_is_that_of_the_negatives() -> None:
    drawing = sampler((1, 2, 1), 16, [WORDS, NEGATIVES])
    assert counts(drawing.batch(0), 2) == [4, 12]
    assert counts(drawing.drawing_from([WORDS, NEGATIVES, HARD]).batch(1)) == [4, 8, 4]
    with pytest.raises(ConfigError, match="batch_ratios want negatives, and no feature set"):
        sampler((1, 2, 1), 16, [WORDS, HARD])


def test_a_run_with_other_ratios_is_another() -> None:
    prints = {sampler(ratios, 16, [WORDS, NEGATIVES, HARD]).fingerprint() for ratios in (None, (1, 1, 1), (1, 2, 1))}
    assert len(prints) == 3


def test_the_pattern_is_spread_evenly() -> None:
    assert spread_evenly([1, 2, 1]).tolist() == [1, 0, 2, 1]
    pattern = spread_evenly([50, 30, 20])
    assert len(pattern) == 10
    assert [np.sum(pattern[:5] == kind) for kind in range(3)] in ([2, 2, 1], [3, 1, 1], [3, 2, 0], [2, 1, 2])


@pytest.mark.parametrize(
    "settings",
    [
        ["filter_augment.share=0"],
        ["quiet_augment={share: 0.3, fill: 20}"],
        ["teachers=a.h5", "teaching_share=1"],
        ["teachers=a.h5", "loss=focal", "label_smoothing=0.1"],
    ],
)
def test_what_acts_is_taken(settings: list[str]) -> None:
    load_config("standard", (), ["export.wake_word=computer", *(f"training.{setting}" for setting in settings)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["batch_ratios=[0,1,1]"], "leaves a batch without wake words, or without negatives"),
        (["batch_ratios=[1,0,0]"], "leaves a batch without wake words, or without negatives"),
        (["batch_ratios=[1,2]"], "training.batch_ratios"),
        (["batch_ratios=[1,-2,1]"], "it must be 0 or more"),
        (["batch_ratios=[1,1.5,1]"], "it must be a whole number"),
        (
            ["batch_ratios=[1,2,1]", "sampling_weights.hard_negative=2"],
            "sampling_weights.hard_negative would do nothing; leave one of the two out",
        ),
        (
            ["batch_ratios=[1,2,1]", "sampling_weights.hard_negative=0"],
            "sampling_weights.hard_negative gives them nothing; change one of the two",
        ),
        (
            ["batch_ratios=[1,0,1]", "sampling_weights.negative_alone=2"],
            "sampling_weights.negative_alone would do nothing; leave one of the two out",
        ),
        (
            ["batch_ratios=[1,2,0]", "sampling_weights.positive=0", "sampling_weights.positive_augmented=0"],
            "sampling_weights.positive gives them nothing; change one of the two",
        ),
        (["right_cutoff_slices=3"], "no set of training.truncation_strategies is fixed_right_cutoff"),
        (["right_cutoff_slices=20", "truncation_strategies.positive=fixed_right_cutoff"], "it must be 19 or less"),
        (["truncation_strategies.positive=random"], "it must be one of 'truncate_start', 'fixed_right_cutoff'"),
        (["split_fractions=[0.7,0.2,0.2]"], "must make 1, for example [0.7, 0.15, 0.15]"),
        (["split_fractions=[1,0,0]"], "it must be above 0"),
        (["quiet_augment.share=0.3"], "fill, erase are 0, so no window is changed; give one of them"),
        (
            ["quiet_augment.share=0", "quiet_augment.erase=9"],
            "quiet_augment.share is 0, so training.quiet_augment.erase would do nothing",
        ),
        (
            ["filter_augment={share: 0.3, gain: 0, tilt: 0, ripple: 0}"],
            "filter_augment.share is 0.3, and gain, tilt, ripple are 0, so no window is changed",
        ),
        (["teachers=a.h5", "teaching_share=1", "loss=focal"], "training.loss is focal, which changes the truth's part"),
        (["teachers=a.h5", "teaching_share=1", "label_smoothing=0.1"], "with training.teaching_share 1 that has none"),
        (["final_averaging_from=100"], "training.final_weight_averaging is 0; give that one"),
        (["final_weight_averaging=0.9995", "weight_averaging=0"], "there is no mean; give that one"),
        (["final_weight_averaging=0.9995", "final_averaging_from=30000"], "the training ends at 30000; give less"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config("standard", (), ["export.wake_word=computer", *(f"training.{setting}" for setting in settings)])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
