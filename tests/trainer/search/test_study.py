"""The study: drawn, claimed, given up, taken up again, whatever killed its processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.trainer.commands.cycle import wait_until
from trainer.search.budget import ModelCost
from trainer.search.events import SearchTerminal
from trainer.search.processes import _died, _TrialProcess
from trainer.search.results import BASE, Outcome
from trainer.search.space import SearchSpace, load_space
from trainer.search.study import DATABASE, Sampling, SearchStudy, open_study
from wakeword.errors import ConfigError, InfrastructureError

SAMPLING = Sampling(seed=3, startup=3, warmup_steps=20)


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    path = tmp_path / "space.yaml"
    path.write_text("training.batch_size: {int: [1, 1000]}\naugmentation.RIR: {float: [0, 1]}\n")
    return load_space(str(path))


def finished(study: SearchStudy, space: SearchSpace, *figures: float) -> str:
    """A trial that reports one figure each ten steps, and is done."""
    name = study.draw(space).name
    for place, figure in enumerate(figures, 1):
        assert study.report(name, 10 * place, figure) == ""
    study.end(name, Outcome.DONE, value=figures[-1])
    return name


def test_draws_differ_and_are_those_of_the_seed(tmp_path: Path, space: SearchSpace) -> None:
    drawn = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        # As from two processes: each opens the study anew.
        for _ in range(3):
            with open_study(folder, SAMPLING) as study:
                record = study.draw(space)
                study.end(record.name, Outcome.DONE, value=0.5)
                drawn.append(record.drawn)
    assert drawn[:3] == drawn[3:]
    assert len({one["training.batch_size"] for one in drawn}) == 3


def test_what_is_known_of_a_trial_is_kept(tmp_path: Path, space: SearchSpace) -> None:
    cost = ModelCost(1, 2, 3.5)
    with open_study(tmp_path, SAMPLING) as study:
        study.note(BASE, network="a", cost=cost)
        name = study.draw(space).name
        study.note(name, network="b", cost=ModelCost(4, 5, 6.0))
        study.end(name, Outcome.OVER_BUDGET, "arena 5 of 4 bytes")
    with open_study(tmp_path, SAMPLING) as study:
        base, trial = study.records()
        assert (base.name, base.outcome, base.cost) == (BASE, Outcome.RUNNING, cost)
        assert (trial.outcome, trial.said) == (Outcome.OVER_BUDGET, "arena 5 of 4 bytes")
        assert study.known_cost("a") == cost
        assert study.known_cost("c") is None
        assert study.counted() == 0, "what was never trained is no trial"
        assert [one.name for one in study.drawn_in_vain()] == [name]
        finished(study, space, 0.1)
        assert study.counted() == 1
        assert study.drawn_in_vain() == []


def test_another_search_in_the_folder_is_refused(tmp_path: Path) -> None:
    with open_study(tmp_path, SAMPLING) as study:
        study.check_identity({"space": "a", "budget": "b"})
        study.check_identity({"space": "a", "budget": "b"})
        with pytest.raises(ConfigError, match="holds a search with another budget; give another --output"):
            study.check_identity({"space": "a", "budget": "c"})


def test_hopeless_is_the_worst_third_after_the_first_trials(tmp_path: Path, space: SearchSpace) -> None:
    with open_study(tmp_path, SAMPLING) as study:
        finished(study, space, 0.1, 0.5, 0.6)
        finished(study, space, 0.1, 0.6, 0.7)
        bad_but_early = study.draw(space).name
        assert study.report(bad_but_early, 20, -0.9) == "", "two are done, and three end before any is given up"
        study.end(bad_but_early, Outcome.DONE, value=-0.9)
        finished(study, space, 0.1, 0.7, 0.8)
        middle = study.draw(space).name
        assert study.report(middle, 20, 0.55) == ""
        hopeless = study.draw(space).name
        assert study.report(hopeless, 10, 0.01) == "", "not before the step from which trials are judged"
        assert study.report(hopeless, 20, 0.3) == (
            "step 20: at best 0.3000 so far; two thirds of 4 trials had 0.5000 or more there"
        )
        assert study.report(hopeless, 30, 0.1, last=True) == "", "after its last step it is done"
        assert study.report(hopeless, 20, 0.3), "a step that is reported again, after a kill, is judged again"
        assert study.report(BASE, 20, -1.0) == "", "the configuration itself is trained to its end"
    with open_study(tmp_path, Sampling(3, 3, 20, pruning=False)) as study:
        assert study.report(hopeless, 20, 0.3) == ""


def test_a_trial_whose_process_lives_is_not_taken(tmp_path: Path, space: SearchSpace) -> None:
    with open_study(tmp_path, SAMPLING) as study:
        name = study.draw(space).name
        with study.claim(name):
            assert study.claimed(name)
            assert study.unfinished(space) is None
            with pytest.raises(InfrastructureError), study.claim(name):
                pass
        assert study.unfinished(space) == name


def test_what_has_ended_stays_as_it_is(tmp_path: Path, space: SearchSpace) -> None:
    with open_study(tmp_path, SAMPLING) as study:
        name = finished(study, space, 0.5)
        study.note(BASE)
        study.end(BASE, Outcome.DONE)
        for one in (name, BASE):
            study.end(one, Outcome.FAILED, "its process died")
        assert [(record.outcome, record.said) for record in study.records()] == [(Outcome.DONE, "")] * 2


class _Dead:
    """A process that was killed while it had a trial."""

    exitcode = -9

    def join(self) -> None: ...


@pytest.mark.parametrize(("taken_up", "outcome"), [(True, Outcome.RUNNING), (False, Outcome.FAILED)])
def test_a_dead_trial_that_another_process_has_taken_up_goes_on(
    tmp_path: Path, space: SearchSpace, taken_up: bool, outcome: Outcome
) -> None:
    with open_study(tmp_path, SAMPLING) as study, ExitStack() as stack:
        member = _TrialProcess(_Dead(), None)  # type: ignore[arg-type]
        member.trial = study.draw(space).name
        if taken_up:
            stack.enter_context(study.claim(member.trial))
        assert _died(member, study, SearchTerminal())
        assert [record.outcome for record in study.records()] == [outcome]


def test_the_configuration_itself_is_taken_up_only_by_who_trains_it(tmp_path: Path, space: SearchSpace) -> None:
    with open_study(tmp_path, SAMPLING) as study:
        study.note(BASE)
        name = study.draw(space).name
        assert study.unfinished(space) == BASE
        assert study.unfinished(space, base=False) == name


def test_one_that_was_killed_while_it_was_drawn_is_given_up(tmp_path: Path, space: SearchSpace) -> None:
    with open_study(tmp_path, SAMPLING) as study:
        half = SearchSpace(space.origin, space.parameters[:1], space.text)
        name = study.draw(half).name
        assert study.unfinished(space) is None
        assert [(record.name, record.outcome) for record in study.records()] == [(name, Outcome.LOST)]
        assert study.counted() == 0


def test_one_that_was_killed_while_it_was_told_is_told_again(
    tmp_path: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_study(tmp_path, SAMPLING) as study:
        name = study.draw(space).name
        with monkeypatch.context() as patch:
            patch.setattr("optuna.study.Study.tell", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                study.end(name, Outcome.DONE, value=0.5)
    with open_study(tmp_path, SAMPLING) as study:
        assert study.unfinished(space) == name
        study.end(name, Outcome.DONE, value=0.5)
        assert [record.outcome for record in study.records()] == [Outcome.DONE]


HOLDS_AND_WRITES = """
import sys
from pathlib import Path
from trainer.search.results import Outcome
from trainer.search.space import load_space
from trainer.search.study import Sampling, open_study
folder, space = Path(sys.argv[1]), load_space(sys.argv[2])
with open_study(folder, Sampling(3, 3, 20)) as study:
    print("open", flush=True)
    while True:
        with study.lock():
            name = study.draw(space).name
        with study.claim(name):
            study.report(name, 10, 0.5)
            study.end(name, Outcome.DONE, value=0.5)
        print(name, flush=True)
"""


def test_two_processes_write_and_a_kill_loses_nothing_that_was_told(tmp_path: Path, space: SearchSpace) -> None:
    arguments = [sys.executable, "-c", HOLDS_AND_WRITES, str(tmp_path), space.origin]
    logs = [tmp_path / f"{index}.txt" for index in range(2)]
    processes = []
    for log in logs:
        with log.open("w") as output:
            processes.append(subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT))
    try:
        wait_until(lambda: all(len(log.read_text().splitlines()) > 4 for log in logs))
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    told = [line for log in logs for line in log.read_text().splitlines() if line.isdigit() and len(line) == 3]
    assert len(told) == len(set(told))
    with open_study(tmp_path, SAMPLING) as study:
        records = {record.name: record for record in study.records()}
        assert all(records[name].outcome is Outcome.DONE for name in told)
        assert len(records) - len(told) <= 2 * 2, "what each was at, and what it had not told yet"
        finished(study, space, 0.5)


def test_a_damaged_study_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"no database, but long enough to be looked at" * 100)
    with (
        pytest.raises(ConfigError, match=r"study.db: damaged, or no study .*; give another --output"),
        open_study(tmp_path, SAMPLING),
    ):
        pass


def test_a_study_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, space: SearchSpace) -> None:
    with open_study(tmp_path, SAMPLING) as study:
        finished(study, space, 0.5)
    with pytest.raises(InfrastructureError, match="cannot be read or written"), open_study(tmp_path, SAMPLING) as study:
        (tmp_path / DATABASE).rename(tmp_path / "gone")
        with sqlite3.connect(tmp_path / DATABASE):
            study.draw(space)


def test_importances_name_what_decides(tmp_path: Path, space: SearchSpace) -> None:
    with open_study(tmp_path, Sampling(1, 100, 0)) as study:
        assert study.importances(0.25) == {}
        for _ in range(24):
            record = study.draw(space)
            study.end(record.name, Outcome.DONE, value=float(record.drawn["augmentation.RIR"]))
        found = study.importances(0.25)
        assert next(iter(found)) == "augmentation.RIR"
        assert sum(found.values()) == pytest.approx(1)
