"""What figures are called. The one place for it: a report, an evaluation, a tuning and the cycle say the same.

A grade is given when the interval allows it, never by the rate alone: its one-sided 95 % bound must lie within the
grade. Until then the answer is how much sound or how many utterances are still missing. Figures on a synthesiser's
speech get no grade, whatever they are: they say nothing of people.

False accepts per hour, with the bounds of Garwood (1936): excellent below 0.5, acceptable up to 2, above that too many.
With zero events the upper bound is 3.0 / hours: 1.5 h show `acceptable`, 6 h `excellent`.

Recall, with the bounds of Clopper and Pearson (1934): good from 90 %, acceptable from 80 %, below that too low. These
are the limits that Amazon's self-test for Alexa devices puts on the false rejection rate: at most 10 % in silence, at
most 20 % in steady noise or music. They are borrowed, not a claim to have passed that test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from wakeword.corpus.provenance import Provenance
from wakeword.scoring.rates import clopper_pearson, garwood

EXCELLENT_BELOW = 0.5
"""False accepts per hour under which a wake word is excellent."""
ACCEPTABLE_TO = 2.0
"""False accepts per hour up to which a wake word is acceptable."""

GOOD_RECALL_FROM = 0.9
"""Share of utterances from which recall is good: a false rejection rate of 10 %."""
ACCEPTABLE_RECALL_FROM = 0.8
"""Share of utterances from which recall is acceptable: a false rejection rate of 20 %."""

ONE_SIDED_95 = 0.90
"""Confidence of the two-sided interval whose ends are the one-sided 95 % bounds."""

GradeName = Literal["excellent", "good", "acceptable", "too many", "too low"]
Withheld = Literal["not measured", "synthetic", "too little"]
"""Why there is no grade."""

_MOST_UTTERANCES = 1_000_000


@dataclass(frozen=True)
class Grade:
    """What a figure is called, or why it is not called anything yet."""

    name: GradeName | None
    headline: str
    """What stands where the grade stands: the grade, or what is missing for one."""
    remark: str = ""
    """What a reader should know beside it; empty where the headline says all."""
    withheld: Withheld | None = None


NOT_MEASURED = Grade(None, "not measured", withheld="not measured")
RATE_SCALE = (
    f"Below {EXCELLENT_BELOW:g} false accepts per hour is excellent, up to {ACCEPTABLE_TO:g} acceptable, more is too"
    " many."
)
RECALL_SCALE = (
    f"Recall from {GOOD_RECALL_FROM:.0%} is good, from {ACCEPTABLE_RECALL_FROM:.0%} acceptable, less is too low."
)


def grade_false_accepts(false_accepts: int, hours: float, provenance: Provenance) -> Grade:
    """The grade of so many false accepts in so many hours without the wake word."""
    if not hours > 0:
        return NOT_MEASURED
    if provenance in ("synthetic", "partly synthetic"):
        return _no_people(provenance)
    bounds = garwood(false_accepts, hours, ONE_SIDED_95)
    counted = f"{false_accepts} false accept{'' if false_accepts == 1 else 's'} in {_hours(hours)}"
    if bounds.low > ACCEPTABLE_TO:
        return Grade("too many", "too many")
    most = f"after {counted} the true rate may be as high as {bounds.high:.2g} per hour (one-sided 95 % bound)"
    excellent = f"{_hours_until(false_accepts, EXCELLENT_BELOW)} in all with no further one would show 'excellent'"
    if bounds.high > ACCEPTABLE_TO:
        needed, best = _hours_until(false_accepts, ACCEPTABLE_TO), _hours_until(false_accepts, EXCELLENT_BELOW)
        remark = (
            f"A{most[1:]}. {needed} in all with no further false accept would show 'acceptable', {best} 'excellent'."
        )
        return Grade(None, f"not enough sound yet: at least {needed}", remark, "too little")
    if bounds.high > EXCELLENT_BELOW:
        below = false_accepts / hours < EXCELLENT_BELOW
        return Grade(
            "acceptable",
            "acceptable",
            f"The rate is below {EXCELLENT_BELOW:g}, but {most}; {excellent}." if below else "",
        )
    return Grade("excellent", "excellent")


def grade_recall(found: int, utterances: int, provenance: Provenance) -> Grade:
    """The grade of so many utterances found of so many."""
    if not utterances:
        return NOT_MEASURED
    if provenance in ("synthetic", "partly synthetic"):
        return _no_people(provenance)
    bounds = clopper_pearson(found, utterances, ONE_SIDED_95)
    if bounds.high < ACCEPTABLE_RECALL_FROM:
        return Grade("too low", "too low")
    least = f"after {found} of {utterances} the true recall may be as low as {bounds.low:.1%} (one-sided 95 % bound)"
    if bounds.low < ACCEPTABLE_RECALL_FROM:
        needed, best = (
            _utterances_until(utterances - found, share) for share in (ACCEPTABLE_RECALL_FROM, GOOD_RECALL_FROM)
        )
        remark = (
            f"A{least[1:]}. {needed} utterances in all with no further miss would show 'acceptable', {best} 'good'."
        )
        return Grade(None, f"not enough utterances yet: at least {needed}", remark, "too little")
    if bounds.low < GOOD_RECALL_FROM:
        above = found / utterances >= GOOD_RECALL_FROM
        needed = _utterances_until(utterances - found, GOOD_RECALL_FROM)
        more = (
            f"The share is {GOOD_RECALL_FROM:.0%} or more, but {least}; {needed} utterances in all with no further miss"
            " would show 'good'."
        )
        return Grade("acceptable", "acceptable", more if above else "")
    return Grade("good", "good")


def _no_people(provenance: Provenance) -> Grade:
    remark = (
        "These recordings are a synthesiser's"
        if provenance == "synthetic"
        else "Some of these recordings are a synthesiser's"
    )
    return Grade(
        None,
        f"no grade: {provenance} speech",
        f"{remark}: the figures say that the parts work together, nothing of people.",
        "synthetic",
    )


def _hours_until(false_accepts: int, limit: float) -> str:
    """Hours in all, with no further event, from which the upper bound is at or under a rate; rounded up to a tenth."""
    return _hours(math.ceil(round(garwood(false_accepts, 1.0, ONE_SIDED_95).high / limit * 10, 6)) / 10)


def _hours(hours: float) -> str:
    return f"{60 * hours:.1f} min" if hours < 0.1 else f"{round(hours, 2):g} h"


def _utterances_until(missed: int, share: float) -> int:
    """Utterances in all, with no further miss, from which the lower bound is at or over a share."""
    low, high = missed + 1, _MOST_UTTERANCES
    while low < high:
        middle = (low + high) // 2
        if clopper_pearson(middle - missed, middle, ONE_SIDED_95).low >= share:
            high = middle
        else:
            low = middle + 1
    return low
