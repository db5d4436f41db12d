"""Cohesion, neighbours, doubts and silhouette against their definitions, spelled out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.clustering.voices import utterance
from trainer.clustering.linkage import unit_rows
from trainer.clustering.quality import judge


@settings(deadline=None, max_examples=40)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5), spread=st.sampled_from([0.2, 0.9]))
def test_figures_are_those_of_all_pairs(sizes: list[int], spread: float) -> None:
    unit = unit_rows(
        [utterance(f"speaker {speaker}", take, spread) for speaker, size in enumerate(sizes) for take in range(size)]
    )
    labels = np.repeat(np.arange(len(sizes)), sizes)
    quality = judge(unit, labels, 0.72)
    pairs = unit @ unit.T
    silhouettes = []
    for index, own in enumerate(labels):
        others = [pairs[index, other] for other in np.flatnonzero(labels == own) if other != index]
        means = [pairs[index, labels == group].mean() for group in range(len(sizes)) if group != own]
        if not others or not means:
            silhouettes.append(0.0)
            continue
        within, beyond = 1 - np.mean(others), 1 - max(means)
        silhouettes.append((beyond - within) / max(within, beyond))
        doubtful = np.mean(others) < 0.72 or np.mean(others) < max(means)
        assert doubtful == (index in {doubt.index for doubt in quality.doubts})
    if len(sizes) > 1 and max(sizes) > 1:
        assert quality.silhouette == pytest.approx(np.mean(silhouettes))
    else:
        assert quality.silhouette is None
    for group, found in enumerate(quality.groups):
        members = np.flatnonzero(labels == group)
        inside = pairs[np.ix_(members, members)][~np.eye(len(members), dtype=bool)]
        assert found.size == len(members)
        if len(members) > 1:
            assert found.mean_similarity == pytest.approx(inside.mean())
            assert found.min_similarity == pytest.approx(inside.min())
        else:
            assert found.mean_similarity is None
        if len(sizes) > 1:
            means = [
                pairs[np.ix_(members, labels == other)].mean() if other != group else -2 for other in range(len(sizes))
            ]
            assert found.nearest == int(np.argmax(means))
            assert found.nearest_similarity == pytest.approx(max(means))


def test_a_file_in_the_wrong_group_is_doubted() -> None:
    voices = [utterance("ann", take) for take in range(9)] + [utterance("ben", take) for take in range(5)]
    labels = np.array([0] * 10 + [1] * 4)  # one of ben's files among ann's
    doubts = judge(unit_rows(voices), labels, 0.72).doubts
    assert [(doubt.index, doubt.other) for doubt in doubts] == [(9, 1)]
    assert doubts[0].other_similarity is not None
    assert doubts[0].own_similarity < 0.4 < doubts[0].other_similarity


@pytest.mark.parametrize(
    ("spread", "labels", "words"),
    [
        (0.2, [0, 0, 0, 1, 1, 1], "strong"),
        (0.2, [0, 1, 0, 1, 0, 1], "none"),
        (0.2, [0] * 6, "cannot be judged"),
        (0.2, list(range(6)), "cannot be judged"),
    ],
)
def test_in_words(spread: float, labels: list[int], words: str) -> None:
    unit = unit_rows([utterance(speaker, take, spread) for speaker in ("ann", "ben") for take in range(3)])
    assert judge(unit, np.array(labels), 0.72).in_words.startswith(words)


def test_identical_groups_are_no_evidence() -> None:
    unit = unit_rows(np.repeat(utterance("ann", 0)[None], 4, axis=0))
    assert judge(unit, np.array([0, 0, 1, 1]), 0.72).silhouette == 0
