"""How much a grouping of voices can be trusted.

Conventions: `unit` is float64 `[n, d]` with rows of length 1, `labels` int `[n]` from 0 without gaps. A similarity is a
cosine. The mean similarity of two groups is the product of their mean vectors, so no table of all pairs is needed.

Silhouette: Rousseeuw (1987), "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis",
with cosine distance and with mean distance to a group; a file that is alone has 0. Its reading in words is Kaufman and
Rousseeuw's (1990), table 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.clustering.linkage import ROUNDING, Labels, Vectors, row_blocks


@dataclass(frozen=True)
class GroupQuality:
    """One group. Similarities within are None for a file that is alone, those to the nearest group are None when there
    is no other.
    """

    size: int
    mean_similarity: float | None
    min_similarity: float | None
    nearest: int | None
    nearest_similarity: float | None


@dataclass(frozen=True)
class Doubt:
    """A file that may be in the wrong group: on average below the threshold to the others, or nearer to
    another group."""

    index: int
    own_similarity: float
    other: int | None
    other_similarity: float | None


@dataclass(frozen=True)
class Quality:
    """Of a whole grouping. `silhouette` is None where every file is alone or all are one group."""

    groups: tuple[GroupQuality, ...]
    doubts: tuple[Doubt, ...]
    silhouette: float | None

    @property
    def in_words(self) -> str:
        """What the silhouette says."""
        if self.silhouette is None:
            return "cannot be judged: there is only one group, or no two files are together"
        if self.silhouette > 0.7:
            return "strong: the voices are clearly apart"
        if self.silhouette > 0.5:
            return "reasonable: most voices are apart; look at the doubtful files"
        if self.silhouette > 0.25:
            return "weak: groups overlap; listen before you apply them, or try another threshold"
        return "none: the groups say little about who speaks; do not apply them without listening"


def judge(unit: Vectors, labels: Labels, threshold: float) -> Quality:
    """Cohesion, neighbours, doubtful files and silhouette of a grouping."""
    count = len(unit)
    if not count:
        return Quality((), (), None)
    sizes = np.bincount(labels)
    sums = np.zeros((len(sizes), unit.shape[1]))
    np.add.at(sums, labels, unit)
    means = sums / sizes[:, None]

    own, other, nearest = np.empty(count), np.full(count, -np.inf), np.zeros(count, np.int64)
    for block in row_blocks(count):
        similarity = unit[block] @ means.T
        rows, group = np.arange(block.stop - block.start), labels[block]
        size = sizes[group]
        # The file itself, with similarity 1, is not one of the others.
        own[block] = (similarity[rows, group] * size - 1) / np.maximum(size - 1, 1)
        similarity[rows, group] = -np.inf
        other[block], nearest[block] = similarity.max(axis=1), similarity.argmax(axis=1)

    together = sizes[labels] > 1
    doubtful = together & ((own < threshold - ROUNDING) | (own < other))
    several = len(sizes) > 1
    doubts = (
        Doubt(
            int(index),
            float(own[index]),
            int(nearest[index]) if several else None,
            float(other[index]) if several else None,
        )
        for index in np.flatnonzero(doubtful)
    )
    silhouette = None
    if several and together.any():
        within, beyond = 1 - own[together], 1 - other[together]
        largest = np.maximum(within, beyond)
        # Two identical groups are at distance 0 from one another: 0 / 0, and no evidence either way.
        values = np.divide(beyond - within, largest, out=np.zeros_like(largest), where=largest > ROUNDING)
        silhouette = float(values.sum() / count)
    return Quality(_groups(unit, labels, sizes, means), tuple(doubts), silhouette)


def _groups(unit: Vectors, labels: Labels, sizes: Labels, means: Vectors) -> tuple[GroupQuality, ...]:
    order = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = []
    for group, size in enumerate(sizes):
        to_others = means @ means[group]
        to_others[group] = -np.inf
        nearest = int(to_others.argmax()) if len(sizes) > 1 else None
        members = unit[order[starts[group] : starts[group + 1]]]
        mean = (size * size * float(means[group] @ means[group]) - size) / (size * (size - 1)) if size > 1 else None
        lowest = min(float((members[block] @ members.T).min()) for block in row_blocks(int(size))) if size > 1 else None
        found.append(
            GroupQuality(int(size), mean, lowest, nearest, None if nearest is None else float(to_others[nearest]))
        )
    return tuple(found)
