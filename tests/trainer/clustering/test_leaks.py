"""Voices on two sides of a split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.clustering.voices import utterance
from trainer.clustering.leaks import find_speaker_leaks
from trainer.clustering.linkage import unit_rows

VOICES = ("ann", "ben", "cleo", "ann")  # the fourth folder is the first person again
FOLDERS = ("ann", "ben", "cleo", "guest")
SPLITS = ("train", "val", "test", "test")


def crowd(takes: int = 3) -> tuple[list[np.typing.NDArray[np.float32]], list[str], list[str]]:
    embeddings = [
        utterance(voice, f"{folder} {take}")
        for voice, folder in zip(VOICES, FOLDERS, strict=True)
        for take in range(takes)
    ]
    return (
        embeddings,
        [split for split in SPLITS for _ in range(takes)],
        [folder for folder in FOLDERS for _ in range(takes)],
    )


def test_a_person_under_two_names_is_found() -> None:
    (leak,) = find_speaker_leaks(*crowd(), 0.72)
    assert (leak.splits, leak.speakers, leak.pairs) == (("test", "train"), ("guest", "ann"), 9)
    embeddings, splits, speakers = crowd()
    left, right = leak.example
    assert (splits[left], splits[right], speakers[left], speakers[right]) == ("test", "train", "guest", "ann")
    assert leak.similarity == pytest.approx(float(embeddings[left] @ embeddings[right]), abs=1e-6)


def test_one_split_has_no_leak_and_one_name_on_two_sides_has() -> None:
    embeddings, splits, speakers = crowd()
    assert find_speaker_leaks(embeddings, ["train"] * len(splits), speakers, 0.1) == ()
    leaks = find_speaker_leaks(embeddings[:2], ["train", "val"], ["ann", "ann"], 0.72)
    assert [leak.speakers for leak in leaks] == [("ann", "ann")]
    assert find_speaker_leaks([], [], [], 0.72) == ()


@settings(deadline=None, max_examples=40)
@given(data=st.data(), threshold=st.floats(0.05, 0.95))
def test_leaks_are_all_pairs_across_and_order_means_nothing(data: st.DataObject, threshold: float) -> None:
    embeddings, _, speakers = crowd(2)
    splits = [data.draw(st.sampled_from(["train", "val", "test"])) for _ in embeddings]
    unit = unit_rows(embeddings)
    pairs = [
        (one, other)
        for one in range(len(unit))
        for other in range(one)
        if splits[one] != splits[other] and unit[one] @ unit[other] >= threshold
    ]
    leaks = find_speaker_leaks(embeddings, splits, speakers, threshold)
    assert sum(leak.pairs for leak in leaks) == len(pairs)
    assert max((leak.similarity for leak in leaks), default=None) == pytest.approx(
        max((float(unit[a] @ unit[b]) for a, b in pairs), default=None)
    )
    order = data.draw(st.permutations(range(len(unit))))
    again = find_speaker_leaks(
        [embeddings[row] for row in order], [splits[row] for row in order], [speakers[row] for row in order], threshold
    )
    assert {(leak.splits, leak.speakers, leak.pairs) for leak in again} == {
        (leak.splits, leak.speakers, leak.pairs) for leak in leaks
    }
    fewer = find_speaker_leaks(embeddings, splits, speakers, min(1.0, threshold + 0.1))
    assert {(leak.splits, leak.speakers) for leak in fewer} <= {(leak.splits, leak.speakers) for leak in leaks}


def test_lengths_must_agree() -> None:
    embeddings, splits, speakers = crowd()
    with pytest.raises(ValueError, match="one entry a file"):
        find_speaker_leaks(embeddings, splits[1:], speakers, 0.72)
