"""Which trial is the best, and which none beats at less."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.analysis.boards import BOARDS
from trainer.config.loader import load_config
from trainer.data.ingest import Ingestion
from trainer.search.budget import Budget, ModelCost
from trainer.search.results import BASE, Outcome, SeedRun, TrialRecord, best_of, pareto_front, summary
from trainer.search.search import _identity
from trainer.search.sentences import flattery, headline, measured_line
from trainer.search.space import SearchSpace
from trainer.search.study import Sampling
from trainer.search.trial import SearchPlan
from trainer.training.scores import ValidationScores


def trial(name: str, *figures: float, arena: int = 1000, recall: float = 0.5) -> TrialRecord:
    runs = tuple(
        SeedRun(
            seed, name, "weights.h5", 100, figure, ValidationScores(recall, 2.0 if figure < 0 else 0.0, figure), 60.0
        )
        for seed, figure in enumerate(figures)
    )
    return TrialRecord(name, Outcome.DONE if runs else Outcome.PRUNED, {}, ModelCost(1, arena, 1.0), runs)


def test_the_mean_over_the_seeds_counts() -> None:
    lucky, steady = trial("000", 0.9, 0.5), trial("001", 0.75, 0.75)
    assert best_of([lucky, steady, trial("002")]) is steady
    assert lucky.best_run.figure == 0.9
    assert best_of([trial("000")]) is None


def test_a_seed_above_the_target_is_not_made_up_for_by_the_recall_of_another() -> None:
    torn, steady = trial("000", 0.98, -0.30), trial("001", 0.33, 0.33)
    assert best_of([torn, steady]) is steady
    assert torn.figure == pytest.approx(-0.15)
    assert trial("002", -0.2, -0.2).figure == pytest.approx(-0.2)
    assert [one.name for one in pareto_front([torn, steady], lambda cost: cost.arena)] == ["001"]
    assert headline([torn], torn, "expected recall") == (
        "No trial reaches the target of false accepts on validation with all its seeds; the one that is nearest is"
        " trial 000, with 1.00 an hour."
    )


def test_of_equals_the_one_that_finds_more_then_the_smaller_one() -> None:
    large, small, deaf = trial("000", 0.9, arena=9), trial("001", 0.9, arena=8), trial("002", 0.9, arena=1, recall=0.4)
    assert best_of([large, small, deaf]) is small


def test_the_front_has_what_none_beats_at_less() -> None:
    records = [
        trial("000", 0.5, arena=10),
        trial("001", 0.4, arena=20),
        trial("002", 0.8, arena=20),
        trial("003", 0.8, arena=30),
        trial("004", 0.9, arena=40),
        trial("005", 0.3, arena=5),
        trial("006", arena=1),
    ]
    front = pareto_front(records, lambda cost: cost.arena)
    assert [record.name for record in front] == ["005", "000", "002", "004"]
    for record in records[:-1]:
        beaten = any(
            other.figure >= record.figure and other.cost.arena <= record.cost.arena and other is not record
            for other in front
            if other.cost and record.cost
        )
        assert beaten != (record in front)


def test_sentences() -> None:
    base, better = trial(BASE, 0.8), trial("003", 0.9)
    assert headline([base, better], better, "expected recall") == (
        "Trial 003 has the highest expected recall on validation: 0.9000; the configuration itself has 0.8000."
    )
    assert "No trial has a higher expected recall" in headline([base], base, "expected recall")
    above = trial("001", -0.3)
    assert "No trial reaches the target" in headline([above], above, "expected recall")
    assert "does not reach the target" in headline([trial(BASE, -0.1), better], better, "expected recall")
    assert "among 3 trainings" in flattery([base, better, trial("004")])
    assert "among 4 trainings" in flattery([trial("000", 0.1, 0.2), trial("001", 0.3), trial("002")])
    assert "with 2 seeds" in flattery([trial("000", 0.1, 0.2)])
    assert summary([base, better, trial("004")]) == "2 done, 1 pruned"
    line = measured_line({"name": "003", "found": 90, "utterances": 100, "false_accepts": 1, "hours": 2.0})
    assert line.startswith(
        "trial 003: found 90 of 100 utterances, 90.0% (95 %: 82.4% to 95.1%); 1 false accept in 2.00"
    )


def test_mixed_precision_is_part_of_what_a_search_is(tmp_path: Path) -> None:
    space, budget = SearchSpace("here", (), ""), Budget.of(BOARDS[0])
    plan, found = SearchPlan(tmp_path, space, budget, Sampling(0, 1, 0), 1), Ingestion((), (), ())
    plain, mixed, elsewhere = (
        _identity(load_config("standard", (), ["export.wake_word=loud", *settings]), plan, found)
        for settings in ([], ["performance.mixed_precision=true"], ["performance.num_workers=3"])
    )
    assert plain == elsewhere
    assert [key for key in plain if plain[key] != mixed[key]] == ["performance.mixed_precision"]
