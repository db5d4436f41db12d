"""Grouping voices by the cosine similarity of their embeddings.

Conventions: embeddings are float `[n, d]`, one row a file; a label is a group's number from 0, `[n]`. Groups depend on
the rows and not on their order: rows are sorted before anything is computed, so that rounding and ties fall the same
way.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.config.sections import SpeakerClusteringSection
from wakeword.errors import ConfigError

MAX_AGGLOMERATIVE_FILES = 16_000
"""All pairwise distances are held twice while they are linked: 8 n^2 bytes, 2 GiB for so many files, 0.2 GiB for
5000."""

ROUNDING = 1e-9
"""Similarities this close below the threshold reach it: the last digits of a product say nothing."""

_BLOCK_ROWS = 512

Vectors = NDArray[np.float64]
Labels = NDArray[np.int64]


def unit_rows(embeddings: ArrayLike) -> Vectors:
    """Rows scaled to length 1, float64 `[n, d]`. Raises `ValueError` for a row that is zero or holds no numbers."""
    vectors = np.array(embeddings, np.float64, ndmin=2)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths <= 0).any():
        raise ValueError("an embedding is zero or holds values that are not numbers")
    return vectors / lengths


def row_blocks(count: int) -> Iterator[slice]:
    """Slices that cover `count` rows, so few at a time that their similarities to all others fit into memory."""
    return (slice(start, min(start + _BLOCK_ROWS, count)) for start in range(0, count, _BLOCK_ROWS))


def group_voices(embeddings: ArrayLike, settings: SpeakerClusteringSection) -> Labels:
    """Label every row; the largest group is 0, and among groups of one size the one that has the earliest row comes
    first.

    agglomerative: average linkage (UPGMA) on cosine distance, cut where the mean similarity of two groups falls below
    the threshold, or at exactly `n_clusters` groups. threshold: connected components of the graph in which files at or
    above the threshold are joined.

    Raises `ConfigError` when more clusters than files are asked for, or when there are more files than the method's
    memory allows.
    """
    unit = unit_rows(embeddings) if np.size(embeddings) else np.zeros((0, 1))
    count = len(unit)
    if settings.n_clusters > count:
        raise ConfigError(
            f"{settings.n_clusters} clusters are asked of {count} usable files; ask for at most {count}, or 0 to let"
            " the threshold decide"
        )
    if count == 0:
        return np.zeros(0, np.int64)
    order = np.array(sorted(range(count), key=lambda row: unit[row].tobytes()))
    ordered = np.ascontiguousarray(unit[order])
    groups = (
        _linked(ordered, settings.similarity_threshold)
        if settings.method == "threshold"
        else _agglomerated(ordered, settings)
    )
    labels = np.empty(count, np.int64)
    labels[order] = groups
    return _by_size(labels)


def _agglomerated(unit: Vectors, settings: SpeakerClusteringSection) -> Labels:
    from scipy.cluster.hierarchy import linkage

    count = len(unit)
    if count > MAX_AGGLOMERATIVE_FILES:
        raise ConfigError(
            f"{count} files need {8 * count**2 / 2**30:.1f} GiB for their pairwise distances; give --max-files"
            f" {MAX_AGGLOMERATIVE_FILES} or speaker_clustering.method=threshold, which needs no such table"
        )
    if count == 1:
        return np.zeros(1, np.int64)
    merges = linkage(_condensed_distances(unit), "average")
    if settings.n_clusters:
        done = count - settings.n_clusters
    else:
        # Average linkage never merges at a smaller distance than before, so the merges to keep come first.
        done = int(np.searchsorted(merges[:, 2], 1 - settings.similarity_threshold + ROUNDING, side="right"))
    return _after_merges(merges[:done, :2].astype(np.int64), count)


def _condensed_distances(unit: Vectors) -> Vectors:
    """Cosine distances of all pairs in scipy's order: (0, 1), (0, 2), ..., (1, 2), ..."""
    count = len(unit)
    distances = np.empty(count * (count - 1) // 2)
    filled = 0
    for block in row_blocks(count):
        similarity = unit[block] @ unit.T
        for offset, row in enumerate(range(block.start, block.stop)):
            beyond = similarity[offset, row + 1 :]
            distances[filled : filled + len(beyond)] = 1 - beyond
            filled += len(beyond)
    return np.clip(distances, 0, 2, out=distances)


def _after_merges(merges: Labels, count: int) -> Labels:
    """The groups once the first rows of a linkage are done; row `i` makes node `count + i` of the two nodes
    it names."""
    parent = np.arange(count + len(merges))
    for node, (left, right) in enumerate(merges, count):
        parent[left] = parent[right] = node
    for node in range(len(parent) - 1, -1, -1):  # a node's parent has a higher number, so it is already at its root
        parent[node] = parent[parent[node]]
    return parent[:count]


def _linked(unit: Vectors, threshold: float) -> Labels:
    """Connected components, found by walking from file to similar file: every file is compared once, nothing quadratic
    is stored.
    """
    labels = np.empty(len(unit), np.int64)
    waiting, vectors = np.arange(len(unit)), unit
    group = 0
    while len(waiting):
        reached, waiting, vectors = waiting[:1], waiting[1:], vectors[1:]
        while len(reached):
            block, reached = reached[:_BLOCK_ROWS], reached[_BLOCK_ROWS:]
            labels[block] = group
            near = np.zeros(len(waiting), bool)
            for rows in row_blocks(len(waiting)):
                near[rows] = (vectors[rows] @ unit[block].T >= threshold - ROUNDING).any(axis=1)
            if near.any():
                reached = np.concatenate([reached, waiting[near]])
                waiting, vectors = waiting[~near], vectors[~near]
        group += 1
    return labels


def _by_size(labels: Labels) -> Labels:
    _, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[inverse]
