"""What a tuning says: which figures prove what, and what to make of few hours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tests.trainer.tuning.sessions import iteration, point
from trainer.tuning.measurement import SplitMeasurement
from trainer.tuning.operating_point import Targets
from trainer.tuning.policy import Move
from trainer.tuning.report import details, iteration_line, missed, rendered, too_few_hours, unproven
from trainer.tuning.tune import Tuned

TARGETS = Targets(0.3, 0.92)
REACHED = point(95, 1, reaches_recall=True, half=(4, 2))


def tuned(best: SplitMeasurement, *, at: bool = True, looks: int = 1) -> Tuned:
    given = SplitMeasurement("a", 5, 100, 60, 100, 3, 0, 10.0)
    last = iteration(1, REACHED if at else point(80, 1), True, move=Move.EASIER)
    return Tuned(Path("tuning/x.h5"), (iteration(0, point(70, 1), True), last), "why", given, best, looks)


def text(outcome: Tuned) -> str:
    console = Console(width=170)
    with console.capture() as capture:
        console.print(rendered(outcome, TARGETS))
    return capture.get()


def test_given_and_tuned_side_by_side_with_intervals() -> None:
    shown = text(tuned(SplitMeasurement("b", 6, 120, 95, 100, 0, 0, 2.0), looks=3))
    assert "given" in shown
    assert "0.30 (0.06-0.88): 3 in 10.00 h" in shown
    assert "95.0% (88.7%-98.4%): 95 of 100" in shown
    assert "reached, not certain" in shown
    assert "False accepts: acceptable. Recall: acceptable." in shown
    synthetic = text(
        replace(tuned(SplitMeasurement("b", 6, 120, 95, 100, 0, 0, 20.0)), positives="synthetic", negatives="synthetic")
    )
    assert "False accepts: no grade: synthetic speech. Recall: no grade: synthetic speech." in synthetic
    assert "measured tuned weights on the test split 3 times" in shown
    assert "came after a wake word" not in shown
    assert "1 of the false accepts of the last column came after a wake word" in text(
        tuned(SplitMeasurement("b", 6, 120, 95, 100, 1, 1, 2.0))
    )


def test_reached_on_validation_is_not_proven_on_test() -> None:
    lines = unproven(tuned(SplitMeasurement("b", 6, 120, 95, 100, 0, 0, 2.0)), TARGETS)
    assert lines == [
        "recall: reached on validation; on test reached, not certain",
        (
            "false accepts: reached on validation; on test reached, not certain (0.3/h needs 12.3 h without one, there"
            " are 2.00 h)"
        ),
    ]
    assert unproven(tuned(SplitMeasurement("b", 6, 120, 990, 1000, 0, 0, 20.0)), TARGETS) == []


def test_what_is_missed() -> None:
    assert missed(tuned(SplitMeasurement("b", 6, 120, 90, 100, 1, 0, 2.0)), TARGETS) == "", "not for certain"
    assert (
        missed(tuned(SplitMeasurement("b", 6, 120, 50, 100, 40, 0, 2.0)), TARGETS)
        == "on test 50.0% found (target 92.0%); on test 20.00 false accepts/h (target 0.3)"
    )
    on_val = missed(tuned(SplitMeasurement("b", 6, 120, 95, 100, 0, 0, 2.0), at=False), TARGETS)
    assert on_val == "on validation 80.0% found (target 92.0%) at 0.10 false accepts/h (target 0.3)"


def test_few_hours_are_said() -> None:
    assert too_few_hours(point(0, 0, hours=12.4), TARGETS) == ""
    assert too_few_hours(point(0, 0, hours=0.25), TARGETS).startswith(
        "validation has 0.25 h: one false accept is 4 an hour, and none in 12.3 h would prove 0.3/h"
    )


def test_a_line_and_its_details() -> None:
    line = iteration_line(iteration(3, point(93, 2, cutoff=200), kept=False, move=Move.STRICTER))
    assert (
        line == "iteration 3 (stricter): 93.0% found (93 of 100), 0.20 false accepts/h (2 in 10.00 h) at cutoff 0.785,"
        " window 5  (no gain, forgotten)"
    )
    assert "learning rate 0.0001, negatives weigh 20, hard ones 40, 20% of a batch" in details(
        iteration(3, REACHED, kept=True), TARGETS
    )
    assert "learning rate" not in details(iteration(0, REACHED, kept=True), TARGETS)
