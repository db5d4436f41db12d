"""Clips of one array, and parts of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.clip_rows import ClipRows


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.data())
def test_parts_are_cut_at_the_ends_of_their_clips_and_not_copied(lengths: list[int], data: st.DataObject) -> None:
    clips = [
        np.arange(sum(lengths[:number]), sum(lengths[: number + 1]), dtype=np.int8)[:, None].repeat(40, 1)
        for number in range(len(lengths))
    ]
    rows = ClipRows.of(clips)
    inside = st.integers(0, len(lengths) - 1).flatmap(
        lambda clip: st.tuples(
            st.just(clip), st.integers(-4, lengths[clip] - 1), st.integers(lengths[clip], lengths[clip] + 4)
        )
    )
    places = data.draw(st.lists(inside, max_size=6))
    parts = rows.parts(places)
    assert len(parts) == len(places)
    assert parts.rows is rows.rows
    for part, (clip, first, stop) in zip(parts, places, strict=True):
        np.testing.assert_array_equal(part, clips[clip][max(0, first) : stop])
