"""The highest of many values whose places do not overlap: false accepts to mine, and what an analysis shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def highest_apart(
    values: NDArray[Any],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    limit: int,
    taken: Iterable[tuple[int, int]] = (),
) -> list[int]:
    """Indices of at most `limit` of `values`, `[n]`, the highest first; of equals the earlier one counts.

    Value i has the place `starts[i]` to `stops[i]` (int64 `[n]`, both rising). No place overlaps another, nor one of
    `taken`.
    """
    free = np.ones(len(values), np.bool_)

    def take(start: int, stop: int) -> None:
        # Both rise, so whatever overlaps a place lies side by side.
        free[np.searchsorted(stops, start, side="right") : np.searchsorted(starts, stop, side="left")] = False

    for start, stop in taken:
        take(start, stop)
    found: list[int] = []
    for index in np.argsort(-values, kind="stable").tolist():
        if len(found) == limit:
            break
        if free[index]:
            found.append(index)
            take(int(starts[index]), int(stops[index]))
    return found
