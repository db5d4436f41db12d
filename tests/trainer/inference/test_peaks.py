"""The highest values whose places do not overlap, against the rule written down in plain words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.inference.peaks import highest_apart

Place = tuple[int, int]


def overlap(one: Place, other: Place) -> bool:
    return one[0] < other[1] and other[0] < one[1]


@given(
    values=st.lists(st.integers(0, 5), max_size=30),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=30, max_size=30),
    limit=st.integers(0, 12),
    taken=st.lists(
        st.tuples(st.integers(0, 90), st.integers(1, 9)).map(lambda place: (place[0], sum(place))), max_size=3
    ),
)
def test_the_highest_first_and_none_overlapping(
    values: list[int], steps: list[Place], limit: int, taken: list[Place]
) -> None:
    rises = np.array(steps[: len(values)], np.int64).reshape(-1, 2)
    starts = np.cumsum(rises[:, 0])
    stops = np.maximum(starts + 1, np.cumsum(rises[:, 1]) + 4)
    places = list(zip(starts.tolist(), stops.tolist(), strict=True))
    expected: list[int] = []
    for index in sorted(range(len(values)), key=lambda index: (-values[index], index)):
        held = [*taken, *(places[earlier] for earlier in expected)]
        if len(expected) < limit and not any(overlap(places[index], other) for other in held):
            expected.append(index)
    assert highest_apart(np.array(values, np.int64), starts, stops, limit, taken) == expected
