"""Where words lie in a clip: the likeliest way against every way, and known boundaries of generated speech."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from tests.trainer.data.recognised import needs_recogniser, said
from trainer.data.speech.alignment import LEFT_OUT, best_path, likeliest_states, locate


def _every_way(frames: int, left_out: list[bool]) -> list[tuple[tuple[int, ...], float]]:
    """All ways through the states, each with what leaving out sounds costs."""
    states = 2 * len(left_out) + 1
    found = []
    for way in itertools.combinations_with_replacement(range(states), frames):
        skipped = [number for number in range(len(left_out)) if 2 * number + 1 not in way]
        if not all(left_out[number] for number in skipped):
            continue
        # A sound is left out between two pauses that are both there.
        if all(2 * number in way or number == 0 for number in skipped) and all(
            2 * number + 2 in way for number in skipped
        ):
            found.append((way, -LEFT_OUT * len(skipped)))
    return found


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(3, 5), st.just(5)), elements=st.floats(-9, 0)),
    st.lists(st.booleans(), min_size=2, max_size=2),
)
def test_no_way_is_likelier_than_the_one_that_is_found(cost: NDArray[np.float64], left_out: list[bool]) -> None:
    def total(way: tuple[int, ...]) -> float:
        return float(cost[np.arange(len(cost)), list(way)].sum())

    penalties = dict(_every_way(len(cost), left_out))
    best = max(total(way) + penalty for way, penalty in penalties.items())
    found = tuple(int(state) for state in likeliest_states(cost, left_out))
    assert total(found) + penalties[found] == pytest.approx(best)


@needs_recogniser
def test_parts_of_a_sentence_lie_where_they_were_put() -> None:
    first, second = said("alexa"), said("what time is it")
    for pause in (0, 4800):
        whole = np.concatenate(
            [np.zeros(3200, np.int16), first, np.zeros(pause, np.int16), second, np.zeros(1600, np.int16)]
        )
        spans = locate(whole, ("alexa", "what time is it"))
        assert spans is not None
        border = 3200 + len(first)
        assert abs(spans[0].start - 3200) <= 400
        assert abs(spans[0].end - border) <= 1600
        assert abs(spans[1].start - border - pause) <= 1600
        assert spans[0].end <= spans[1].start
        assert abs(spans[1].end - (len(whole) - 1600)) <= 400


@needs_recogniser
def test_what_cannot_be_told_is_not_guessed() -> None:
    assert locate(said("what time is it"), ("banana", "television news")) is None
    assert locate(said("alexa"), ("alexa",), "de") is None
    assert locate(np.zeros(16000, np.int16), ("alexa",)) is None
    assert locate(said("alexa"), ("alexa", "-")) is None


def test_an_alignment_needs_sounds_and_frames() -> None:
    with pytest.raises(ValueError, match="sounds and frames"):
        best_path(np.zeros((0, 190), np.float32), ("ə",))
