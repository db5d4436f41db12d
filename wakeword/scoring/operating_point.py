"""Choosing a probability cutoff from the counts of every cutoff.

Conventions: the choice is made on validation data, and its figures are of those data. Fair figures come from other data, which were not used
to choose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import PROBABILITY_MAX
from wakeword.scoring.det import DetCurve

WITHIN_SHARE = 0.01
FEWER_BY_CHANCE = 4
"""Five utterances found by one cutoff alone, and none by the other alone, are the fewest that a sign test calls a difference (0.5^5 < 5 %)."""
LARGEST_SHARE_BY_CHANCE = 0.05
HIGHEST_CUTOFF = PROBABILITY_MAX - 1
"""At 255 the sum of a window can never exceed the cutoff."""


@dataclass(frozen=True)
class CutoffChoice:
    """A cutoff and what it was chosen by, all on validation data."""

    probability_cutoff: float
    """As a manifest states it; `int(probability_cutoff * 255)` is `cutoff`."""
    cutoff: int
    detected: int
    utterances: int
    false_accepts: int
    hours: float
    reaches_target: bool
    """False when no cutoff has so few false accepts; the one with the fewest was taken."""

    @classmethod
    def at(cls, curve: DetCurve, cutoff: int, *, reaches_target: bool) -> CutoffChoice:
        """A uint8 cutoff with what the curve counts there."""
        return cls(
            probability_cutoff=cutoff_as_probability(cutoff),
            cutoff=cutoff,
            detected=int(curve.detected[cutoff]),
            utterances=curve.utterances,
            false_accepts=int(curve.false_accepts[cutoff]),
            hours=curve.hours,
            reaches_target=reaches_target,
        )


def choose_cutoff(curve: DetCurve, target_false_accepts_per_hour: float, target_recall: float = 0.0) -> CutoffChoice:
    """The middle of the cutoffs that find as many utterances as any, among those at or under the target of false accepts.

    A few utterances more or less in a validation set are chance, so the cutoffs that find `WITHIN_SHARE` fewer (rounded up), or in small sets
    up to `FEWER_BY_CHANCE` but no more than `LARGEST_SHARE_BY_CHANCE`, count as equally good, as long as they find any. The lowest of them is one
    step from a false accept, the highest one step from a miss, and the middle is as far from both as the data can tell. Where no cutoff reaches
    the target, those with the fewest false accepts take part instead. Where a cutoff within the target also reaches `target_recall` (a share), only such
    cutoffs count: what is no difference by chance must not give a target away.
    """
    usable = np.arange(1, HIGHEST_CUTOFF + 1)  # at 0 no slice is below the cutoff: the device never detects
    rates = curve.false_accepts_per_hour[usable]
    reaching = rates <= target_false_accepts_per_hour
    eligible = usable[reaching] if reaching.any() else usable[rates == rates.min()]
    most = int(curve.detected[eligible].max())
    by_chance = min(FEWER_BY_CHANCE, math.ceil(LARGEST_SHARE_BY_CHANCE * curve.utterances))
    least = min(most, max(1, most - max(by_chance, math.ceil(WITHIN_SHARE * curve.utterances))))
    chosen = _middle(eligible[curve.detected[eligible] >= least])
    enough = eligible[curve.recall[eligible] >= target_recall]
    if reaching.any() and len(enough) and curve.recall[chosen] < target_recall:
        chosen = _middle(enough)
    return CutoffChoice.at(curve, chosen, reaches_target=bool(reaching.any()))


def _middle(cutoffs: NDArray[np.int64]) -> int:
    """A plateau may have gaps; the middle is taken of its members, so that the chosen one is a member."""
    return int(cutoffs[(len(cutoffs) - 1) // 2])


def cutoff_as_probability(cutoff: int) -> float:
    """The shortest decimal that ESPHome turns into this uint8 cutoff by `int(probability * 255)`."""
    for digits in range(1, 8):
        probability: float = math.ceil(cutoff / PROBABILITY_MAX * 10**digits) / 10**digits
        if int(probability * PROBABILITY_MAX) == cutoff:
            return probability
    raise AssertionError(f"no decimal for cutoff {cutoff}")
