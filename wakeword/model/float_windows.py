"""The float weights of a run, for who wants to run them without knowing how they were trained.

A float model needs TensorFlow, which this floor does not know, so the trainer offers a function as an entry point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import InfrastructureError
from wakeword.extras import install

GROUP = "wakeword_bench.float_windows"
"""Entry points that open a run: a function of the path of its folder, or of its weights, that returns
`FloatWindows`."""


@dataclass(frozen=True)
class FloatWindows:
    """A float model that reads windows of features, and what its run says of it."""

    weights: Path
    sha256: str
    """Of the weights' file."""
    wake_word: str
    slices: int
    """Of one window."""
    stride: int
    """Slices from one window to the next."""
    window: int
    """Probabilities whose mean the device compares with the cutoff."""
    cutoff: float | None
    """None where the run's configuration states none."""
    run: Callable[[NDArray[np.int8]], NDArray[np.float32]]
    """Features int8 `[n, 40]` to one probability a stride, float32 `[(n - slices) // stride + 1]`; none below
    `slices`."""


def open_float_windows(path: Path) -> FloatWindows:
    """The float model of a run, by its folder or its weights.

    Raises `ConfigError` where they cannot be read, `InfrastructureError` where nothing is installed that runs them.
    """
    for entry in entry_points(group=GROUP):
        opened: Callable[[Path], FloatWindows] = entry.load()
        return opened(path)
    raise InfrastructureError(
        f"{path}: is a run's float model, and no trainer is installed that runs one; {install('train')}"
    )
