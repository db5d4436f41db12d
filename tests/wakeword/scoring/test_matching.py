"""One matcher, one tolerance, tested at its edges."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakeword.scoring.matching import Span, match, merge_spans


def test_the_window_is_closed_at_both_ends_and_the_tolerance_is_after_the_end() -> None:
    word = [Span(10.0, 11.0)]
    for moment, found in ((9.999, 0), (10.0, 1), (11.0, 1), (11.5, 1), (11.501, 0)):
        components = match(word, [moment], 60, 0.5)
        assert (components.found, components.false_accepts) == (found, 1 - found), moment


def test_a_second_detection_of_one_utterance_is_false() -> None:
    components = match([Span(1, 2)], [1.5, 2.1], 60, 0.5)
    assert (components.found, components.false_accepts) == (1, 1)
    assert (components.matches, components.false) == (((0, 0),), (1,))


def test_two_utterances_in_one_breath() -> None:
    # The first detection lies in both windows; the one that closes first takes it, and the second detection finds the
    # other.
    components = match([Span(1.0, 2.0), Span(1.5, 3.0)], [1.8, 3.2], 60, 0.5)
    assert components.found == 2
    assert components.missed == ()


def test_void_time_is_in_no_figure() -> None:
    words = [Span(10, 11), Span(30, 31), Span(50, 51)]
    components = match(words, [10.5, 29.5, 30.5, 40.0, 55.0], 60, 0.5, [Span(29, 30.2), Span(39, 41)])
    assert (components.utterances, components.found, components.false_accepts) == (2, 1, 1)
    assert (components.void_utterances, components.void_detections) == (1, 3)
    assert components.scored_seconds == pytest.approx(56.8)
    assert components.void_seconds == pytest.approx(3.2)
    assert components.missed == (2,)


def test_components_add_up() -> None:
    first, second = match([Span(1, 2)], [1.5, 9.0], 10, 0.5), match([Span(1, 2)], [], 20, 0.5, [Span(15, 16)])
    total = first + second
    assert (total.utterances, total.found, total.false_accepts, total.scored_seconds, total.void_seconds) == (
        2,
        1,
        1,
        29,
        1,
    )


def test_voids_are_cut_and_joined() -> None:
    assert merge_spans([Span(5, 9), Span(-3, 1), Span(8, 12), Span(30, 40)], 10) == [Span(0, 1), Span(5, 10)]


@pytest.mark.parametrize(("seconds", "tolerance"), [(-1, 0), (1, -0.1)])
def test_what_cannot_be_scored_is_refused(seconds: float, tolerance: float) -> None:
    with pytest.raises(ValueError, match="cannot be scored"):
        match([], [], seconds, tolerance)


def test_a_span_has_a_direction() -> None:
    with pytest.raises(ValueError, match="cannot end"):
        Span(2, 1)


moments = st.integers(0, 40).map(float)
spans = st.tuples(moments, st.integers(0, 6)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))


def most_pairs(utterances: list[Span], detections: list[float], tolerance: float) -> int:
    """The largest one-to-one assignment, by trying all."""
    best = 0
    for order in itertools.permutations(range(len(detections))):
        free = list(order)
        count = 0
        for utterance in utterances:
            hit = next(
                (number for number in free if utterance.start <= detections[number] <= utterance.end + tolerance), None
            )
            if hit is not None:
                free.remove(hit)
                count += 1
        best = max(best, count)
    return best


@given(st.lists(spans, max_size=4), st.lists(moments, max_size=4), st.sampled_from([0.0, 2.0]))
def test_no_assignment_finds_more(utterances: list[Span], detections: list[float], tolerance: float) -> None:
    components = match(utterances, detections, 60, tolerance)
    assert components.found == most_pairs(utterances, detections, tolerance)
    assert components.found + len(components.missed) == components.utterances == len(utterances)
    assert components.found + components.false_accepts == len(detections)


@given(st.lists(spans, max_size=6), st.lists(moments, max_size=6), st.lists(spans, max_size=3))
def test_everything_is_counted_once(utterances: list[Span], detections: list[float], voids: list[Span]) -> None:
    components = match(utterances, detections, 60, 1.0, voids)
    assert components.utterances + components.void_utterances == len(utterances)
    assert components.found + components.false_accepts + components.void_detections == len(detections)
    assert components.scored_seconds + components.void_seconds == pytest.approx(60)
