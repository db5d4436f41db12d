"""Exact ratios of wake words, negatives and hard negatives in batches, whatever their sets' sampling weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError

_KINDS = ("wake words", "negatives", "hard negatives")


class BatchRatios:
    """Says from which clip each window of a batch is.

    The windows of all batches, one after another, follow one pattern, in which each kind is spread evenly. So a batch
    that the pattern divides has exactly the ratios; where it does not, so many batches have them together as it takes,
    and no batch is further from them than two windows of each kind.
    """

    def __init__(
        self, ratios: Sequence[int], batch_size: int, kinds: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> None:
        """`kinds` `[clips]`: 0 a wake word, 1 a negative, 2 a hard negative. `shares` `[clips]`: how often each is
        drawn, relative to others of its kind. While there are no hard negatives (none are mined yet), their part is
        that of the negatives. Raises `ConfigError` for a kind without clips.
        """
        ratios = list(ratios)
        self._clips = [np.flatnonzero((kinds == kind) & (shares > 0)) for kind in range(len(_KINDS))]
        self._cumulative = [np.cumsum(shares[clips]) for clips in self._clips]
        if not len(self._clips[2]):
            ratios[1:] = [ratios[1] + ratios[2], 0]
        for name, ratio, clips in zip(_KINDS, ratios, self._clips, strict=True):
            if ratio and not len(clips):
                raise ConfigError(
                    f"training.batch_ratios want {name}, and no feature set with a sampling weight above 0 has any; add"
                    " recordings, or change the ratios"
                )
        self._batch_size, self._pattern = batch_size, spread_evenly(ratios)

    def clips(self, step: int, chance: NDArray[np.float64]) -> NDArray[np.int64]:
        """The clips of a step's batch, `[batch]`, by as many numbers in [0, 1)."""
        first = step * self._batch_size
        kinds = self._pattern[np.arange(first, first + self._batch_size) % len(self._pattern)]
        found = np.empty(self._batch_size, np.int64)
        for kind in np.unique(kinds):
            mine = kinds == kind
            found[mine] = self._clips[kind][drawn(self._cumulative[kind], chance[mine])]
        return found


def spread_evenly(ratios: Sequence[int]) -> NDArray[np.int64]:
    """The numbers of the ratios, each as often as its ratio says, in lowest terms: [1, 2, 1] gives 1, 0, 2, 1."""
    common = math.gcd(*ratios)
    places = [
        ((place + 0.5) * common / ratio, number)
        for number, ratio in enumerate(ratios)
        for place in range(ratio // common)
    ]
    return np.array([number for _, number in sorted(places)], np.int64)


def drawn(cumulative: NDArray[np.float64], chance: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places in cumulative shares, by numbers in [0, 1). The last share may fall short of the total by rounding, so the
    total itself is the range.
    """
    places: NDArray[np.int64] = np.searchsorted(cumulative, chance * cumulative[-1], side="right")
    return np.minimum(places, len(cumulative) - 1)
