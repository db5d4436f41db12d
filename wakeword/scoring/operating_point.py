"""Choosing a probability cutoff from the counts of every cutoff.

Conventions: the choice is made on validation data, and its figures are of those data. Fair figures come from other
data, which were not used to choose.

Validation is saturated where the cutoffs that do equally well reach an end of the scale: nothing was lost at the
highest cutoffs, or nothing was wrongly accepted at the lowest. Synthetic words saturate it by nature, and a few hours
without a false accept prove no low rate. A cutoff that is read off such counts alone is read off nothing, so it gets a
margin upwards, by the false accepts' tail (`tail.py`):

- With synthetic words, to where the extrapolated rate is within the target, as long as that costs no more than
  `SYNTHETIC_SHARE` of the utterances found.
- From there on, to where even the rate's upper bound is within it, as long as that costs next to nothing: `HARD_SHARE`
  of the utterances in hard conditions, or without those half of the cutoffs above the middle that do equally well.

Where minutes of people's own sound validate synthetic words, they choose alone: `choose_by_people`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import PROBABILITY_MAX
from wakeword.scoring.det import DetCurve
from wakeword.scoring.rates import garwood
from wakeword.scoring.tail import BOUND_CONFIDENCE, fit_tail, log_odds

WITHIN_SHARE = 0.01
FEWER_BY_CHANCE = 4
"""Five utterances found by one cutoff alone, and none by the other alone, are the fewest that a sign test calls a
difference (0.5^5 < 5 %)."""
LARGEST_SHARE_BY_CHANCE = 0.05
SYNTHETIC_SHARE = 0.1
"""Of the synthetic utterances that a choice finds, what its margin may give away. An extrapolation is no proof: without
a limit a weak model's cutoff rose from 0.855 to 0.997, and found 35 of 94."""
HARD_SHARE = 0.02
"""Of the utterances in hard conditions, what a saturated choice may give away for a lower rate."""
ENDS_OF_SCALE = (12, 243)
"""Log-odds of -3 and 3: beyond them a probability is as good as 0 or 1."""
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
    rate_bound: float | None = None
    """False accepts an hour are at most so many on such data, by their count alone (one-sided 95 %); None in records of
    older versions."""
    margin: str = ""
    """How the cutoff was kept from being read off nothing, where validation is saturated; else empty."""

    @classmethod
    def at(cls, curve: DetCurve, cutoff: int, *, reaches_target: bool, margin: str = "") -> CutoffChoice:
        """A uint8 cutoff with what the curve counts there."""
        return cls(
            probability_cutoff=cutoff_as_probability(cutoff),
            cutoff=cutoff,
            detected=int(curve.detected[cutoff]),
            utterances=curve.utterances,
            false_accepts=int(curve.false_accepts[cutoff]),
            hours=curve.hours,
            reaches_target=reaches_target,
            rate_bound=(
                garwood(int(curve.false_accepts[cutoff]), curve.hours, BOUND_CONFIDENCE).high if curve.hours else None
            ),
            margin=margin,
        )

    @property
    def counted(self) -> str:
        """The counts, with what they say of the rate."""
        bound = "" if self.rate_bound is None else f" (at most {self.rate_bound:.1f}/h)"
        return (
            f"{self.detected}/{self.utterances} utterances found, {self.false_accepts} false accepts in"
            f" {self.hours:.2f} h{bound}"
        )


def choose_cutoff(
    curve: DetCurve,
    target_false_accepts_per_hour: float,
    target_recall: float = 0.0,
    hard: NDArray[np.float64] | None = None,
) -> CutoffChoice:
    """The middle of the cutoffs that find as many utterances as any, among those at or under the target of false
    accepts.

    A few utterances more or less in a validation set are chance, so the cutoffs that find `WITHIN_SHARE` fewer (rounded
    up), or in small sets up to `FEWER_BY_CHANCE` but no more than `LARGEST_SHARE_BY_CHANCE`, count as equally good, as
    long as they find any. The lowest of them is one step from a false accept, the highest one step from a miss, and the
    middle is as far from both as the data can tell. Where no cutoff reaches the target, those with the fewest false
    accepts take part instead. Where a cutoff within the target also reaches `target_recall` (a share), only such
    cutoffs count: neither what is no difference by chance nor a margin may give a target away.

    Where that is read off nothing it gets a margin, see the module. `hard` is the recall of synthetic words in hard
    conditions at each cutoff, float64 `[256]`; None where people validate.
    """
    usable = np.arange(1, HIGHEST_CUTOFF + 1)  # at 0 no slice is below the cutoff: the device never detects
    rates = curve.false_accepts_per_hour[usable]
    reaching = rates <= target_false_accepts_per_hour
    eligible = usable[reaching] if reaching.any() else usable[rates == rates.min()]
    most = int(curve.detected[eligible].max())
    by_chance = min(FEWER_BY_CHANCE, math.ceil(LARGEST_SHARE_BY_CHANCE * curve.utterances))
    least = min(most, max(1, most - max(by_chance, math.ceil(WITHIN_SHARE * curve.utterances))))
    equal, margin = eligible[curve.detected[eligible] >= least], ""
    saturated = hard is not None or equal[0] <= ENDS_OF_SCALE[0] or equal[-1] >= ENDS_OF_SCALE[1]
    chosen, allowed = _middle(equal), equal if hard is None else eligible
    enough = eligible[curve.recall[eligible] >= target_recall]
    if reaching.any() and len(enough):
        chosen = chosen if chosen in enough else _middle(enough)
        allowed = np.intersect1d(allowed, enough)
    unproven = (
        curve.hours
        and garwood(int(curve.false_accepts[chosen]), curve.hours, BOUND_CONFIDENCE).high
        > target_false_accepts_per_hour
    )
    if reaching.any() and most and saturated and unproven:
        chosen, margin = _with_margin(curve, target_false_accepts_per_hour, chosen, allowed, hard)
    return CutoffChoice.at(curve, chosen, reaches_target=bool(reaching.any()), margin=margin)


def choose_by_people(curve: DetCurve, target_false_accepts_per_hour: float, target_recall: float = 0.0) -> CutoffChoice:
    """The lowest cutoff whose false accepts among people's own sound are within the target, by their count and by the
    tail of lower peaks (`tail.py`).

    For synthetic words with negatives of people: how many synthetic utterances a cutoff finds says little of people, so
    every further step up is a loss. Where no cutoff is within the target, that with the fewest false accepts is taken.
    A cutoff that finds none is no choice; one above those that reach `target_recall` (a share) is none either, where
    one of these is within the target by its count.
    """
    usable = np.arange(1, HIGHEST_CUTOFF + 1)
    rates = curve.false_accepts_per_hour[usable]
    reaching = rates <= target_false_accepts_per_hour
    eligible = usable[reaching] if reaching.any() else usable[rates == rates.min()]
    found = eligible[curve.detected[eligible] > 0] if curve.detected[eligible].any() else eligible
    enough = found[curve.recall[found] >= target_recall]
    allowed = enough if len(enough) else found
    tail = fit_tail(curve)
    chosen = next(
        (int(cutoff) for cutoff in allowed if tail.rate(_level(cutoff)) <= target_false_accepts_per_hour),
        int(allowed[-1]),
    )
    said = (
        f"people's negatives chose it: by the tail of lower peaks {tail.rate(_level(chosen)):.2g} false accepts/h, at"
        f" most {tail.bound(_level(chosen)):.2g}"
    )
    return CutoffChoice.at(curve, chosen, reaches_target=bool(reaching.any()), margin=said)


def _with_margin(
    curve: DetCurve, target: float, middle: int, allowed: NDArray[np.int64], hard: NDArray[np.float64] | None
) -> tuple[int, str]:
    """A cutoff at or above the middle, among those that are allowed, and what kept it from being read off nothing."""
    kept_at_least = 1 if hard is None else max(1, math.ceil((1 - SYNTHETIC_SHARE) * int(curve.detected[middle])))
    tail, above = fit_tail(curve), allowed[(allowed >= middle) & (curve.detected[allowed] >= kept_at_least)]
    if hard is None:
        least, cheap = middle, above[: (len(above) + 1) // 2]
    else:
        least = next((int(cutoff) for cutoff in above if tail.rate(_level(cutoff)) <= target), int(above[-1]))
        above = above[above >= least]
        cheap = above[hard[above] >= hard[least] - HARD_SHARE]
    chosen = next((int(cutoff) for cutoff in cheap if tail.bound(_level(cutoff)) <= target), int(cheap[-1]))
    kept = "" if hard is None else f", {hard[chosen]:.1%} found in hard conditions"
    rate, bound = tail.rate(_level(chosen)), tail.bound(_level(chosen))
    moved = (
        f"so the cutoff has a margin ({cutoff_as_probability(middle)} without it)"
        if chosen > middle
        else "and a margin would cost too much"
    )
    return (
        chosen,
        (
            f"validation is saturated, {moved}: by the tail of lower peaks {rate:.2g} false accepts/h, at most"
            f" {bound:.2g}{kept}"
        ),
    )


def _level(cutoff: int) -> float:
    return float(log_odds(np.array(cutoff)))


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
