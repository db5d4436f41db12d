"""The paired tests: against golden values, against enumeration of all outcomes, and their symmetries."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy
from scipy.stats import binomtest

from wakeword.scoring.agreement import (
    EXACT_UP_TO,
    SIGNIFICANCE,
    _p_below,
    equivalence,
    holm,
    mcnemar,
    pair_positions,
    utterances_needed,
)

MARGIN = 0.03
POSITIONS = st.lists(st.integers(0, 2000), max_size=25)


@st.composite
def paired_counts(draw: st.DrawFn) -> tuple[int, int, int]:
    utterances = draw(st.integers(1, 150))
    first = draw(st.integers(0, utterances))
    return first, draw(st.integers(0, utterances - first)), utterances


def outcomes(
    utterances: int, first_rate: float, second_rate: float, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All discordant counts up to `most` and their multinomial probabilities."""
    first, second = np.meshgrid(np.arange(most + 1), np.arange(most + 1), indexing="ij")
    rest = np.maximum(utterances - first - second, 0)
    logs = gammaln(utterances + 1) - gammaln(first + 1) - gammaln(second + 1) - gammaln(rest + 1)
    logs = logs + xlogy(first, first_rate) + xlogy(second, second_rate) + xlogy(rest, 1 - first_rate - second_rate)
    return first, second, np.where(first + second <= utterances, np.exp(logs), 0)


@cache
def limits(utterances: int, most: int) -> NDArray[np.int64]:
    """For each count of the second only, the largest count of the first only that rules out a difference of the margin;
    -1 for none.
    """
    found: list[int] = []
    first = -1
    for second in range(most + 1):
        while first + 1 + second <= utterances and _p_below(first + 1, second, utterances, MARGIN) < SIGNIFICANCE:
            first += 1
        found.append(first)
    return np.array(found)


# --- McNemar ----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = float(binomtest(first, first + second).pvalue) if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "second", "p"), [(0, 0, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (10, 1, 0.01171875), (5, 5, 1.0)]
)
def test_mcnemar_golden(first: int, second: int, p: float) -> None:
    assert mcnemar(first, second) == pytest.approx(p)


# --- equivalence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "utterances", "difference", "low", "high", "p", "equivalent"),
    [
        (0, 0, 98, 0.0, -0.0301, 0.0301, 0.97**98, False),
        (0, 0, 99, 0.0, -0.0298, 0.0298, 0.97**99, True),
        (5, 5, 361, 0.0, -0.0163, 0.0163, 0.0038, True),
        (10, 1, 361, 0.0249, 0.0087, 0.0435, 0.3565, False),
        (50, 70, 1203, -0.0166, -0.0320, -0.0007, 0.0743, False),
        (1, 0, 1, 1.0, -0.9, 1.0, 1.0, False),
    ],
)
def test_equivalence_golden(
    first: int, second: int, utterances: int, difference: float, low: float, high: float, p: float, equivalent: bool
) -> None:
    tested = equivalence(first, second, utterances, MARGIN)
    assert [tested.difference, tested.low, tested.high, tested.p] == pytest.approx([difference, low, high, p], abs=1e-4)
    assert tested.equivalent is equivalent


@settings(max_examples=60, deadline=None)
@given(paired_counts(), st.sampled_from([0.01, 0.03, 0.1, 0.3]))
def test_the_interval_says_what_the_tests_say(counts: tuple[int, int, int], margin: float) -> None:
    tested = equivalence(*counts, margin)
    assert tested.equivalent == (tested.p < SIGNIFICANCE) == (-margin < tested.low and tested.high < margin)
    assert -1 <= tested.low <= tested.difference <= tested.high <= 1


@settings(max_examples=30, deadline=None)
@given(paired_counts())
def test_swapping_the_sides_mirrors_the_interval(counts: tuple[int, int, int]) -> None:
    ours, theirs = equivalence(*counts, MARGIN), equivalence(counts[1], counts[0], counts[2], MARGIN)
    assert (ours.p, ours.equivalent) == (theirs.p, theirs.equivalent)
    assert (ours.low, ours.high) == pytest.approx((-theirs.high, -theirs.low))


@settings(max_examples=60, deadline=None)
@given(paired_counts())
def test_more_found_by_the_first_speaks_less_for_a_smaller_difference(counts: tuple[int, int, int]) -> None:
    first, second, utterances = counts
    if first + second < utterances:
        assert _p_below(first, second, utterances, MARGIN) <= _p_below(first + 1, second, utterances, MARGIN) + 1e-9


@pytest.mark.parametrize("utterances", [30, 60, 88, 99, 150, 361])
def test_it_errs_at_most_one_time_in_twenty(utterances: int) -> None:
    """The probability of "equivalent" when the difference is exactly the margin, over all outcomes and many rates."""
    most = min(utterances, 130)
    allowed = limits(utterances, most)
    for rate in np.linspace(0, 0.15, 40):
        first, second, probability = outcomes(utterances, rate + MARGIN, rate, most)
        ruled_out = (first <= allowed[second]) & (second <= allowed[first])
        assert probability[ruled_out].sum() <= SIGNIFICANCE + 1e-6


def test_it_errs_at_most_one_time_in_twenty_by_simulation() -> None:
    random = np.random.default_rng(20261121)
    drawn = random.multinomial(200, [0.04, 0.01, 0.95], 20_000)
    allowed = limits(200, 60)
    share = np.mean((drawn[:, 0] <= allowed[drawn[:, 1]]) & (drawn[:, 1] <= allowed[drawn[:, 0]]))
    assert share <= SIGNIFICANCE + 3 * np.sqrt(SIGNIFICANCE * 0.95 / len(drawn))


@pytest.mark.parametrize(
    ("discordance", "planned", "power"), [(0.03, 361, 0.81), (0.05, 602, 0.86), (0.10, 1203, 0.89)]
)
def test_planned_sample_sizes_and_the_power_they_give(discordance: float, planned: int, power: float) -> None:
    assert utterances_needed(discordance, MARGIN) == planned
    most = int(planned * discordance / 2 + 6 * np.sqrt(planned * discordance / 2)) + 1
    first, second, probability = outcomes(planned, discordance / 2, discordance / 2, most)
    allowed = limits(planned, most)
    shown = (first <= allowed[second]) & (second <= allowed[first])
    assert probability[shown].sum() == pytest.approx(power, abs=0.006)


def test_full_agreement_needs_utterances_too() -> None:
    needed = utterances_needed(0.0, MARGIN)
    assert (needed, equivalence(0, 0, needed, MARGIN).equivalent, equivalence(0, 0, needed - 1, MARGIN).equivalent) == (
        99,
        True,
        False,
    )


def test_many_utterances_continue_where_few_end() -> None:
    below, above = (equivalence(30, 40, count, MARGIN) for count in (EXACT_UP_TO, EXACT_UP_TO + 1))
    assert (below.low, below.high) == pytest.approx((above.low, above.high), abs=2e-4)


@pytest.mark.parametrize(
    ("first", "second", "utterances", "margin"),
    [(-1, 0, 5, 0.1), (3, 3, 5, 0.1), (0, 0, 0, 0.1), (0, 0, 5, 0.0), (0, 0, 5, 1.0)],
)
def test_impossible_counts_and_margins_are_refused(first: int, second: int, utterances: int, margin: float) -> None:
    with pytest.raises(ValueError, match=r"paired counts|margin"):
        equivalence(first, second, utterances, margin)


def test_other_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="discordance"):
        utterances_needed(1.2, MARGIN)
    with pytest.raises(ValueError, match="discordant"):
        mcnemar(-1, 2)
    with pytest.raises(ValueError, match="tolerance"):
        pair_positions([1], [1], -1)


# --- pairing ----------------------------------------------------------------------------------------------------------


@given(POSITIONS, POSITIONS, st.integers(0, 60))
def test_pairs_are_one_to_one_near_and_none_is_left_over(first: list[int], second: list[int], tolerance: int) -> None:
    pairing = pair_positions(first, second, tolerance)
    ours, theirs = [one for one, _ in pairing.pairs], [other for _, other in pairing.pairs]
    assert sorted([*ours, *pairing.first_only]) == list(range(len(first)))
    assert sorted([*theirs, *pairing.second_only]) == list(range(len(second)))
    assert all(abs(first[one] - second[other]) <= tolerance for one, other in pairing.pairs)
    assert not any(
        abs(first[one] - second[other]) <= tolerance for one in pairing.first_only for other in pairing.second_only
    )


@given(st.sets(st.integers(0, 2000), max_size=25), st.sets(st.integers(0, 2000), max_size=25), st.integers(0, 60))
def test_swapping_the_streams_swaps_the_pairs(first: set[int], second: set[int], tolerance: int) -> None:
    ours, theirs = list(first), list(second)
    pairing, swapped = pair_positions(ours, theirs, tolerance), pair_positions(theirs, ours, tolerance)
    assert sorted(pairing.pairs) == sorted((one, other) for other, one in swapped.pairs)
    assert (pairing.first_only, pairing.second_only) == (swapped.second_only, swapped.first_only)


@given(POSITIONS)
def test_equal_streams_pair_in_place(positions: list[int]) -> None:
    pairing = pair_positions(positions, positions, 49)
    assert len(pairing.pairs) == len(positions) and all(
        positions[one] == positions[other] for one, other in pairing.pairs
    )


def test_the_nearest_goes_first_and_the_tolerance_is_inclusive() -> None:
    assert pair_positions([100, 300], [104, 149, 351], 49).pairs == ((0, 0),)
    assert pair_positions([100], [149], 49).pairs == ((0, 0),)
    assert pair_positions([100], [150], 49) == pair_positions([100], [50], 49)


def test_holm_corrects_the_smallest_most() -> None:
    """Worked by hand: 3 * 0.01, then 2 * 0.02, then 0.03 raised to what the one before got."""
    assert holm([0.03, 0.01, None, 0.02]) == pytest.approx([0.04, 0.03, None, 0.04])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: list[float | None]) -> None:
    corrected = holm(p_values)
    tests = [(p, c) for p, c in zip(p_values, corrected, strict=True) if p is not None and c is not None]
    assert len(tests) == sum(p is not None for p in p_values) == sum(c is not None for c in corrected)
    for p, c in tests:
        assert p <= c <= min(1.0, len(tests) * p)
    assert [c for _, c in sorted(tests)] == sorted(c for _, c in tests)
