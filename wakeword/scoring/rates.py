"""Rates with exact intervals.

Conventions: events and trials are counts, hours are scored time only (void time is in neither part of a rate). An interval
is central and two-sided; a rate without an interval is not reported.
"""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """Lower and upper bound of a rate, in the rate's own unit."""

    low: float
    high: float


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Exact binomial interval of a proportion (`scipy.stats.binomtest(...).proportion_ci("exact")`).

    Raises `ValueError` unless 0 <= successes <= trials and trials > 0.
    """
    from scipy.stats import binomtest

    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} of {trials} is no proportion")
    bounds = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return Interval(float(bounds.low), float(bounds.high))


def garwood(events: int, hours: float, confidence: float = CONFIDENCE) -> Interval:
    """Exact Poisson interval of a rate an hour (Garwood 1936): chi-square quantiles over twice the hours.

    low = chi2(a/2, 2k) / 2h, high = chi2(1 - a/2, 2k + 2) / 2h with a = 1 - confidence; low is 0 for no events.
    Raises `ValueError` for negative events or hours that are not positive.
    """
    from scipy.stats import chi2

    if events < 0 or not hours > 0:
        raise ValueError(f"{events} events in {hours} h is no rate")
    tail = (1 - confidence) / 2
    low = float(chi2.ppf(tail, 2 * events)) if events else 0.0
    high = float(chi2.ppf(1 - tail, 2 * events + 2))
    return Interval(low / (2 * hours), high / (2 * hours))


def hours_to_claim(rate: float, confidence: float = CONFIDENCE) -> float:
    """Hours without one event that are needed to claim at most `rate` an hour, one-sided: -ln(1 - confidence) / rate."""
    import math

    if not rate > 0:
        raise ValueError(f"a rate of {rate}/h cannot be claimed")
    return -math.log(1 - confidence) / rate
