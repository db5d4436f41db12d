"""What a rate of false accepts is called, and whether the hours suffice to call it so. One place: a report and an evaluation say the same.

A rate is graded as it was counted; whether the hours suffice is a second question, answered with the one-sided 95 % bound (Garwood 1936). With
zero events that bound is 3.0 / hours, so 6 hours are needed to claim 0.5 an hour.
"""

from __future__ import annotations

from typing import Literal

from wakeword.scoring.rates import garwood

EXCELLENT_BELOW = 0.5
"""False accepts per hour under which a wake word is excellent."""
ACCEPTABLE_TO = 2.0
"""False accepts per hour up to which a wake word is acceptable."""

ONE_SIDED_95 = 0.90
"""Confidence of the two-sided interval whose ends are the one-sided 95 % bounds."""

RateGrade = Literal["excellent", "acceptable", "too many"]
NOT_CERTAIN = "so far, but the hours are too few to be sure"


def grade_rate(per_hour: float) -> RateGrade:
    """The grade of a rate of false accepts per hour."""
    if per_hour < EXCELLENT_BELOW:
        return "excellent"
    return "acceptable" if per_hour <= ACCEPTABLE_TO else "too many"


def hours_suffice(grade: RateGrade, false_accepts: int, hours: float) -> bool:
    """Whether the rate is surely no worse than `grade`; for too many, surely so bad. Raises `ValueError` for hours that are not positive."""
    bounds = garwood(false_accepts, hours, ONE_SIDED_95)
    if grade == "too many":
        return bounds.low > ACCEPTABLE_TO
    return bounds.high <= (EXCELLENT_BELOW if grade == "excellent" else ACCEPTABLE_TO)
