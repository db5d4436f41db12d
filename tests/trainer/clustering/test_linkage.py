"""Groups of voices: speakers are found, order means nothing, a higher threshold only divides."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.trainer.clustering.voices import utterance
from trainer.clustering import linkage
from trainer.clustering.linkage import group_voices, unit_rows
from trainer.config.sections import SpeakerClusteringSection
from wakeword.errors import ConfigError

Method = Literal["agglomerative", "threshold"]
METHODS: tuple[Method, ...] = ("agglomerative", "threshold")
both = pytest.mark.parametrize("method", METHODS)


def speakers(sizes: list[int], spread: float = 0.3) -> NDArray[np.float32]:
    return np.stack(
        [utterance(f"speaker {speaker}", take, spread) for speaker, size in enumerate(sizes) for take in range(size)]
    )


def partition(labels: NDArray[np.int64]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


@both
def test_speakers_are_found_and_the_largest_comes_first(method: Method) -> None:
    labels = group_voices(speakers([3, 1, 7, 3]), SpeakerClusteringSection(method=method))
    assert labels.tolist() == [1] * 3 + [3] + [0] * 7 + [2] * 3


def test_so_many_clusters_as_asked_for() -> None:
    embeddings = speakers([4, 4, 4])
    for count in range(1, 13):
        assert len(set(group_voices(embeddings, SpeakerClusteringSection(n_clusters=count)).tolist())) == count
    assert group_voices(embeddings, SpeakerClusteringSection(n_clusters=3)).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_a_chain_is_one_group_by_threshold_and_several_by_average_linkage() -> None:
    angles = np.arange(8) * 0.6  # neighbours have a cosine of 0.83, every second one 0.36
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert set(group_voices(chain, SpeakerClusteringSection(method="threshold")).tolist()) == {0}
    assert len(set(group_voices(chain, SpeakerClusteringSection(method="agglomerative")).tolist())) > 2


@both
def test_blocks_change_nothing(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = speakers([5, 9, 2, 1, 1, 6], spread=0.6)
    whole = group_voices(embeddings, SpeakerClusteringSection(method=method))
    monkeypatch.setattr(linkage, "_BLOCK_ROWS", 3)
    assert (group_voices(embeddings, SpeakerClusteringSection(method=method)) == whole).all()


@both
def test_copies_are_one_voice_even_at_threshold_one(method: Method) -> None:
    embeddings = np.repeat(speakers([1, 1]), 5, axis=0)
    assert (
        group_voices(embeddings, SpeakerClusteringSection(method=method, similarity_threshold=1)).tolist()
        == [0] * 5 + [1] * 5
    )


@both
def test_few_files(method: Method) -> None:
    assert group_voices(np.zeros((0, 4)), SpeakerClusteringSection(method=method)).tolist() == []
    assert group_voices(np.ones((1, 4)), SpeakerClusteringSection(method=method)).tolist() == [0]


def test_more_clusters_than_files_are_refused() -> None:
    with pytest.raises(ConfigError, match="4 clusters are asked of 3 usable files"):
        group_voices(speakers([3]), SpeakerClusteringSection(n_clusters=4))


def test_too_many_files_for_the_table_of_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linkage, "MAX_AGGLOMERATIVE_FILES", 5)
    with pytest.raises(ConfigError, match=r"6 files need .* --max-files 5 or speaker_clustering\.method=threshold"):
        group_voices(speakers([6]), SpeakerClusteringSection())
    assert group_voices(speakers([6]), SpeakerClusteringSection(method="threshold")).tolist() == [0] * 6


@pytest.mark.parametrize("row", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_a_row_without_direction_is_an_error(row: list[float]) -> None:
    with pytest.raises(ValueError, match="zero or holds values"):
        unit_rows([[1.0, 0.0], row])


crowds = st.tuples(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.sampled_from([0.3, 0.8, 1.2]))


@both
@settings(deadline=None, max_examples=40)
@given(crowd=crowds, data=st.data())
def test_order_means_nothing(method: Method, crowd: tuple[list[int], float], data: st.DataObject) -> None:
    embeddings = speakers(*crowd)
    order = np.array(data.draw(st.permutations(range(len(embeddings)))))
    threshold = data.draw(st.floats(0.05, 1))
    straight = group_voices(embeddings, SpeakerClusteringSection(method=method, similarity_threshold=threshold))
    shuffled = np.empty_like(straight)
    shuffled[order] = group_voices(
        embeddings[order], SpeakerClusteringSection(method=method, similarity_threshold=threshold)
    )
    assert partition(shuffled) == partition(straight)


@both
@settings(deadline=None, max_examples=40)
@given(crowd=crowds, thresholds=st.lists(st.floats(0.01, 1), min_size=2, max_size=5))
def test_a_higher_threshold_only_divides(
    method: Method, crowd: tuple[list[int], float], thresholds: list[float]
) -> None:
    embeddings = speakers(*crowd)
    found = [
        partition(group_voices(embeddings, SpeakerClusteringSection(method=method, similarity_threshold=value)))
        for value in sorted(thresholds)
    ]
    for coarse, fine in pairwise(found):
        assert all(any(part <= whole for whole in coarse) for part in fine)


@settings(deadline=None, max_examples=30)
@given(crowd=crowds, threshold=st.floats(0.05, 1))
def test_by_threshold_no_two_groups_touch(crowd: tuple[list[int], float], threshold: float) -> None:
    unit = unit_rows(speakers(*crowd))
    labels = group_voices(unit, SpeakerClusteringSection(method="threshold", similarity_threshold=threshold))
    apart = labels[:, None] != labels[None, :]
    assert ((unit @ unit.T)[apart] < threshold).all()
