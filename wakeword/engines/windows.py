"""Values of a graph that is unrolled over time: plain batches, and overlapping windows that are never copied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Windows:
    """What a ring buffer holds at each invocation: `rows` consecutive rows of `base`, moving on by `step`.

    `base` is int8 `[N, width, channels]`; at invocation `t` the value is `base[offset + t * step :][:rows]`.
    """

    base: NDArray[np.int8]
    offset: int
    rows: int
    step: int
    invocations: int

    def row(self, index: int, base: NDArray[Any] | None = None) -> NDArray[Any]:
        """Row `index` of every window, `[invocations, width, channels]`, of `base` or of an array of its length."""
        source = self.base if base is None else base
        start = self.offset + index
        return (
            source[start : start + (self.invocations - 1) * self.step + 1 : self.step]
            if self.invocations
            else source[:0]
        )

    def cut(self, begin: int, end: int) -> Windows:
        """Rows `begin` to `end` of every window."""
        return Windows(self.base, self.offset + begin, end - begin, self.step, self.invocations)

    def channels(self, begin: int, end: int) -> Windows:
        """Channels `begin` to `end` of every window."""
        return Windows(self.base[..., begin:end], self.offset, self.rows, self.step, self.invocations)

    def array(self, base: NDArray[Any] | None = None) -> NDArray[Any]:
        """All windows as a read-only view, `[invocations, rows, width, channels]`, of `base` or of an array of its
        length.
        """
        source = self.base if base is None else base
        if not self.invocations:
            return np.empty((0, self.rows, *source.shape[1:]), source.dtype)
        windows = np.lib.stride_tricks.sliding_window_view(source, self.rows, axis=0)
        return np.moveaxis(windows[self.offset :: self.step][: self.invocations], -1, 1)


Value = NDArray[np.int8] | Windows
"""A tensor over all invocations: its batch dimension of 1 is replaced by time."""


def as_array(value: Value) -> NDArray[np.int8]:
    """The value with time as its first axis."""
    return value.array() if isinstance(value, Windows) else value
