"""The page of a search: the best trial, what it costs beside the others, which settings mattered, all trials."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.analysis.boards import KIB
from trainer.config.loader import CONFIG_NAME, load_config
from trainer.config.sections import TrainerConfig
from trainer.search.budget import MEGA, ModelCost
from trainer.search.plots import COSTS, pareto_plot
from trainer.search.results import BASE, NEVER_TRAINED, Outcome, TrialRecord, done, summary
from trainer.search.sentences import evaluation, figure_name, flattery, headline, measured_line, title
from trainer.search.study import SearchStudy
from trainer.search.trial import SearchPlan
from wakeword.files import write_atomically
from wakeword.pages import render_page

PAGE = "search.html"
ENOUGH_TRIALS = 8
"""Done, for importances; the best quarter of fewer is a trial or none."""
BEST_QUANTILE = 0.25


@dataclass(frozen=True)
class SearchPage:
    """What the page tells of."""

    plan: SearchPlan
    config: TrainerConfig
    """Of the best trial."""
    best: TrialRecord
    weights: Path
    model: Path | None
    """None where it was not exported."""
    command: str
    refused: str = ""
    """Why it was not exported."""


def write_page(page: SearchPage, study: SearchStudy, path: Path) -> None:
    """Write the page of a study. Raises `OSError`."""
    plan, best, records = page.plan, page.best, study.records()
    base = load_config(str(plan.folder / CONFIG_NAME))
    name = figure_name(best, base)
    tested = study.tested()
    context = {
        "wake_word": base.export.wake_word,
        "headline": headline(records, best, name),
        "flattery": flattery(records),
        "tested": [measured_line(one) for one in tested],
        "looks": sum(one["name"] != BASE for one in tested),
        "figure": name,
        "best": title(best.name),
        "settings": [
            (one.name, plan.space.base_value(base, one), _shown(best.drawn[one.name]))
            for one in plan.space.parameters
            if one.name in best.drawn
        ],
        "cost": best.cost and _cost_cells(best.cost),
        "budget": plan.budget.board,
        "limits": _cost_cells(ModelCost(plan.budget.flash, plan.budget.arena, plan.budget.cycles)),
        "plots": [(label, plot) for label in COSTS if (plot := pareto_plot(label, records, best, name)) is not None],
        "above_target": sum(record.figure < 0 for record in done(records)),
        "importances": _importances(study, records),
        "enough": ENOUGH_TRIALS,
        "summary": summary(records),
        "rows": [_row(record, best) for record in _in_order(records)],
        "seeds": plan.seeds,
        "warmup": plan.sampling.warmup_steps,
        "startup": plan.sampling.startup,
        "pruning": plan.sampling.pruning,
        "command": page.command,
        "space": plan.space.text,
        "corpus": study.identity.get("corpus", ""),
        "next": [
            evaluation(page.weights),
            shlex.join(
                ["mww-train", "--config", str(page.weights.parent.parent / CONFIG_NAME), "--output", "runs/best"]
            ),
        ],
        "model": page.model,
        "refused": page.refused,
    }
    write_atomically(path, render_page("trainer.search", "search.html.j2", context))


def _importances(study: SearchStudy, records: Sequence[TrialRecord]) -> list[tuple[str, float]]:
    if len([record for record in done(records) if record.name != BASE]) < ENOUGH_TRIALS:
        return []
    return list(study.importances(BEST_QUANTILE).items())


def _in_order(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those that are done by falling figure, then the others as they came, those that were never trained last."""
    rest = [record for record in records if record.outcome is not Outcome.DONE]
    return [
        *sorted(done(records), key=lambda record: -record.figure),
        *sorted(rest, key=lambda record: record.outcome in NEVER_TRAINED),
    ]


def _row(record: TrialRecord, best: TrialRecord) -> dict[str, Any]:
    figures = [run.figure for run in record.runs]
    is_done = record.outcome is Outcome.DONE
    return {
        "name": record.name,
        "best": record.name == best.name,
        "outcome": record.outcome.value,
        "said": record.said,
        "figure": f"{record.figure:.4f}" if is_done and record.figure >= 0 else "above the target" if is_done else "",
        "spread": f"{min(figures):.4f} to {max(figures):.4f}" if len(figures) > 1 else "",
        "recall": f"{record.recall:.1%}" if is_done else "",
        "rate": f"{record.false_accepts_per_hour:.2f}" if is_done else "",
        "cost": _cost_cells(record.cost) if record.cost else ("", "", ""),
        "minutes": f"{record.seconds / 60:.1f}" if record.runs else "",
        "drawn": [(name, _shown(value)) for name, value in record.drawn.items()],
    }


def _cost_cells(cost: ModelCost) -> tuple[str, str, str]:
    return f"{cost.flash / KIB:,.1f}", f"{cost.arena / KIB:,.1f}", f"{cost.cycles / MEGA:.1f}"


def _shown(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
