"""Does validation rank models as people do? Spearman's rank correlation, with what chance would do.

Models of several words are compared within each word: a word's ranks say nothing about another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 4999
FEWEST = 4
"""Of fewer rows in a word no rank means anything: they are left out."""

type Pairs = tuple[Sequence[float], Sequence[float]]
"""What validation said of each model of one word, and what people said."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho, -1 to 1."""

    rho: float
    low: float
    high: float
    """95 % of bootstrap draws of the models lie within (percentiles)."""
    p: float
    """Share of random orders of the models, within each word, whose rho is at least as far from 0."""
    models: int
    words: int


def rank_correlation(words: Sequence[Pairs], seed: int = 0) -> RankCorrelation | None:
    """Rank correlation over the models of one word or several.

    For one word it is Spearman's rho, equal values sharing their mean rank; for several the correlation of the ranks
    within each word, from which the word's mean rank was taken, over the number of its models. None where a side has no
    differences, or no word has `FEWEST` models.
    """
    kept = [(np.asarray(said, np.float64), np.asarray(real, np.float64)) for said, real in words if len(said) >= FEWEST]
    rho = _rho(kept)
    if rho is None:
        return None
    rng = np.random.default_rng(seed)
    as_far = 0
    drawn: list[float] = []
    for _ in range(DRAWS):
        shuffled = _rho([(said, rng.permutation(real)) for said, real in kept])
        as_far += shuffled is not None and abs(shuffled) >= abs(rho) - 1e-9
        picks = [rng.integers(0, len(said), len(said)) for said, _ in kept]
        if (
            again := _rho([(said[pick], real[pick]) for (said, real), pick in zip(kept, picks, strict=True)])
        ) is not None:
            drawn.append(again)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return RankCorrelation(
        rho, float(low), float(high), (as_far + 1) / (DRAWS + 1), sum(len(said) for said, _ in kept), len(kept)
    )


def _rho(words: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> float | None:
    if not words:
        return None
    said, real = (np.concatenate([_ranks(pair[side]) for pair in words]) for side in (0, 1))
    scale = np.sqrt(np.sum(said**2) * np.sum(real**2))
    return float(np.sum(said * real) / scale) if scale > 0 else None


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks without their mean, over their number: float64 `[values]`."""
    order = np.sort(values)
    ranks = (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right")) / 2
    return np.asarray((ranks - len(values) / 2) / len(values), np.float64)
