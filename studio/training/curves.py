"""Curves of a run's evaluations as a small SVG in the page's own colours: wide and narrow screens show the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 400, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 26
_NICE = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Tick:
    """A mark of an axis: where it is, and what stands there."""

    at: float
    label: str


@dataclass(frozen=True)
class DrawnCurve:
    """What the template draws."""

    title: str
    points: tuple[tuple[float, float], ...]
    marked: tuple[float, float] | None
    """The point of the weights that are kept."""
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    summary: str
    """The curve in a sentence, for who cannot see it."""

    @property
    def line(self) -> str:
        """The points as SVG takes them."""
        return " ".join(f"{across:.1f},{up:.1f}" for across, up in self.points)


def curve(
    title: str, steps: Sequence[int], values: Sequence[float], marked: int | None, top: float, unit: str
) -> DrawnCurve:
    """A curve over steps.

    Args:
        title: What it shows.
        steps: Of the evaluations, ascending.
        values: One a step; 0 is the lowest that there can be.
        marked: Index of the evaluation that is marked.
        top: Least value that the upper end stands for.
        unit: `%` for shares, which are shown in per cent; else what follows a value.

    Returns the curve in coordinates of a picture of `WIDTH` by `HEIGHT`.
    """
    last = max(steps, default=1)
    rise = _step(max([*values, top]) / 3)
    highest = rise * max(1, -int(-max([*values, top]) // rise))

    def place(step: float, value: float) -> tuple[float, float]:
        across = _LEFT + (WIDTH - _LEFT - _RIGHT) * step / last
        return across, HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * value / highest

    points = tuple(place(step, value) for step, value in zip(steps, values, strict=True))
    run = _step(last / 3)
    across = [Tick(place(count * run, 0)[0], f"{count * run:,.0f}") for count in range(1, int(last // run) + 1)]
    up = [Tick(place(0, count * rise)[1], _shown(count * rise, unit)) for count in range(round(highest / rise) + 1)]
    told = f"{title}: no evaluation yet."
    if values:
        first, newest = _shown(values[0], unit), _shown(values[-1], unit)
        told = f"{title}: from {first} at step {steps[0]:,} to {newest} at step {last:,}."
    return DrawnCurve(title, points, None if marked is None else points[marked], tuple(across), tuple(up), told)


def _step(rough: float) -> float:
    """The next round number that is not below."""
    power = 1.0
    while power * 10 <= rough:
        power *= 10
    while power > rough:
        power /= 10
    return next(nice * power for nice in _NICE if nice * power >= rough * 0.999)


def _shown(value: float, unit: str) -> str:
    return f"{value:.0%}" if unit == "%" else f"{value:.3g}{unit}"
