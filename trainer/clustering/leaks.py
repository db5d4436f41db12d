"""Voices that stand on two sides of a split.

A model that is tested on a person it was trained on looks better than it is. Folders say who speaks; embeddings hear
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from trainer.clustering.linkage import ROUNDING, row_blocks, unit_rows


@dataclass(frozen=True)
class SpeakerLeak:
    """Two speakers (or one name twice) in different splits whose files sound like one person."""

    splits: tuple[str, str]
    speakers: tuple[str, str]
    pairs: int
    """Pairs of files at or above the threshold."""
    similarity: float
    """Of the most similar pair."""
    example: tuple[int, int]
    """Rows of that pair."""


def find_speaker_leaks(
    embeddings: ArrayLike, splits: Sequence[str], speakers: Sequence[str], threshold: float
) -> tuple[SpeakerLeak, ...]:
    """Pairs of speakers in different splits with files whose cosine similarity reaches `threshold`; the most similar
    first.

    `embeddings` is `[n, d]`, any row length above 0; `splits` and `speakers` name each row's split and speaker. Memory
    is that of a block of rows against all others. Raises `ValueError` when the lengths differ or a row is zero.
    """
    if not len(splits) == len(speakers) == len(np.asarray(embeddings)):
        raise ValueError("embeddings, splits and speakers must have one entry a file")
    if not len(splits):
        return ()
    unit = unit_rows(embeddings)
    names = sorted(set(speakers))
    numbers = {name: number for number, name in enumerate(names)}
    speaker = np.array([numbers[name] for name in speakers])
    side = np.array(splits)
    found: dict[tuple[str, str, int, int], tuple[int, float, int, int]] = {}
    for first, second in combinations(sorted(set(splits)), 2):
        here, there = np.flatnonzero(side == first), np.flatnonzero(side == second)
        for block in row_blocks(len(here)):
            rows = here[block]
            similarity = unit[rows] @ unit[there].T
            left, right = np.nonzero(similarity >= threshold - ROUNDING)
            values = similarity[left, right]
            keys = speaker[rows[left]] * len(names) + speaker[there[right]]
            best = np.lexsort((-values, keys))
            unique, start, counts = np.unique(keys[best], return_index=True, return_counts=True)
            for key, position, pairs in zip(unique.tolist(), best[start].tolist(), counts.tolist(), strict=True):
                place = (first, second, *divmod(key, len(names)))
                before = found.get(place, (0, -np.inf, 0, 0))
                now = (float(values[position]), int(rows[left[position]]), int(there[right[position]]))
                found[place] = (before[0] + pairs, *(now if now[0] > before[1] else before[1:]))
    leaks = (
        SpeakerLeak((first, second), (names[one], names[other]), pairs, similarity, (left, right))
        for (first, second, one, other), (pairs, similarity, left, right) in found.items()
    )
    return tuple(sorted(leaks, key=lambda leak: (-leak.similarity, leak.splits, leak.speakers)))
