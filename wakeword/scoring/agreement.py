"""Agreement of two detectors that heard the same audio: a board and its simulation.

Task: of two streams of detections over the same utterances, say whether one of them finds more (McNemar), whether they
find the same but for a margin that does not matter (equivalence), and which detections of the two belong together.

Conventions
-----------
- The first detector is the one under question (the device), the second what it is compared with (the simulation); a
  difference is first minus second.
- Utterances are counted in pairs: found by both, by the first only (`first_only`), by the second only (`second_only`),
  by neither. Only the two discordant counts and the sum decide.
- "No difference found" is not equivalence. McNemar's test can only find a difference; that there is none that matters
  is shown by equivalence alone, with a margin stated before the measurement.
- Positions are whole numbers, slices of 10 ms.

Metrics
-------
- `mcnemar`: exact two-sided p of equal recall (McNemar 1947; the exact binomial form).
- `equivalence`: two one-sided tests (Schuirmann 1987) of the paired difference in recall, exact, with the 90 % interval
  that inverts them.
- `pair_positions`: one-to-one pairs of detections by position.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIGNIFICANCE = 0.05
"""Level of each one-sided test; the interval that belongs to it has a confidence of 1 - 2 * 0.05."""
EXACT_UP_TO = 2000
"""Utterances up to which the exact distribution is used. With more, the normal one is the same to three decimals and
takes no seconds."""
EQUIVALENCE_METHOD = (
    "two one-sided tests, 5\N{NO-BREAK SPACE}% each: exact unconditional score test, 90\N{NO-BREAK SPACE}% interval by"
    " inversion"
)

_NUISANCE_POINTS = 100
_INTERVAL_WIDTH = 1e-5
"""How finely an end of the interval is found."""
_TIE = 1e-9
"""Scores closer than this are equal: they come from the same counts by another order of rounding."""


@dataclass(frozen=True)
class Equivalence:
    """Outcome of the two one-sided tests."""

    difference: float
    """Recall of the first minus recall of the second."""
    low: float
    high: float
    """90 % interval of the difference."""
    p: float
    """The larger of the two one-sided p values."""
    equivalent: bool
    """p < 0.05; the same as both ends of the interval being inside the margin."""


@dataclass(frozen=True)
class Pairing:
    """Pairs of indices into the first and second positions, and the indices that have no partner; all ascending in the
    first.
    """

    pairs: tuple[tuple[int, int], ...]
    first_only: tuple[int, ...]
    second_only: tuple[int, ...]


def validate(first_only: int, second_only: int, utterances: int) -> None:
    """Raise `ValueError` unless the counts are of one set of utterances, with at least one."""
    if min(first_only, second_only) < 0 or utterances < 1 or first_only + second_only > utterances:
        raise ValueError(f"{first_only} and {second_only} discordant of {utterances} utterances are no paired counts")


def mcnemar(first_only: int, second_only: int) -> float:
    """Exact two-sided p that both find equally many utterances, given how many only one of them found.

    Under equal recall each discordant pair falls to either side like a coin: p = min(1, 2 * P(X <= min(b, c))), X ~ B(b
    + c, 1/2). That is `scipy.stats.binomtest(b, b + c)`. Raises `ValueError` for negative counts.
    """
    # scipy.stats has it ready-made but takes half a second to import; a command must answer sooner.
    from scipy.special import bdtr

    validate(first_only, second_only, max(first_only + second_only, 1))
    return min(1.0, 2 * float(bdtr(min(first_only, second_only), first_only + second_only, 0.5)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p values of several tests, corrected so that the probability of any false finding stays what it is for one (Holm
    1979, Scandinavian Journal of Statistics 6:65): the k-th smallest of m times m - k + 1, no less than the one before,
    at most 1. None stays None and is no test.
    """
    ordered = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * p))
        corrected[index] = highest
    return corrected


def equivalence(first_only: int, second_only: int, utterances: int, margin: float) -> Equivalence:
    """Test that the recalls differ by less than `margin` (0-1), over so many paired utterances.

    Each side is tested by the score statistic with the constrained maximum likelihood estimate (Tango 1998, Statistics
    in Medicine 17:891). Its own normal approximation errs too often when hardly any pair is discordant, as with a good
    simulation: 6.9 % instead of 5 % at 88 utterances and a margin of 3 points; the plain difference over its standard
    error errs 25 % there. So the p is the exact unconditional one (Hsueh, Liu and Chen 2001, Biometrics 57:478): the
    probability of a score as low, largest over all rates of pairs found by the second only. It errs at most 5 % at any
    number of utterances. The interval inverts the same tests.

    Raises `ValueError` for counts that are none and for a margin outside 0-1.
    """
    validate(first_only, second_only, utterances)
    if not 0 < margin < 1:
        raise ValueError(f"a margin of {margin} is no difference of two shares")
    upper = _p_below(first_only, second_only, utterances, margin)
    lower = _p_below(second_only, first_only, utterances, margin)
    p = max(upper, lower)
    return Equivalence(
        difference=(first_only - second_only) / utterances,
        low=-_upper_end(second_only, first_only, utterances, margin, lower),
        high=_upper_end(first_only, second_only, utterances, margin, upper),
        p=p,
        equivalent=p < SIGNIFICANCE,
    )


def utterances_needed(discordance: float, margin: float, power: float = 0.9) -> int:
    """Paired utterances with which equivalence is shown with this power, when there is no difference and a share
    `discordance` of the pairs disagree.

    n = (z(0.95) + z((1 + power) / 2))^2 * discordance / margin^2, so 361, 602 and 1203 at 3, 5 and 10 % for a margin of
    3 points and a power of 0.9; and at least ln(0.05) / ln(1 - margin), with fewer of which not even full agreement
    shows it. The formula is the normal approximation's: the exact test of `equivalence` has a power of 0.81, 0.86 and
    0.89 there. Raises `ValueError` for shares that are none.
    """
    from scipy.special import ndtri

    if not (0 <= discordance <= 1 and 0 < margin < 1 and 0 < power < 1):
        raise ValueError(f"discordance {discordance}, margin {margin} and power {power} are not all shares")
    planned = (ndtri(1 - SIGNIFICANCE) + ndtri((1 + power) / 2)) ** 2 * discordance / margin**2
    return max(math.ceil(planned), math.ceil(math.log(SIGNIFICANCE) / math.log1p(-margin)))


def pair_positions(first: Sequence[int], second: Sequence[int], tolerance: int) -> Pairing:
    """Pair the positions of two streams, one-to-one: the nearest first, none further apart than `tolerance`.

    Any order; equal distances are taken in order of position. Swapping the streams swaps the pairs. Detections of one
    stream are at least a hold-off apart, 100 slices, so with a tolerance under half of it nobody has two partners to
    choose from. Raises `ValueError` for a negative tolerance.
    """
    if tolerance < 0:
        raise ValueError(f"a tolerance of {tolerance} slices pairs nothing")
    order = sorted(range(len(second)), key=lambda index: second[index])
    ordered = [second[index] for index in order]
    candidates: list[tuple[int, int, int, int]] = []
    for index, position in enumerate(first):
        near = range(bisect_left(ordered, position - tolerance), bisect_right(ordered, position + tolerance))
        candidates += [
            (abs(position - ordered[other]), position + ordered[other], index, order[other]) for other in near
        ]
    candidates.sort()
    firsts, seconds = set(range(len(first))), set(range(len(second)))
    pairs: list[tuple[int, int]] = []
    for _, _, index, other in candidates:
        if index in firsts and other in seconds:
            firsts.remove(index)
            seconds.remove(other)
            pairs.append((index, other))
    return Pairing(tuple(sorted(pairs)), tuple(sorted(firsts)), tuple(sorted(seconds)))


def _scores(
    first_only: NDArray[np.int64], second_only: NDArray[np.int64], utterances: int, difference: float
) -> NDArray[np.float64]:
    """Tango's score of a true difference: low where the counts speak for a smaller one. Arrays broadcast."""
    n, b, c = utterances, first_only, second_only
    linear = -b - c + (2 * n - b + c) * difference
    constant = -c * difference * (1 - difference)
    rate = (np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0)) - linear) / (
        4 * n
    )  # of second only, at this difference
    deviation = np.sqrt(np.maximum(n * (2 * rate + difference * (1 - difference)), 0))
    # Without any deviation the counts are just what the difference says.
    scores: NDArray[np.float64] = (b - c - n * difference) / np.where(deviation > 0, deviation, np.inf)
    return scores


def _p_below(first_only: int, second_only: int, utterances: int, difference: float) -> float:
    """One-sided p of a true difference of `difference` or more, -1 <= difference < 1; small where the counts speak for
    less.
    """
    from scipy.special import bdtr, gammaln, ndtr, xlogy

    observed = float(_scores(np.array(first_only), np.array(second_only), utterances, difference)) + _TIE
    if utterances > EXACT_UP_TO:
        return float(ndtr(observed))
    # For each count of the second only, scores grow with the count of the first only: those that speak as clearly are
    # the ones up to a limit.
    seconds = np.arange(utterances + 1)
    limits, highest = np.full(utterances + 1, -1), utterances - seconds
    while (limits < highest).any():
        middle = (limits + highest + 1) // 2
        inside = _scores(middle, seconds, utterances, difference) <= observed
        limits, highest = np.where(inside, middle, limits), np.where(inside, highest, middle - 1)
    seconds, limits = seconds[limits >= 0], limits[limits >= 0]
    ways = gammaln(utterances + 1) - gammaln(seconds + 1) - gammaln(utterances - seconds + 1)
    # Rates of the second only; dense at their lowest, where probabilities change fastest and where a good simulation
    # lies.
    least, most = max(0.0, -difference), (1 - difference) / 2
    rates = least + (most - least) * np.linspace(0, 1, _NUISANCE_POINTS)[:, None] ** 2
    weights = np.exp(ways + xlogy(seconds, rates) + xlogy(utterances - seconds, 1 - rates))
    among_rest = np.clip((rates + difference) / np.maximum(1 - rates, _TIE), 0, 1)
    return min(1.0, float((weights * bdtr(limits.astype(float), utterances - seconds, among_rest)).sum(axis=1).max()))


def _upper_end(first_only: int, second_only: int, utterances: int, margin: float, p_at_margin: float) -> float:
    """The largest difference that the one-sided test does not rule out; inside the margin just where the test rules the
    margin out.
    """
    from scipy.optimize import brentq

    def doubt(difference: float) -> float:
        return _p_below(first_only, second_only, utterances, difference) - SIGNIFICANCE

    if first_only == utterances:
        return 1.0
    if p_at_margin < SIGNIFICANCE:
        begin, end = (first_only - second_only) / utterances, margin
    else:
        begin, end = margin, 1 - _INTERVAL_WIDTH
    return float(brentq(doubt, begin, end, xtol=_INTERVAL_WIDTH)) if doubt(begin) > 0 > doubt(end) else begin
