"""The choice of a cutoff, and how a manifest states it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wakeword.contract import cutoff_to_uint8
from wakeword.scoring.det import DetCurve
from wakeword.scoring.operating_point import (
    HARD_SHARE,
    HIGHEST_CUTOFF,
    SYNTHETIC_SHARE,
    choose_by_people,
    choose_cutoff,
    cutoff_as_probability,
)
from wakeword.scoring.tail import fit_tail, log_odds


def curve(detected: dict[range, int], false_accepts: dict[range, int], hours: float = 1.0) -> DetCurve:
    """A curve from counts by ranges of cutoffs; 0 elsewhere."""
    counts = np.zeros((2, 256), np.int64)
    for row, parts in zip(counts, (detected, false_accepts), strict=True):
        for cutoffs, count in parts.items():
            row[cutoffs.start : cutoffs.stop] = count
    return DetCurve(np.arange(256), counts[0], counts[1], 20, hours)


def test_the_middle_of_the_cutoffs_that_do_best() -> None:
    choice = choose_cutoff(curve({range(1, 201): 18, range(201, 255): 16}, {range(1, 101): 3}), 0.5)
    assert (choice.cutoff, choice.detected, choice.false_accepts, choice.reaches_target) == (
        150,
        18,
        0,
        True,
    )  # of 101 to 200
    assert (choice.utterances, choice.hours) == (20, 1.0)
    assert cutoff_to_uint8(choice.probability_cutoff) == 150


def test_a_cutoff_exactly_at_the_target_takes_part() -> None:
    assert choose_cutoff(curve({range(1, 11): 5}, {range(1, 255): 1}, hours=2.0), 0.5).reaches_target
    assert not choose_cutoff(curve({range(1, 11): 5}, {range(1, 255): 1}, hours=1.9), 0.5).reaches_target


def test_the_chosen_one_is_a_member_of_a_plateau_with_gaps() -> None:
    choice = choose_cutoff(curve({range(10, 20): 5, range(100, 101): 5}, {range(14, 16): 9}), 0.5)
    assert choice.detected == 5
    assert choice.false_accepts == 0


def test_one_utterance_is_no_difference() -> None:
    # Cutoffs 31 and 32 alone find all 20, those up to 200 one less: the choice is not the edge, where a false accept is
    # near.
    choice = choose_cutoff(curve({range(1, 33): 20, range(33, 201): 19, range(201, 255): 18}, {range(1, 31): 9}), 0.5)
    assert (choice.cutoff, choice.detected) == (115, 19)


@pytest.mark.parametrize(("utterances", "fewer"), [(5, 1), (20, 1), (40, 2), (80, 4), (300, 4), (1000, 10)])
def test_so_many_fewer_are_no_difference(utterances: int, fewer: int) -> None:
    counts = {range(1, 101): utterances, range(101, 201): utterances - fewer, range(201, 255): utterances - fewer - 1}
    part = curve(counts, {range(1, 21): 9})
    assert (
        choose_cutoff(DetCurve(part.cutoffs, part.detected, part.false_accepts, utterances, 1.0), 0.5).cutoff == 110
    )  # of 21 to 200


def test_without_a_cutoff_at_the_target_those_with_the_fewest_false_accepts_take_part() -> None:
    choice = choose_cutoff(curve({range(1, 255): 4, range(200, 211): 9}, {range(1, 200): 8, range(200, 255): 3}), 0.5)
    assert (choice.cutoff, choice.detected, choice.false_accepts, choice.reaches_target) == (205, 9, 3, False)


def test_cutoffs_that_never_detect_are_not_chosen() -> None:
    choice = choose_cutoff(curve({range(256): 3}, {}), 0)
    assert 1 <= choice.cutoff <= HIGHEST_CUTOFF
    assert choose_cutoff(curve({range(1): 20, range(255, 256): 20, range(7, 8): 1}, {}), 0).cutoff == 7


# --- where validation is saturated ------------------------------------------------------------------------------------


def falling(per_hour: float, mean_excess: float, hours: float) -> dict[range, int]:
    """False accepts that thin out exponentially over log-odds, so many an hour at a cutoff of one half."""
    levels = log_odds(np.arange(1, 255))
    return {
        range(cutoff, cutoff + 1): round(per_hour * hours * float(np.exp(-level / mean_excess)))
        for cutoff, level in zip(range(1, 255), levels, strict=True)
    }


EVERY = {range(1, 255): 20}
FALLING = np.linspace(1.0, 0.5, 256)
"""Recall in hard conditions that each cutoff costs some of."""


def test_a_cutoff_that_is_read_off_nothing_moves_up_and_it_is_said() -> None:
    plain = choose_cutoff(curve(EVERY, {range(11): 9}, hours=10.0), 0.5)
    assert (plain.cutoff, plain.margin) == (132, ""), "ten hours without a false accept prove the target"
    little = choose_cutoff(curve(EVERY, {range(11): 9}, hours=1.0), 0.5)
    assert little.cutoff > plain.cutoff
    assert "validation is saturated, so the cutoff has a margin (0.52 without it)" in little.margin
    assert not choose_cutoff(curve({range(31, 201): 20}, {range(31): 9}), 0.5).margin, (
        "bounded on both sides by what was counted"
    )


def test_with_synthetic_words_the_extrapolated_rate_is_within_the_target() -> None:
    """Nine false accepts below 0.04, and none above it in a quarter of an hour: the middle of the rest says nothing of
    the rate.
    """
    part = curve(EVERY, falling(8.0, 1.5, 0.25), hours=0.25)
    choice = choose_cutoff(part, 0.5, hard=FALLING)
    tail = fit_tail(part)
    level = float(log_odds(np.array(choice.cutoff)))
    assert tail.rate(level) <= 0.5
    assert choice.cutoff > choose_cutoff(part, 0.5).cutoff
    assert f"{FALLING[choice.cutoff]:.1%} found in hard conditions" in choice.margin


def test_beyond_the_target_a_margin_costs_next_to_nothing() -> None:
    part = curve(EVERY, falling(1.0, 1.5, 0.5), hours=0.5)
    free, dear = (choose_cutoff(part, 0.5, hard=hard) for hard in (np.ones(256), FALLING))
    assert free.cutoff > dear.cutoff
    middle = (next(cutoff for cutoff in range(1, 255) if part.false_accepts[cutoff] / 0.5 <= 0.5) + HIGHEST_CUTOFF) // 2
    least = next(
        cutoff for cutoff in range(middle, 255) if fit_tail(part).rate(float(log_odds(np.array(cutoff)))) <= 0.5
    )
    assert FALLING[dear.cutoff] >= FALLING[least] - HARD_SHARE


def test_a_margin_ends_where_nothing_is_found() -> None:
    """Of a weak model no cutoff has so low a rate: one that finds nothing is no choice."""
    part = curve({range(1, 251): 20}, {range(1, 241): 20, range(241, 251): 3}, hours=0.2)
    for hard in (FALLING, np.where(np.arange(256) < 251, 0.5, 0.0), np.zeros(256)):
        choice = choose_cutoff(part, 15.0, hard=hard)
        assert (choice.cutoff, choice.detected) == (250, 20)


@pytest.mark.parametrize("hard", [None, np.ones(256)])
def test_a_margin_leaves_a_targets_recall(hard: np.typing.NDArray[np.float64] | None) -> None:
    little, much = (curve({range(1, 201): 20, range(201, 255): 19}, {range(1, 11): 9}, hours) for hours in (1.0, 100.0))
    choice = choose_cutoff(little, 0.5, 1.0, hard)
    assert choice.detected == 20
    assert choice.cutoff > choose_cutoff(much, 0.5, 1.0, hard).cutoff, (
        "the target of recall takes no margin away that it can have"
    )
    assert choice.margin


def test_a_margin_that_moves_nothing_does_not_say_that_it_did() -> None:
    choice = choose_cutoff(curve(EVERY, {range(11): 9}), 0.5, hard=(np.arange(256) <= 132).astype(np.float64))
    assert choice.cutoff == 132
    assert "validation is saturated, and a margin would cost too much" in choice.margin


def test_no_false_accept_in_little_sound_is_still_a_rate() -> None:
    choice = choose_cutoff(curve({range(31, 201): 20}, {range(31): 9}, hours=0.8), 0.5)
    assert choice.false_accepts == 0
    assert choice.rate_bound == pytest.approx(3.0 / 0.8, abs=0.01)  # -ln(0.05) / hours
    assert "0 false accepts in 0.80 h (at most 3.7/h)" in choice.counted


@given(
    rate=st.floats(0.01, 50),
    excess=st.floats(0.5, 3),
    hours=st.floats(0.2, 20),
    targets=st.tuples(st.floats(0.1, 2), st.floats(0.1, 2)).map(sorted),
    hard=st.sampled_from([None, FALLING, np.ones(256)]),
)
def test_a_stricter_target_never_gives_a_lower_cutoff_where_all_is_found(
    rate: float, excess: float, hours: float, targets: list[float], hard: np.typing.NDArray[np.float64] | None
) -> None:
    part = curve(EVERY, falling(rate, excess, hours), hours)
    strict, loose = (choose_cutoff(part, target, hard=hard) for target in targets)
    assume(strict.reaches_target)
    assert strict.cutoff >= loose.cutoff or bool(loose.margin) > bool(strict.margin)
    assert strict.false_accepts / hours <= targets[0]


counts = st.lists(st.integers(0, 5), min_size=256, max_size=256).map(lambda values: np.array(values, np.int64))


@given(detected=counts, false_accepts=counts, target=st.floats(0, 6))
def test_no_other_cutoff_is_better_by_two(
    detected: np.typing.NDArray[np.int64], false_accepts: np.typing.NDArray[np.int64], target: float
) -> None:
    choice = choose_cutoff(DetCurve(np.arange(256), detected, false_accepts, 5, 1.0), target)
    usable = slice(1, HIGHEST_CUTOFF + 1)
    allowed = target if choice.reaches_target else false_accepts[usable].min()
    assert choice.false_accepts == false_accepts[choice.cutoff] <= allowed
    most = int(detected[usable][false_accepts[usable] <= allowed].max())
    assert choice.detected == detected[choice.cutoff]
    assert min(1, most) <= choice.detected <= most <= choice.detected + 1


@pytest.mark.parametrize("cutoff", range(256))
def test_a_manifests_decimal_becomes_the_same_cutoff_on_the_device(cutoff: int) -> None:
    probability = cutoff_as_probability(cutoff)
    assert cutoff_to_uint8(probability) == cutoff
    assert 0 <= probability <= 1
    digits = len(f"{probability:.7f}".rstrip("0").partition(".")[2])
    assert not any(
        cutoff_to_uint8(round(step / 10**digit, digit)) == cutoff
        for digit in range(1, digits)
        for step in range(10**digit + 1)
    ), "shorter exists"


@given(found=st.lists(st.integers(0, 20), min_size=255, max_size=255), hours=st.floats(0.1, 3))
def test_a_margin_of_synthetic_words_costs_a_tenth_at_most(found: list[int], hours: float) -> None:
    falling = {range(cutoff, cutoff + 1): count for cutoff, count in enumerate(sorted(found, reverse=True))}
    part = curve(falling, {range(200): 30}, hours)
    # A target that the counts prove needs no margin: the same plateau, and so the same middle.
    without = choose_cutoff(curve(falling, {range(200): 3_000_000}, 100_000.0), 0.5, hard=np.ones(256))
    choice = choose_cutoff(part, 0.5, hard=np.ones(256))
    assume(without.cutoff >= 200)
    assert choice.detected >= (1 - SYNTHETIC_SHARE) * without.detected - 1e-9


# --- where people's own sound chooses ---------------------------------------------------------------------------------


def test_people_choose_the_lowest_cutoff_whose_rate_is_within_the_target() -> None:
    part = curve({range(1, 255): 20}, falling(4.0, 0.7, 0.25), hours=0.25)
    choice = choose_by_people(part, 0.5)
    tail = fit_tail(part)
    assert tail.rate(float(log_odds(np.array(choice.cutoff)))) <= 0.5
    assert tail.rate(float(log_odds(np.array(choice.cutoff - 1)))) > 0.5
    assert choice.cutoff < choose_cutoff(part, 0.5, hard=FALLING).cutoff, "no middle, and no step for nothing"
    assert (choice.false_accepts, choice.reaches_target) == (0, True)
    assert "people's negatives chose it: by the tail of lower peaks 0." in choice.margin
    many = curve({range(1, 255): 20}, {range(1, 150): 90, range(150, 200): 3}, hours=1.0)
    assert choose_by_people(many, 0.5).cutoff >= 200, "nor one that has more by its count"


def test_where_no_cutoff_of_people_is_within_the_target_the_fewest_are_taken() -> None:
    choice = choose_by_people(curve({range(1, 230): 20}, {range(1, 200): 30, range(200, 255): 3}), 0.5)
    assert (choice.false_accepts, choice.reaches_target) == (3, False)
    assert 200 <= choice.cutoff < 230, "one that finds nothing is no choice"
    nothing = choose_by_people(curve({}, {}), 0.5)
    assert 1 <= nothing.cutoff <= HIGHEST_CUTOFF


def test_a_target_of_recall_is_kept_where_people_choose() -> None:
    accepted = falling(4.0, 0.7, 2.5)
    free = choose_by_people(curve(EVERY, accepted, hours=2.5), 0.5).cutoff
    part = curve({range(1, free): 20, range(free, 255): 12}, accepted, hours=2.5)
    assert part.false_accepts[free - 1] / 2.5 <= 0.5, "within the target by its count"
    assert choose_by_people(part, 0.5).cutoff == free
    assert choose_by_people(part, 0.5, 1.0).cutoff == free - 1
