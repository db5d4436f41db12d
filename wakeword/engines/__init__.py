"""Running a model over features: the reference interpreter, and an exact time-batched evaluation. One small protocol."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """A model with its streaming state. Two engines of the same model give the same probabilities, bit for bit."""

    @property
    def name(self) -> str:
        """`reference` or `unrolled`, as written into results."""
        ...

    @property
    def stride(self) -> int:
        """Feature slices per inference."""
        ...

    def reset(self) -> None:
        """Back to the state after boot: variables at their zero point, no slice pending."""
        ...

    def run(self, features: NDArray[np.int8]) -> NDArray[np.uint8]:
        """Feed slices `[n, 40]` and return one probability per completed stride, `[(pending + n) // stride]`.

        Slices that do not complete a stride stay pending for the next call, as on the device.
        """
        ...
