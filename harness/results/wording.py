"""Figures as the report writes them: one way to write a rate, an interval, a duration."""

from __future__ import annotations

from dataclasses import dataclass

from harness.results.schema import IntervalRecord

NONE = "\N{EM DASH}"
"""Stands where there is no figure."""

MINUS = "\N{MINUS SIGN}"

MINUTES_BELOW = 0.1
"""Hours under which a length is written in minutes."""


def rate(value: float) -> str:
    """An hourly rate with the decimals that its size deserves: `0`, `0.026`, `1.25`, `12.5`."""
    if value == 0:
        return "0"
    if value < 1:
        return f"{value:.3f}" if value >= 0.0005 else f"{value:.1g}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def percent(fraction: float) -> str:
    """A fraction in per cent, number and sign kept on one line: one decimal, or more where only a true 0 or 1 may be so
    written.
    """
    shown = f"{100 * fraction:.1f}"
    if (shown == "100.0" and fraction < 1) or (shown == "0.0" and fraction > 0):
        shown = f"{100 * fraction:.3f}"
    return f"{shown}\N{NO-BREAK SPACE}%"


def probability(value: float) -> str:
    """A probability, 0-1, with the decimals that tell two uint8 values apart."""
    return f"{value:.3f}"


def cutoff(value: float) -> str:
    """A cutoff, 0-1, as it stands in a manifest."""
    return f"{value:.2f}" if round(value, 2) == value else f"{value:g}"


def hours(value: float) -> str:
    """A length of audio in hours; a short one in minutes, so that it does not read as nothing."""
    if 0 < value < MINUTES_BELOW:
        return f"{60 * value:.1f}\N{NO-BREAK SPACE}min"
    return f"{value:.1f}\N{NO-BREAK SPACE}h" if value >= 10 else f"{value:.2f}\N{NO-BREAK SPACE}h"


def length(seconds: float) -> str:
    """A length of sound: in seconds, from a minute on as `hours` has it."""
    return hours(seconds / 3600) if seconds >= 60 else f"{seconds:.1f}\N{NO-BREAK SPACE}s"


def clock(seconds: float) -> str:
    """A position in a long recording, `h:mm:ss.s`."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    return f"{minutes // 60}:{minutes % 60:02}:{tenths // 10:02}.{tenths % 10}"


def size(count: int | None) -> str:
    """Bytes with thousands kept apart."""
    return NONE if count is None else f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def number(count: int, noun: str) -> str:
    """A count with its noun: `1 file`, `3 files`."""
    return f"{count} {noun if count == 1 else noun + 's'}"


@dataclass(frozen=True)
class Cell:
    """One figure in words: its counts, its rate, its interval."""

    counted: str
    rate: str
    interval: str


def cell(record: IntervalRecord) -> Cell:
    """A figure with the words of its kind: an hourly rate, or a share in per cent. A dash stands where nothing was
    measured to divide by.
    """
    counted = f"{record.count} in {hours(record.of)}" if record.hourly else f"{record.count} of {int(record.of)}"
    if record.rate is None or record.low is None or record.high is None:
        return Cell(counted, NONE, NONE)
    if record.hourly:
        return Cell(counted, rate(record.rate), f"{rate(record.low)}\N{EN DASH}{rate(record.high)}")
    low = percent(record.low).removesuffix("\N{NO-BREAK SPACE}%")
    return Cell(counted, percent(record.rate), f"{low}\N{EN DASH}{percent(record.high)}")


def in_short(record: IntervalRecord | None) -> str:
    """Counts and rate on one line: `3/4 = 75.0 %`, `3 in 24.0 h = 0.125`; a dash without a figure."""
    if record is None:
        return NONE
    words = cell(record)
    return f"{words.counted if record.hourly else words.counted.replace(' of ', '/')} = {words.rate}"


def interval(record: IntervalRecord | None) -> str:
    """The interval of a figure; a dash without one."""
    return NONE if record is None else cell(record).interval


def points(fraction: float, *, signed: bool = False) -> str:
    """A difference of two shares in points, with a true minus: `3 points`, `+1.2`, `\N{MINUS SIGN}0.8`."""
    value = round(100 * fraction, 2 if abs(fraction) < 0.001 else 1)
    if signed:
        return f"{'+' if value > 0 else MINUS if value < 0 else ''}{abs(value):g}"
    return f"{value:g}\N{NO-BREAK SPACE}{'point' if value == 1 else 'points'}"


def p_value(value: float) -> str:
    """A p value as an equation or, where its digits say nothing, as a bound."""
    return (
        "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.001"
        if value < 0.001
        else f"p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{value:.3f}"
    )


def seconds(value: float) -> str:
    """Seconds to the 10 ms of a slice, with a true minus."""
    return f"{MINUS if round(value, 2) < 0 else ''}{abs(value):.2f}\N{NO-BREAK SPACE}s"


def whole(value: int) -> str:
    """A whole number with its sign: `+3`, `0`, `\N{MINUS SIGN}2`."""
    return f"{'+' if value > 0 else MINUS if value < 0 else ''}{abs(value)}"
