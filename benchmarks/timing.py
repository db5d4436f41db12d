"""What the benchmarks of speed share: one core, the best of some runs, and the corpus beside the checkout."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wakeword.processes import THREAD_VARIABLES

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
REPETITIONS = 3


def one_thread() -> None:
    """One core is measured, so BLAS gets one thread: start again with that said before NumPy is loaded."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | dict.fromkeys(THREAD_VARIABLES, "1"))


def timed(work: Callable[[], object]) -> float:
    """The shortest of `REPETITIONS` runs, in seconds: the one least disturbed."""
    best = float("inf")
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
