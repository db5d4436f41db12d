"""The time that is left of a run, from a clock that the test sets."""

from __future__ import annotations

from trainer.training.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_said_before_steps_and_an_evaluation_are_measured() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.now += 60  # the step is compiled
    pace.stepped(1)
    assert pace.remaining_s(900, 9) is None
    clock.now += 20
    pace.stepped(101)
    assert pace.remaining_s(900, 9) is None  # how long an evaluation takes is not known
    with pace.beside_steps(evaluation=True):
        clock.now += 5
    assert pace.remaining_s(899, 9) == 899 * 0.2 + 9 * 5


def test_a_second_of_work_says_nothing() -> None:
    clock = Clock()
    pace = Pace(clock)
    for step in (1, 2):
        clock.now += 0.5
        pace.stepped(step)
    with pace.beside_steps(evaluation=True):
        clock.now += 0.1
    assert pace.remaining_s(1000, 10) is None


def test_what_lies_between_steps_is_no_time_of_steps_and_mining_is_shared_out_over_evaluations() -> None:
    clock = Clock()
    pace = Pace(clock)
    step = 0
    for mined in (False, True):
        for _ in range(3):
            clock.now += 10
            step += 10
            pace.stepped(step)
        with pace.beside_steps(evaluation=True):
            clock.now += 4
        if mined:
            with pace.beside_steps(evaluation=False):
                clock.now += 12
        clock.now += 1000  # a laptop that sleeps here
    # Of each stretch the first report is not measured: four of six are, at a second a step. Evaluations cost 4 s, and 6
    # s each of mining.
    assert pace.remaining_s(100, 3) == 100 * 1.0 + 3 * 10.0
