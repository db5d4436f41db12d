"""Curves over the cutoff, for the page of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.results import wording
from harness.results.schema import IntervalRecord
from harness.results.scores import hourly_record, share_record
from wakeword.contract import PROBABILITY_MAX
from wakeword.drawing import ACCENT, INK, RULE, SECOND, Plot, draw
from wakeword.scoring.det import DetCurve
from wakeword.scoring.grades import ACCEPTABLE_TO, EXCELLENT_BELOW

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RATE_TICKS = (0.001, 0.01, 0.1, 0.5, 2, 10, 100, 1000, 10000)
_MISS_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class MeasuredPoint:
    """What was measured at the model's own cutoff."""

    cutoff: float
    recall: IntervalRecord | None
    false_accepts_per_hour: IntervalRecord | None


def det_plot(curve: DetCurve, point: MeasuredPoint) -> Plot | None:
    """Miss rate over false accepts per hour, all cutoffs; None unless both were measured.

    Cutoff 0 is not drawn: nothing is below it, so the hold-off after boot never ends and nothing is ever detected.
    """
    if not curve.utterances or not curve.hours:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        rates, miss_rates = curve.false_accepts_per_hour, 100 * (1 - curve.recall)
        axes.plot(rates[1:], miss_rates[1:], color=ACCENT, linewidth=1.4, marker=".", markersize=4.5, zorder=3)
        _rate_axis(axes, "x", curve)
        _miss_axis(axes, curve)
        _grade_lines(axes, "x")
        axes.set_xlabel("false accepts per hour")
        axes.set_ylabel("utterances missed, %")
        recall, rate = point.recall, point.false_accepts_per_hour
        if recall is not None and rate is not None and recall.rate is not None and rate.rate is not None:
            x, y = rate.rate, 100 * (1 - recall.rate)
            _interval_bar(axes, "x", x, y, rate, 1)
            _interval_bar(axes, "y", y, x, _complement(recall), 100)
            _point(axes, x, y)
            axes.annotate(
                f"cutoff {wording.cutoff(point.cutoff)}",
                (x, y),
                (9, 9),
                textcoords="offset points",
                weight="bold",
                zorder=6,
            )

    return draw("det", paint, 4.4)


def cutoff_plot(curve: DetCurve, point: MeasuredPoint) -> Plot | None:
    """Recall and false accepts per hour over the cutoff, with intervals; None where neither was measured."""
    panels: list[Callable[[Axes], None]] = []
    if curve.utterances:
        recalls = {int(count): share_record(int(count), curve.utterances) for count in np.unique(curve.detected)}
        panels.append(lambda axes: _recall_panel(axes, curve, point, [recalls[int(count)] for count in curve.detected]))
    if curve.hours:
        rates = {int(count): hourly_record(int(count), curve.hours) for count in np.unique(curve.false_accepts)}
        panels.append(
            lambda axes: _rate_panel(axes, curve, point, [rates[int(count)] for count in curve.false_accepts])
        )
    if not panels:
        return None

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
        for axes, panel in zip(grid[:, 0], panels, strict=True):
            axes.axvline(point.cutoff, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=2)
            panel(axes)
        grid[-1, 0].set_xlabel("probability cutoff")
        grid[-1, 0].set_xlim(0, 1)
        grid[-1, 0].set_xticks(np.arange(0, 1.01, 0.2))

    return draw("cutoffs", paint, 2.6 * len(panels) + 0.4)


def _recall_panel(axes: Axes, curve: DetCurve, point: MeasuredPoint, records: list[IntervalRecord]) -> None:
    _banded(axes, curve, 100 * curve.recall, records, 100, ACCENT)
    axes.set_ylim(-3, 103)
    axes.set_ylabel("recall, %")
    if point.recall is not None and point.recall.rate is not None:
        _interval_bar(axes, "y", 100 * point.recall.rate, point.cutoff, point.recall, 100)
        _point(axes, point.cutoff, 100 * point.recall.rate)


def _rate_panel(axes: Axes, curve: DetCurve, point: MeasuredPoint, records: list[IntervalRecord]) -> None:
    _banded(axes, curve, curve.false_accepts_per_hour, records, 1, SECOND)
    _rate_axis(axes, "y", curve)
    _grade_lines(axes, "y")
    axes.set_ylabel("false accepts per hour")
    record = point.false_accepts_per_hour
    if record is not None and record.rate is not None:
        _interval_bar(axes, "y", record.rate, point.cutoff, record, 1)
        _point(axes, point.cutoff, record.rate)


def _banded(
    axes: Axes, curve: DetCurve, values: NDArray[np.float64], records: list[IntervalRecord], scale: float, color: str
) -> None:
    cutoffs = curve.cutoffs / PROBABILITY_MAX
    low = [scale * (record.low or 0) for record in records]
    high = [scale * (record.high or 0) for record in records]
    axes.fill_between(cutoffs[1:], low[1:], high[1:], color=color, alpha=0.16, linewidth=0, zorder=1)
    axes.plot(cutoffs[1:], values[1:], color=color, zorder=3)


def _rate_axis(axes: Axes, which: str, curve: DetCurve) -> None:
    """Logarithmic down to one event in the hours measured, linear from there to zero, so that zero has its place."""
    one_event = 1 / curve.hours
    # The interval of few events must fit, and the two limits of the grades.
    highest = max(float(curve.false_accepts_per_hour.max()), hourly_record(0, curve.hours).high or 0, 2 * ACCEPTABLE_TO)
    grades = (EXCELLENT_BELOW, ACCEPTABLE_TO)
    ticks = [
        0.0,
        *(tick for tick in _RATE_TICKS if one_event * (0.3 if tick in grades else 1) <= tick <= highest * 1.3),
    ]
    labels = [f"{tick:g}" for tick in ticks]
    if which == "x":
        axes.set_xscale("symlog", linthresh=one_event, linscale=0.8)
        axes.set_xlim(-0.15 * one_event, highest * 1.3)
        axes.set_xticks(ticks, labels)
    else:
        axes.set_yscale("symlog", linthresh=one_event, linscale=0.8)
        axes.set_ylim(-0.15 * one_event, highest * 1.3)
        axes.set_yticks(ticks, labels)


def _miss_axis(axes: Axes, curve: DetCurve) -> None:
    """Logarithmic down to one utterance (at most 10 %), linear from there to zero."""
    one_miss = min(100 / curve.utterances, 10)
    ticks = [0.0, *(tick for tick in _MISS_TICKS if tick >= one_miss)]
    axes.set_yscale("symlog", linthresh=one_miss, linscale=0.5)
    axes.set_ylim(-0.2 * one_miss, 115)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def _grade_lines(axes: Axes, which: str) -> None:
    for limit in (EXCELLENT_BELOW, ACCEPTABLE_TO):
        (axes.axvline if which == "x" else axes.axhline)(limit, color=RULE, linewidth=1, zorder=1)


def _interval_bar(axes: Axes, direction: str, value: float, other: float, record: IntervalRecord, scale: float) -> None:
    low, high = scale * (record.low or 0), scale * (record.high or 0)
    errors = [[max(value - low, 0)], [max(high - value, 0)]]
    x, y = (value, other) if direction == "x" else (other, value)
    xerr, yerr = (errors, None) if direction == "x" else (None, errors)
    axes.errorbar([x], [y], xerr=xerr, yerr=yerr, fmt="none", ecolor=INK, elinewidth=1.2, capsize=3, zorder=4)


def _point(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], marker="o", markersize=6, color=INK, linestyle="none", zorder=5, clip_on=False)


def _complement(record: IntervalRecord) -> IntervalRecord:
    """The interval of misses from that of hits."""
    low, high = record.low or 0, record.high or 0
    return record.model_copy(update={"low": 1 - high, "high": 1 - low})
