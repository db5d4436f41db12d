"""How long the rest of a run takes, by what this session has measured of its steps and evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MEASURED_S = 10.0
"""Less than this says nothing: the first steps compile, and the system's caches are cold."""


class Pace:
    """Measures steps and what is done between them. An estimate of the time that is left comes only when both are
    known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stepping_s, self._steps, self._beside_s, self._evaluations = 0.0, 0, 0.0, 0
        self._last: tuple[float, int] | None = None

    def stepped(self, step: int) -> None:
        """So many steps of the run are done. What comes before the first call after a pause is not measured: there the
        step is compiled.
        """
        now = self._clock()
        if self._last is not None:
            self._stepping_s += now - self._last[0]
            self._steps += step - self._last[1]
        self._last = now, step

    @contextmanager
    def beside_steps(self, *, evaluation: bool) -> Iterator[None]:
        """Measure a block between two steps: an evaluation, or what follows some of them."""
        began, self._last = self._clock(), None
        yield
        self._beside_s += self._clock() - began
        self._evaluations += evaluation

    def remaining_s(self, steps: int, evaluations: int) -> float | None:
        """Seconds for so many more steps and evaluations; None before an evaluation and some seconds of steps were
        measured.
        """
        if not self._steps or not self._evaluations or self._stepping_s + self._beside_s < MEASURED_S:
            return None
        return self._stepping_s / self._steps * steps + self._beside_s / self._evaluations * evaluations
