"""What a search says of its end: the same sentences on the terminal and on the page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config.sections import TrainerConfig
from trainer.search.results import BASE, Outcome, TrialRecord, done
from trainer.training.scores import metric_of
from wakeword.scoring.rates import clopper_pearson, garwood


def figure_name(record: TrialRecord, config: TrainerConfig) -> str:
    """What trials are compared by."""
    return metric_of(record.runs[0].scores, config.training).replace("_", " ")


def title(name: str) -> str:
    """What a trial is called in a sentence."""
    return "the configuration itself" if name == BASE else f"trial {name}"


def headline(records: Sequence[TrialRecord], best: TrialRecord, figure_name: str) -> str:
    """The best trial beside the configuration itself."""
    base = next((record for record in done(records) if record.name == BASE), None)
    if best.figure < 0:
        seeds, nearest = ("", "with the fewest") if len(best.runs) == 1 else (" with all its seeds", "that is nearest")
        return (
            f"No trial reaches the target of false accepts on validation{seeds}; the one {nearest} is"
            f" {title(best.name)}, with {best.false_accepts_per_hour:.2f} an hour."
        )
    if best is base:
        return f"No trial has a higher {figure_name} on validation than the configuration itself: {best.figure:.4f}."
    beside = (
        ""
        if base is None
        else f"; the configuration itself has {base.figure:.4f}"
        if base.figure >= 0
        else "; the configuration itself does not reach the target of false accepts"
    )
    return f"Trial {best.name} has the highest {figure_name} on validation: {best.figure:.4f}{beside}."


def flattery(records: Sequence[TrialRecord]) -> str:
    """What the figure of the best of many is worth."""
    # A trial is given up with its first seed.
    count = sum(len(record.runs) + (record.outcome is Outcome.PRUNED) for record in records)
    seeds = max((len(record.runs) for record in records), default=1)
    chance = (
        f"Each was trained with {seeds} seeds, and their mean counts."
        if seeds > 1
        else "Each was trained with one seed, and the same settings with another seed give another figure."
    )
    return (
        f"Validation chose this one among {count} trainings, so its figure there flatters it: the best of many is in"
        f" part the luckiest. {chance}"
    )


def measured_line(measured: Mapping[str, Any]) -> str:
    """A measurement on the test split, with 95 % intervals."""
    found, utterances = measured["found"], measured["utterances"]
    accepts, hours = measured["false_accepts"], measured["hours"]
    recall, rate = clopper_pearson(found, utterances), garwood(accepts, hours)
    plural = "" if accepts == 1 else "s"
    who = title(measured["name"])
    return (
        f"{who}: found {found} of {utterances} utterances, {found / utterances:.1%} (95 %: {recall.low:.1%} to"
        f" {recall.high:.1%}); {accepts} false accept{plural} in {hours:.2f} h, {accepts / hours:.2f}/h"
        f" (95 %: {rate.low:.2f} to {rate.high:.2f})"
    )


def evaluation(weights: Path) -> str:
    """The command that measures weights on the test split."""
    return shlex.join(["mww-evaluate", "--checkpoint", str(weights), "--split", "test"])
