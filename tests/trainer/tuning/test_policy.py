"""The policy is a pure function of what was tried: never worse, always ending, the same again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.tuning.sessions import RECIPE, iteration, point
from trainer.tuning.operating_point import PointChoice, Targets
from trainer.tuning.policy import (
    LARGEST_WEIGHT_CHANGE,
    LOWEST_LEARNING_RATE,
    Iteration,
    Move,
    Trouble,
    TuningLimits,
    best_of,
    ending,
    is_gain,
    next_recipe,
    trouble_of,
    without_gain,
)

TARGETS = Targets(0.3, 0.92)
LIMITS = TuningLimits(max_iterations=40, patience=6, steps=1)


@st.composite
def outcomes(draw: st.DrawFn) -> PointChoice:
    """What an iteration may come out at, its flags true to its counts."""
    found, accepted = draw(st.integers(0, 100)), draw(st.integers(0, 40))
    half = draw(st.integers(0, 100)), draw(st.integers(0, 200))
    return point(
        found,
        accepted,
        reaches_fah=accepted / 10 <= TARGETS.false_accepts_per_hour,
        reaches_recall=found / 100 >= TARGETS.recall,
        viable=draw(st.floats(0, 1)),
        half=half,
    )


def tuned(results: list[PointChoice], limits: TuningLimits = LIMITS) -> list[Iteration]:
    """A whole tuning, with given outcomes in the place of training; the last one comes again and again."""
    history = [iteration(0, results[0], kept=True)]
    while ending(history, limits) is None:
        move, recipe = next_recipe(history, TARGETS)
        result = results[min(len(history), len(results) - 1)]
        history.append(iteration(len(history), result, is_gain(result, best_of(history).point), recipe, move))
    return history


histories = st.lists(outcomes(), min_size=1, max_size=30)


@given(histories)
def test_the_best_is_never_worse_than_the_given_model(results: list[PointChoice]) -> None:
    history = tuned(results)
    best = best_of(history)
    assert not is_gain(history[0].point, best.point)
    assert not any(is_gain(one.point, best.point) for one in history)
    if history[0].point.choice.reaches_target:
        assert best.point.choice.reaches_target
        assert best.point.choice.detected >= history[0].point.choice.detected


@given(histories)
def test_it_always_ends_and_says_why(results: list[PointChoice]) -> None:
    history = tuned(results)
    reason = ending(history, LIMITS)
    assert reason is not None
    assert len(history) <= LIMITS.max_iterations + 1
    assert without_gain(history) <= LIMITS.patience
    if best_of(history).point.reaches_targets:
        assert "both targets" in reason
        assert history[-1].kept, "the one that reaches them is the last"
    elif len(history) <= LIMITS.max_iterations:
        assert without_gain(history) == LIMITS.patience


@given(histories, st.integers(0, 29))
def test_it_goes_on_as_if_never_interrupted(results: list[PointChoice], at: int) -> None:
    history = tuned(results)
    for length in range(1, min(at, len(history) - 1) + 1):
        assert (history[length].move, history[length].recipe) == next_recipe(history[:length], TARGETS)


@given(histories)
def test_recipes_stay_within_bounds(results: list[PointChoice]) -> None:
    for one in tuned(results, TuningLimits(200, 60, 1)):
        recipe = one.recipe
        assert LOWEST_LEARNING_RATE <= recipe.learning_rate <= RECIPE.learning_rate
        for name in ("negative_class_weight", "hard_negative_class_weight"):
            assert 1 / LARGEST_WEIGHT_CHANGE <= getattr(recipe, name) / getattr(RECIPE, name) <= LARGEST_WEIGHT_CHANGE
        assert RECIPE.word_share <= recipe.word_share <= 0.5


@given(outcomes(), outcomes(), outcomes())
def test_gains_are_an_order(one: PointChoice, two: PointChoice, three: PointChoice) -> None:
    assert not is_gain(one, one)
    assert not (is_gain(one, two) and is_gain(two, one))
    if is_gain(one, two) and is_gain(two, three):
        assert is_gain(one, three)


def test_what_counts_as_better() -> None:
    best = point(90, 2)
    assert is_gain(point(91, 3), best)
    assert not is_gain(point(95, 9, reaches_fah=False), best)
    assert is_gain(point(90, 2, viable=0.51), best)
    assert not is_gain(point(90, 2, viable=0.500001), best), "noise is no gain"
    assert is_gain(point(10, 3, reaches_fah=False), point(90, 9, reaches_fah=False))


def test_the_trouble_is_what_the_targets_allow_least() -> None:
    # 3 false accepts in 10 h and 8 misses of 100 are allowed.
    assert trouble_of(point(80, 0, half=(16, 3)), TARGETS) is Trouble.MISSES
    assert trouble_of(point(80, 0, half=(16, 9)), TARGETS) is Trouble.FALSE_ACCEPTS
    assert trouble_of(point(95, 0, reaches_recall=True, half=(16, 9)), TARGETS) is Trouble.NONE
    # In a quarter of an hour none is allowed, and one counts as one.
    assert trouble_of(point(80, 0, hours=0.25, half=(16, 1)), TARGETS) is Trouble.MISSES


@pytest.mark.parametrize(
    ("half", "first", "last"), [((90, 0), Move.EASIER, Move.STRICTER), ((0, 90), Move.STRICTER, Move.EASIER)]
)
def test_the_answer_first_then_the_same_then_the_opposite_at_lower_and_lower_rates(
    half: tuple[int, int], first: Move, last: Move
) -> None:
    history = tuned([point(80, 0, half=half)], TuningLimits(100, 7, 1))
    assert [one.move for one in history[1:]] == [first, Move.SAME, last, first, Move.SAME, last, first]
    assert [one.recipe.learning_rate for one in history[1:]] == [1e-4] * 3 + [5e-5] * 3 + [2.5e-5]
    assert {one.recipe.mine for one in history if one.move is Move.STRICTER} == {True}
    stricter = next(one.recipe for one in history if one.move is Move.STRICTER)
    assert (stricter.negative_class_weight, stricter.hard_negative_class_weight, stricter.word_share) == (30, 60, 0.2)
    easier = next(one.recipe for one in history if one.move is Move.EASIER)
    assert easier.negative_class_weight == pytest.approx(20 / 1.5)
    assert easier.word_share == pytest.approx(0.25)


def test_a_gain_begins_anew_from_its_own_recipe() -> None:
    low = replace(RECIPE, learning_rate=5e-5, negative_class_weight=30.0)
    history = [
        iteration(0, point(80, 0, half=(0, 90)), kept=True),
        iteration(1, point(85, 0, half=(0, 80)), True, low, Move.STRICTER),
    ]
    move, recipe = next_recipe(history, TARGETS)
    assert (move, recipe.learning_rate, recipe.negative_class_weight) == (Move.STRICTER, 5e-5, 45.0)


def test_no_iterations_at_all() -> None:
    assert (
        ending([iteration(0, point(80, 0), kept=True)], TuningLimits(0, 1, 1))
        == "0 iterations are done (--max-iterations)"
    )
    for wrong in ((-1, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="are no limits"):
            TuningLimits(*wrong)
