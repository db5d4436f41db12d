"""How false accepts thin out above the levels at which some were seen: an exponential tail over log-odds, and an upper
bound of its rate.

Peaks over a threshold (Balkema and de Haan 1974, Pickands 1975): the excesses of rare peaks over a high level are close
to exponential where their distribution has a light tail, and log-odds of a network's output have one. The rate at the
level `L` is then

    rate(L) = rate(u) * exp(-(L - u) / m)

with the level `u` at which enough peaks were counted and their mean excess `m`. Few peaks tell little of `m`, so a
prior takes part: as many peaks as `PRIOR_PEAKS` with the mean excess `PRIOR_EXCESS`. Without any peak it is all there
is. The bound takes the upper confidence limit of both: of the rate a Poisson's (Garwood), of the mean excess a gamma
distribution's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import PROBABILITY_MAX
from wakeword.scoring.det import DetCurve
from wakeword.scoring.rates import garwood

FITTED_PEAKS = 20
"""The tail begins where so many were seen: fewer say little, more are no tail."""
PRIOR_PEAKS = 5
"""With ten of these, the upper bound held in 92 % instead of 95 % of tails with twice the prior's mean excess."""
PRIOR_EXCESS = 0.7
"""In log-odds. Thirteen models of this trainer (alexa, jarvis, computer) had 0.5 to 1.2, 0.69 on average, of 20 peaks
over 0.66 to 1.82 h of people's speech and noises that they had not heard. The trainer keeps its logits on the scale of
the device's output (`trainer.inference.temperature`). Two published models, whose words lie far beyond that scale, had
1.3 to 1.7."""
BOUND_CONFIDENCE = 0.9
"""Of an interval, so one-sided 95 %."""


def log_odds(cutoffs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of uint8 cutoffs from 1 to 254: log(p / (1 - p)), float64 `[n]`."""
    share = cutoffs / PROBABILITY_MAX
    return np.asarray(np.log(share / (1 - share)))


@dataclass(frozen=True)
class Tail:
    """The tail of a curve. Levels in log-odds."""

    begins: float
    peaks: int
    """Seen at or above it."""
    hours: float
    mean_excess: float
    highest_excess: float
    """Upper bound of the mean excess."""

    def rate(self, level: float) -> float:
        """False accepts an hour at a level."""
        return self.peaks / self.hours * float(np.exp(-max(0.0, level - self.begins) / self.mean_excess))

    def level(self, rate: float) -> float:
        """The level at which false accepts are expected so many an hour; no lower than where the tail begins."""
        return self.begins + self.mean_excess * max(0.0, math.log(max(self.peaks, 1) / self.hours / rate))

    def bound(self, level: float) -> float:
        """What the rate at a level is at most, one-sided 95 %."""
        return garwood(self.peaks, self.hours, BOUND_CONFIDENCE).high * float(
            np.exp(-max(0.0, level - self.begins) / self.highest_excess)
        )


def fit_tail(curve: DetCurve) -> Tail:
    """The tail of a curve's false accepts, over its cutoffs. Raises `ValueError` for a curve without hours."""
    cutoffs = np.arange(1, PROBABILITY_MAX)
    levels = log_odds(cutoffs)
    # The hold-off lets a higher cutoff count more now and then; a peak is counted at every level up to its own.
    peaks = np.maximum.accumulate(curve.false_accepts[cutoffs][::-1])[::-1]
    enough = np.flatnonzero(peaks >= FITTED_PEAKS)
    first = int(enough[-1]) if len(enough) else 0
    # Between two cutoffs a peak may lie anywhere: half of the step on average. Those above the highest cutoff have at
    # least this excess.
    excess = float(np.sum(np.diff(levels[first:]) * (peaks[first:-1] + peaks[first + 1 :]) / 2))
    return _tail(float(levels[first]), int(peaks[first]), int(peaks[first] - peaks[-1]), excess, curve.hours)


def tail_of(peaks: NDArray[np.float64], hours: float) -> Tail:
    """The tail of peaks, log-odds `[n]` of one or more. Raises `ValueError` without hours."""
    highest = np.sort(peaks)[::-1][: FITTED_PEAKS + 1]
    begins, above = float(highest[-1]), highest[:-1]
    return _tail(begins, len(above), len(above), float(np.sum(above - begins)), hours)


def _tail(begins: float, peaks: int, ended: int, excess: float, hours: float) -> Tail:
    """Of so many peaks with a sum of excesses; `ended` of them were seen whole."""
    from scipy.special import gammaincinv

    if not hours > 0:
        raise ValueError("a curve without hours tells no rate")
    weight = ended + PRIOR_PEAKS
    mean = (excess + PRIOR_PEAKS * PRIOR_EXCESS) / weight
    return Tail(begins, peaks, hours, mean, mean * weight / float(gammaincinv(weight, (1 - BOUND_CONFIDENCE) / 2)))
