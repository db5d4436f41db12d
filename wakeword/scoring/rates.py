"""Rates with exact intervals.

Conventions: events and trials are counts, hours are scored time only (void time is in neither part of a rate). An
interval is central and two-sided; a rate without an interval is not reported.
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
    """Exact binomial interval of a proportion (Clopper and Pearson 1934): quantiles of beta distributions.

    low = B(a/2; k, n - k + 1), high = B(1 - a/2; k + 1, n - k) with a = 1 - confidence; low is 0 for none, high 1 for
    all. Raises `ValueError` unless 0 <= successes <= trials and trials > 0.
    """
    # scipy.stats has both intervals ready-made but takes half a second to import; a command must answer sooner.
    from scipy.special import betaincinv

    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} of {trials} is no proportion")
    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return Interval(low, high)


def garwood(events: int, hours: float, confidence: float = CONFIDENCE) -> Interval:
    """Exact Poisson interval of a rate an hour (Garwood 1936): chi-square quantiles over twice the hours.

    low = chi2(a/2, 2k) / 2h, high = chi2(1 - a/2, 2k + 2) / 2h with a = 1 - confidence; low is 0 for no events.
    Raises `ValueError` for negative events or hours that are not positive.
    """
    from scipy.special import gammaincinv

    if events < 0 or not hours > 0:
        raise ValueError(f"{events} events in {hours} h is no rate")
    tail = (1 - confidence) / 2
    # The chi-square quantile with 2k degrees of freedom is twice the gamma quantile of shape k.
    low = float(gammaincinv(events, tail)) if events else 0.0
    high = float(gammaincinv(events + 1, 1 - tail))
    return Interval(low / hours, high / hours)
