"""What trials are worth against what they cost, drawn for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trainer.analysis.boards import KIB
from trainer.search.budget import MEGA, ModelCost
from trainer.search.results import BASE, TrialRecord, done, pareto_front
from trainer.search.sentences import title
from wakeword.drawing import ACCENT, INK, MUTED, RULE, SECOND, Plot, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS: dict[str, tuple[str, Callable[[ModelCost], float]]] = {
    "flash": ("flash, KiB", lambda cost: cost.flash / KIB),
    "arena": ("tensor arena, KiB", lambda cost: cost.arena / KIB),
    "cycles": ("million cycles a second", lambda cost: cost.cycles / MEGA),
}
"""Each cost with its unit on the axis."""


def pareto_plot(name: str, records: Sequence[TrialRecord], best: TrialRecord, figure_name: str) -> Plot | None:
    """The figure of each trial that was trained to its end over one cost, with the front of those that none beats at
    less; those above the target of false accepts are left out. None where fewer than two costs are left.
    """
    label, cost_of = COSTS[name]
    shown = [record for record in done(records) if record.cost is not None and record.figure >= 0]
    if len({cost_of(record.cost) for record in shown if record.cost}) < 2:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _front(axes, [(cost_of(one.cost), one) for one in pareto_front(shown, cost_of) if one.cost])
        # The best one last: by then the axis knows its range.
        for record in sorted(shown, key=lambda one: one.name == best.name):
            assert record.cost is not None
            _point(axes, cost_of(record.cost), record, best)
        axes.set_xlabel(label)
        axes.set_ylabel(f"{figure_name}, validation")
        axes.margins(0.12)

    return draw(name, paint, 3.6)


def _front(axes: Axes, front: Sequence[tuple[float, TrialRecord]]) -> None:
    axes.step(
        [cost for cost, _ in front],
        [record.figure for _, record in front],
        where="post",
        color=ACCENT,
        linewidth=1.4,
        zorder=2,
    )
    for cost, record in front:
        axes.plot([cost], [record.figure], marker="o", markersize=8, markerfacecolor="none", color=ACCENT, zorder=3)


def _point(axes: Axes, cost: float, record: TrialRecord, best: TrialRecord) -> None:
    is_base, is_best = record.name == BASE, record.name == best.name
    color = SECOND if is_base else INK if is_best else MUTED
    axes.plot([cost], [record.figure], marker="s" if is_base else "o", markersize=5, color=color, zorder=4)
    if len(record.runs) > 1:
        figures = [run.figure for run in record.runs]
        axes.vlines(cost, min(figures), max(figures), color=RULE, linewidth=1, zorder=1)
    if is_best:
        # Towards the middle, where there is room on narrow screens too.
        left = cost > sum(axes.get_xlim()) / 2
        axes.annotate(
            title(record.name),
            (cost, record.figure),
            (-8 if left else 8, 6),
            textcoords="offset points",
            horizontalalignment="right" if left else "left",
            zorder=5,
        )
