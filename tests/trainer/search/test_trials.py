"""Trials that are really trained: one that learns, one that is hopeless, one over the budget, one that was killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.trainer.search.tones import write_corpus
from trainer.analysis.boards import BOARDS
from trainer.config.loader import CONFIG_NAME, load_config, write_config
from trainer.data.store import FeatureStore
from trainer.networks.weights import CHECKPOINTS
from trainer.search import finish as finish_module
from trainer.search import trial as trial_module
from trainer.search.budget import Budget
from trainer.search.finish import finish, weights_of
from trainer.search.results import BASE, Outcome, TrialRecord
from trainer.search.space import Drawn, load_space
from trainer.search.study import STUDY_NAME, Sampling, SearchStudy, open_study
from trainer.search.trial import SearchPlan, work_once
from trainer.training.checkpoints import STATE, steps_done
from trainer.training.run import DUPLICATES_NAME
from wakeword.errors import ConfigError, InfrastructureError, MeasurementFailure

SPACE = """
training.learning_rates[0]: {choices: [0.02, 0.03, 1.0e-9, 1.0e+30]}
model.pointwise_filters[*]: {int: [4, 64], step: 2}
"""
COMPARED = "what the search has found\n"
RATE, FILTERS = "training.learning_rates[0]", "model.pointwise_filters[*]"
ENQUEUED = (("0.02", 6), ("0.03", 6), ("0.02", 64), ("1e-09", 6), ("1e+30", 6), ("0.03", 4))
"""Two that learn, one over the budget, one that learns nothing, one whose loss is no number, one that is killed."""


@dataclass
class Said:
    """Keeps what is told."""

    lines: list[str] = field(default_factory=list)
    interrupt_at: int = -1

    def told(self, message: str) -> None:
        self.lines.append(message)

    def began(self, name: str) -> None:
        self.lines.append(f"began {name}")

    def stands(self, name: str, line: str, done: int = 0, total: int = 0) -> None:
        pass

    def ended(self, name: str) -> None:
        self.lines.append(f"ended {name}")

    def counting(self, stage: str) -> Callable[[int, int], None]:  # noqa: ARG002
        return lambda _done, _total: None


@dataclass(frozen=True)
class Searched:
    plan: SearchPlan
    said: Said
    features: list[tuple[str, int]]
    """What was computed for the store, by trial: the name of the first set, and how many lines had been told."""


def plan_of(root: Path, seeds: int = 1, trials: int = 5, written: str = SPACE, more: Sequence[str] = ()) -> SearchPlan:
    settings = [*write_corpus(root), *more]
    (root / "space.yaml").write_text(written)
    folder = root / "search"
    folder.mkdir()
    config = load_config("standard", (), settings)
    write_config(config, folder / CONFIG_NAME)
    space = load_space(str(root / "space.yaml"))
    space.check("standard", (), settings)
    return SearchPlan(
        folder, space, Budget.of(BOARDS[0], max_flash_kb=20), Sampling(0, 2, 15), trials, seeds=seeds, jobs=1
    )


def enqueue(plan: SearchPlan, *wanted: tuple[str, int]) -> None:
    """Let the study draw these first."""
    draws: list[Drawn] = [{RATE: rate, FILTERS: filters} for rate, filters in wanted]
    enqueue_draws(plan, *draws)


def enqueue_draws(plan: SearchPlan, *wanted: Drawn) -> None:
    """As `enqueue`, for any space."""
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{plan.folder / 'study.db'}")
    study = optuna.load_study(storage=storage, study_name=STUDY_NAME)
    for drawn in wanted:
        study.enqueue_trial(dict(drawn))
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, steps_not_compiled: None) -> Iterator[Searched]:  # noqa: ARG001
    root = tmp_path_factory.mktemp("searched")
    plan, said, features = (
        plan_of(root, more=("speaker_clustering.leakage_audit_enabled=true",)),
        Said(),
        list[tuple[str, int]](),
    )
    sets = FeatureStore.sets

    def counted(self: FeatureStore, key: str, names: object, make: object, *more: object) -> object:
        def made() -> object:
            features.append((str(names), len(said.lines)))
            return make()  # type: ignore[operator]

        return sets(self, key, names, made, *more)  # type: ignore[arg-type]

    (plan.folder / DUPLICATES_NAME).write_text(COMPARED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MWW_CACHE_DIR", str(root / "cache"))
        patch.setattr(FeatureStore, "sets", counted)
        with open_study(plan.folder, plan.sampling) as study:
            assert work_once(plan, study, said), "the configuration itself"
            enqueue(plan, *ENQUEUED)
            for _ in range(4):
                assert work_once(plan, study, said)
        # Whether the last one would be given up is chance.
        with open_study(plan.folder, replace(plan.sampling, pruning=False)) as study:
            with patch.context() as stopping:
                interrupt_once(stopping)
                with pytest.raises(KeyboardInterrupt):
                    work_once(plan, study, said)
            assert records(study)["005"].outcome is Outcome.RUNNING
            assert work_once(plan, study, said)
            assert not work_once(plan, study, said), "no trial is left"
        yield Searched(plan, said, features)


def interrupt_once(patch: pytest.MonkeyPatch) -> None:
    """At the second evaluation of the next trial, before anything of it is known."""
    report, seen = SearchStudy.report, list[int]()

    def interrupted(self: SearchStudy, name: str, step: int, figure: float, last: bool = False) -> str:
        seen.append(step)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return report(self, name, step, figure, last)

    patch.setattr(SearchStudy, "report", interrupted)


def records(study: SearchStudy) -> dict[str, TrialRecord]:
    return {record.name: record for record in study.records()}


def test_each_trial_ends_as_it_must(searched: Searched) -> None:
    with open_study(searched.plan.folder, searched.plan.sampling) as study:
        found = records(study)
    assert {name: record.outcome for name, record in found.items()} == {
        BASE: Outcome.DONE,
        "000": Outcome.DONE,
        "001": Outcome.DONE,
        "002": Outcome.OVER_BUDGET,
        "003": Outcome.PRUNED,
        "004": Outcome.FAILED,
        "005": Outcome.DONE,
    }
    assert found["002"].said.startswith("flash ")
    assert "two thirds of 2 trials had" in found["003"].said
    assert found["004"].said.startswith("the loss or its gradient was not finite")
    assert not searched.plan.run_folder("002").exists(), "what is over the budget is never trained"
    hopeless = searched.plan.run_folder("003") / CHECKPOINTS / STATE
    assert 0 < steps_done(hopeless) < 60
    assert all(record.figure > 0.5 for record in found.values() if record.outcome is Outcome.DONE), "tones are learned"


def test_an_interrupted_trial_goes_on_where_it_was(searched: Searched) -> None:
    lines = searched.said.lines
    again = len(lines) - lines[::-1].index("began 005")
    assert lines.index("began 005") + 1 < again
    assert lines[again + 1] == "trial 005: going on after step 30"


def test_what_agrees_is_computed_once(searched: Searched) -> None:
    """The recordings' features: no trial after the first computes any."""
    lines = searched.said.lines
    assert searched.features
    assert all(told < lines.index(f"ended {BASE}") for _, told in searched.features)


def test_recordings_are_not_compared_again(searched: Searched) -> None:
    runs = [searched.plan.run_folder(name) for name in (BASE, "000", "005")]
    assert [(run / DUPLICATES_NAME).read_text() for run in runs] == [COMPARED] * 3


def test_a_trial_is_a_run_like_any_other(searched: Searched) -> None:
    from typer.testing import CliRunner

    from trainer.evaluation.cli import evaluate_app

    run = searched.plan.run_folder("000")
    weights = run / CHECKPOINTS / "best_weights.weights.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MWW_CACHE_DIR", str(searched.plan.folder.parent / "cache"))
        done = CliRunner().invoke(evaluate_app, ["--checkpoint", str(weights), "--json", "--jobs", "1"])
    assert done.exit_code == 0, done.output
    with open_study(searched.plan.folder, searched.plan.sampling) as study:
        (kept,) = records(study)["000"].runs
    recall = json.loads(done.stdout)["device"]["recall"]
    assert recall["found"] / recall["utterances"] == pytest.approx(kept.scores.recall)
    assert load_config(str(run / CONFIG_NAME)).training.learning_rates == (0.02,)


def test_the_best_is_exported_measured_once_and_shown(searched: Searched) -> None:
    said = Said()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MWW_CACHE_DIR", str(searched.plan.folder.parent / "cache"))
        with open_study(searched.plan.folder, searched.plan.sampling) as study:
            result = finish(searched.plan, study, said, test=True, command="mww-search <here>")
            again = finish(searched.plan, study, said, test=True, command="mww-search <here>")
            tested = study.tested()
    assert result.exported is not None
    assert again.exported is None, "the same weights are not exported twice"
    assert result.measured == again.measured
    assert len(tested) == len(result.measured) == (1 if result.best.name == BASE else 2)
    assert result.model.is_file()
    assert result.model.with_suffix(".json").is_file()
    page = result.page.read_text()
    assert page.count("<svg") == 6, "three costs, each drawn for wide and for narrow screens"
    for text in (
        "loud",
        "its figure there flatters it",
        "On the test split, float model, ",
        "Too few trials are done",
        "over budget",
        "the loss or its gradient was not finite",
        "mww-search &lt;here&gt;",
        "1.0e+30",
    ):
        assert text in page, text
    assert "http" not in page.replace("Content-Security", "").replace("http-equiv", "")
    rows = (searched.plan.folder / "trials.csv").read_text().splitlines()
    assert rows[0].startswith("trial,outcome,figure,recall,false_accepts_per_hour,flash_bytes,arena_bytes,cycles_per")
    assert len(rows) == 8


def test_a_budget_that_nothing_keeps_ends_the_search(
    searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "MOST_IN_VAIN", 3)
    plan = replace(searched.plan, folder=tmp_path, budget=Budget.of(BOARDS[0], max_flash_kb=1), base=False)
    write_config(load_config(str(searched.plan.folder / CONFIG_NAME)), tmp_path / CONFIG_NAME)
    with open_study(tmp_path, plan.sampling) as study:
        with pytest.raises(ConfigError, match=r"none of the last 3 draws of .* could be trained, at last: flash "):
            work_once(plan, study, Said())
        with pytest.raises(ConfigError, match="no trial was trained to its end"):
            finish(plan, study, Said(), test=False, command="")


@pytest.mark.usefixtures("steps_not_compiled")
def test_seeds_share_their_splits_and_their_mean_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWW_CACHE_DIR", str(tmp_path / "cache"))
    plan = plan_of(tmp_path, seeds=2)
    with open_study(plan.folder, plan.sampling) as study:
        assert work_once(plan, study, Said())
        (base,) = study.records()
    first, second = base.runs
    assert (first.seed, second.seed, first.folder, second.folder) == (0, 1, "base", "base-seed1")
    assert base.figure == pytest.approx((first.figure + second.figure) / 2)
    tables = [
        sorted(
            line.split(",")[:3] for line in (plan.run_folder(BASE, seed) / "recordings.csv").read_text().splitlines()
        )
        for seed in range(2)
    ]
    assert sorted(tables[0]) == sorted(tables[1])
    weights = [plan.run_folder(BASE, seed) / CHECKPOINTS / "best_weights.weights.h5" for seed in range(2)]
    assert weights[0].read_bytes() != weights[1].read_bytes()


MIX = """
mix:
  choices:
    a: {training.batch_size: 16}
    b: {training.batch_ratios: [1, 2, 1]}
    c: {training.batch_ratios: [2, 3, 1]}
"""
"""Of a corpus without hard negatives, only the recordings tell that two of them cannot be trained."""


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps_not_compiled: None) -> SearchPlan:  # noqa: ARG001
    monkeypatch.setenv("MWW_CACHE_DIR", str(tmp_path / "cache"))
    return replace(plan_of(tmp_path, written=MIX), base=False)


def test_what_only_the_recordings_refuse_ends_the_trial_and_not_the_search(mixed: SearchPlan) -> None:
    said = Said()
    with open_study(mixed.folder, mixed.sampling) as study:
        enqueue_draws(mixed, {"mix": "b"}, {"mix": "c"}, {"mix": "a"})
        assert work_once(mixed, study, said), "the third one is trained"
        found = records(study)
    assert {name: record.outcome for name, record in found.items()} == {
        "000": Outcome.REFUSED,
        "001": Outcome.REFUSED,
        "002": Outcome.DONE,
    }
    assert found["001"].said.startswith("training.batch_ratios [2, 3, 1] want hard negatives")
    assert f"trial 000: refused: {found['000'].said}" in said.lines


def test_what_the_configuration_itself_meets_too_ends_the_search(mixed: SearchPlan) -> None:
    (mixed.folder.parent / "dataset").rename(mixed.folder.parent / "elsewhere")
    with open_study(mixed.folder, mixed.sampling) as study:
        enqueue_draws(mixed, {"mix": "a"})
        with pytest.raises(ConfigError, match="dataset"):
            work_once(mixed, study, Said())
        assert records(study)["000"].outcome is Outcome.RUNNING
    (mixed.folder.parent / "elsewhere").rename(mixed.folder.parent / "dataset")
    with open_study(mixed.folder, mixed.sampling) as study:
        assert work_once(mixed, study, Said())
        assert records(study)["000"].outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("error", "ends_search"), [(ValueError("what\nis it"), False), (MemoryError(), False), (OSError("full"), True)]
)
def test_what_nobody_foresaw_ends_the_trial_and_a_full_disk_the_search(
    mixed: SearchPlan, monkeypatch: pytest.MonkeyPatch, error: Exception, ends_search: bool
) -> None:
    def breaks(*_: object) -> None:
        raise error

    monkeypatch.setattr(trial_module, "train_run", breaks)
    with open_study(mixed.folder, mixed.sampling) as study:
        enqueue_draws(mixed, {"mix": "a"})
        if ends_search:
            with pytest.raises(OSError, match="full"):
                work_once(mixed, study, Said())
        else:
            assert work_once(mixed, study, Said())
        (record,) = study.records()
    assert record.outcome is (Outcome.RUNNING if ends_search else Outcome.FAILED)
    trace = mixed.run_folder("000") / "traceback.txt"
    if not ends_search:
        assert record.said == f"{type(error).__name__}: {str(error).partition(chr(10))[0]}; {trace} has the rest"
        assert "breaks" in trace.read_text()


def test_a_study_that_cannot_be_written_is_no_fault_of_a_trial(
    mixed: SearchPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(study: SearchStudy, *_: object) -> object:
        (mixed.folder / "study.db").rename(mixed.folder / "gone")
        return study.report("000", 15, 0.5)

    with open_study(mixed.folder, mixed.sampling) as study:
        enqueue_draws(mixed, {"mix": "a"})
        monkeypatch.setattr(trial_module, "train_run", lambda *_: gone(study))
        with pytest.raises(InfrastructureError, match="cannot be read or written"):
            work_once(mixed, study, Said())


def raise_failure(said: str) -> None:
    raise MeasurementFailure(said)


@pytest.mark.usefixtures("steps_not_compiled")
def test_of_a_run_that_ends_with_a_fine_tuning_its_weights_count_and_no_evaluation_of_it_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MWW_CACHE_DIR", str(tmp_path / "cache"))
    more = ("training.quantization_aware_steps=30", "training.training_steps=[30]")
    plan, reported = replace(plan_of(tmp_path, written=MIX, more=more), base=False), list[int]()
    report = SearchStudy.report

    def counted(self: SearchStudy, name: str, step: int, figure: float, last: bool = False) -> str:
        reported.append(step)
        return report(self, name, step, figure, last)

    monkeypatch.setattr(SearchStudy, "report", counted)
    with open_study(plan.folder, plan.sampling) as study:
        enqueue_draws(plan, {"mix": "a"})
        assert work_once(plan, study, Said())
        (record,) = study.records()
        assert record.outcome is Outcome.DONE
        assert record.best_run.weights == "quantization_aware/best_weights.weights.h5"
        assert weights_of(plan, record).is_file()
        refused = "the exported model finds less"
        with monkeypatch.context() as patch, pytest.raises(MeasurementFailure, match=refused):
            patch.setattr(finish_module, "export_run", lambda *_: raise_failure(refused))
            finish(plan, study, Said(), test=False, command="")
        assert f"Its model was not exported: {refused}." in (plan.folder / "search.html").read_text()
        assert f"not exported: {refused}" in (plan.folder / "trials.csv").read_text()
        result = finish(plan, study, Said(), test=False, command="")
    assert result.weights == weights_of(plan, record)
    assert "not exported" not in result.page.read_text() + (plan.folder / "trials.csv").read_text()
    assert reported == [15, 30, 30], "of the fine-tuning its last step alone, which is never given up"
