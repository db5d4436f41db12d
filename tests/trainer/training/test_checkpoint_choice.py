"""Which of two checkpoints is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trainer.config.training_sections import TrainingSection
from trainer.training.scores import Checkpoint, ValidationScores, figure, is_better

SETTINGS = TrainingSection(training_steps=(90, 30), learning_rates=(3e-3, 1e-3))


def after(scores: ValidationScores, step: int = 30) -> Checkpoint:
    return Checkpoint(step, scores)


@pytest.mark.parametrize(
    ("candidate", "best", "better"),
    [
        # recall, false accepts per hour, average viable recall
        ((0.5, 0.5, 0.5), (0.9, 0.6, 0.9), True),
        ((0.9, 0.6, 0.9), (0.5, 0.5, 0.5), False),
        ((0.5, 0.4, 0.8), (0.9, 0.0, 0.7), True),
        ((0.9, 0.0, 0.7), (0.5, 0.4, 0.8), False),
        ((0.5, 2.0, 0.1), (0.9, 3.0, 0.9), True),
        ((0.9, 3.0, 0.9), (0.5, 2.0, 0.1), False),
        ((0.6, 2.0, 0.1), (0.5, 2.0, 0.9), True),
        ((0.6, 0.2, 0.8), (0.5, 0.1, 0.8), True),
        ((0.6, 0.1, 0.8), (0.6, 0.2, 0.8), True),
        ((0.6, 0.1, 0.8), (0.6, 0.1, 0.8), True),  # of equals the later one
    ],
)
def test_which_checkpoint_is_better(
    candidate: tuple[float, float, float], best: tuple[float, float, float], better: bool
) -> None:
    assert is_better(after(ValidationScores(*candidate)), after(ValidationScores(*best)), SETTINGS) is better


def test_the_maximization_metric_is_the_one_of_the_settings() -> None:
    candidate, best = after(ValidationScores(0.9, 0.1, 0.5)), after(ValidationScores(0.8, 0.1, 0.6))
    assert not is_better(candidate, best, SETTINGS)
    assert is_better(candidate, best, SETTINGS.model_copy(update={"maximization_metric": "recall"}))


def test_where_counts_are_all_alike_the_expected_recall_decides() -> None:
    """Both found every word without a false accept: the one of step 1,000 was kept because it came last
    among equals."""
    sure, unsure = (
        after(ValidationScores(1.0, 0.0, 1.0, 1.0, hard_recall=0.9, expected_recall=value)) for value in (0.93, 0.71)
    )
    assert is_better(sure, unsure, SETTINGS) and not is_better(unsure, sure, SETTINGS)
    assert is_better(unsure, sure, SETTINGS.model_copy(update={"maximization_metric": "average_viable_recall"})), (
        "a tie, and the later one"
    )
    above = after(replace(sure.scores, false_accepts_per_hour=3.0))
    assert is_better(unsure, above, SETTINGS), "the target of false accepts still comes first"


def test_where_the_expected_recall_decides_the_last_phase_counts() -> None:
    """The highest of many at a high learning rate is often so by chance: weights of step 2,500 were kept, and those of
    step 8,000 were better.
    """
    lucky = after(ValidationScores(0.7, 0.0, 0.8, 0.8, hard_recall=0.4, expected_recall=0.42), 30)
    last = after(ValidationScores(0.7, 0.0, 0.8, 0.8, hard_recall=0.4, expected_recall=0.37), 91)
    assert SETTINGS.phase_of(89) < SETTINGS.phase_of(90)
    assert is_better(last, lucky, SETTINGS) and not is_better(lucky, last, SETTINGS)
    assert is_better(after(last.scores, 90), lucky, SETTINGS) is False, "step 90 is the first phase's last"
    above = after(replace(last.scores, false_accepts_per_hour=3.0), 120)
    assert is_better(lucky, above, SETTINGS), "the target of false accepts still comes first"
    worse = after(replace(last.scores, false_accepts_per_hour=9.0), 120)
    assert not is_better(worse, after(above.scores, 30), SETTINGS), (
        "above the target the fewer false accepts win in all phases"
    )
    other = SETTINGS.model_copy(update={"maximization_metric": "average_viable_recall"})
    assert is_better(after(replace(last.scores, average_viable_recall=0.9), 30), last, other), (
        "other metrics compare all phases"
    )


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_phases_without_rates_of_their_own_do_not_count(schedule: str) -> None:
    settings = TrainingSection.model_validate(SETTINGS.model_dump() | {"schedule": schedule})
    higher, later = (
        after(ValidationScores(0.7, 0.0, 0.8, 0.8, hard_recall=0.4, expected_recall=value), step)
        for value, step in ((0.42, 30), (0.37, 91))
    )
    assert is_better(higher, later, settings) and not is_better(later, higher, settings)


@pytest.mark.parametrize(("false_accepts", "better"), [(1, True), (2, True), (3, False)])
def test_beside_the_expected_recall_few_false_accepts_prove_nothing(false_accepts: int, better: bool) -> None:
    """At 0.5 an hour, 1 or 2 in 1.16 h happen by chance; 3 do not (one-sided 95 %)."""
    settings = SETTINGS.model_copy(update={"target_minimization": 0.5})
    long = ValidationScores(0.67, false_accepts / 1.16, 0.39, 0.0, hard_recall=0.45, expected_recall=0.33, hours=1.16)
    short = ValidationScores(0.56, 0.0, 0.62, 0.62, hard_recall=0.32, expected_recall=0.32, hours=1.16)
    assert is_better(after(long), after(short), settings) is better
    assert is_better(
        after(short), after(long), settings.model_copy(update={"maximization_metric": "average_viable_recall"})
    )


def test_the_figure_of_a_training_ranks_as_checkpoints_do() -> None:
    """Of one phase: what replaces another has at least its figure; below 0 is what misses the target."""
    settings = TrainingSection(target_minimization=0.5)
    rates, recalls = (0.0, 0.4, 0.6, 3.0, 50.0), (0.1, 0.5, 0.9)
    for expected in (False, True):
        candidates = [
            Checkpoint(
                25_000, ValidationScores(0.5, rate, recall, expected_recall=recall if expected else None, hours=10.0)
            )
            for rate in rates
            for recall in recalls
        ]
        for one in candidates:
            assert -1 < figure(one, settings) <= 1
            for other in candidates:
                if figure(one, settings) > figure(other, settings):
                    assert is_better(one, other, settings)
    assert figure(candidates[2], settings) == 0.9
    assert figure(candidates[-1], settings) < figure(candidates[-4], settings) < 0
