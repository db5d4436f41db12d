"""The end of a search: the best trial exported, measured on test where that is asked for, the page and the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.config.sections import TrainerConfig
from trainer.data.parallel import Stages
from trainer.data.split import Split
from trainer.evaluation.evaluate import evaluate
from trainer.exporting import Exported, default_name, export_run
from trainer.inference.runs import find_candidate, open_model
from trainer.search.page import PAGE, SearchPage, write_page
from trainer.search.results import BASE, NEVER_TRAINED, Outcome, TrialRecord, best_of, summary
from trainer.search.sentences import evaluation, figure_name, flattery, headline, measured_line
from trainer.search.study import SearchStudy
from trainer.search.table import TABLE, write_table
from trainer.search.trial import TRIALS, SearchPlan
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError, MeasurementFailure
from wakeword.locks import hold_folder
from wakeword.model.float_model import read_record

BEST = "best"


@dataclass(frozen=True)
class SearchResult:
    """What a search came to."""

    records: Sequence[TrialRecord]
    best: TrialRecord
    weights: Path
    model: Path
    """The exported model of the best trial."""
    page: Path
    exported: Exported | None
    """None where an earlier session exported the same weights."""
    measured: Sequence[dict[str, Any]]
    """On the test split: the best trial, and the configuration itself."""
    at_work: Sequence[str] = ()
    """Trials that other processes still train."""
    figure_name: str = ""
    """What they are compared by."""

    def lines(self) -> Iterator[str]:
        """What the command prints in the end."""
        yield f"Trials: {summary(self.records)}"
        yield headline(self.records, self.best, self.figure_name)
        yield flattery(self.records)
        if self.measured:
            yield "On the test split, which chose nothing, float model:"
            yield from (f"  {measured_line(one)}" for one in self.measured)
        if self.at_work:
            yield f"Other processes still train trial {', '.join(self.at_work)}; who ends last has the last word."
        yield f"Weights: {self.weights}\nModel: {self.model}\nPage: {self.page}"
        if not self.measured:
            yield f"Next: {evaluation(self.weights)}"


def finish(plan: SearchPlan, study: SearchStudy, stages: Stages, *, test: bool, command: str) -> SearchResult:
    """Export the best trial into the folder `best`, and write page and table, also where the export is refused: then
    they say so, and why.

    Raises `ConfigError` where no trial was trained to its end, and as `export_run` and `evaluate` do.
    """
    records = study.records()
    best = best_of(records)
    if best is None:
        ends = {record.outcome for record in records}
        trained = [record for record in records if record.outcome not in NEVER_TRAINED]
        said = f"; the last one: {trained[-1].said}" if trained and trained[-1].outcome is Outcome.FAILED else ""
        raise ConfigError(
            f"{plan.folder}: no trial was trained to its end ({', '.join(sorted(ends)) or 'there is none'}){said};"
            " raise --trials, or change the space"
        )
    config, weights = plan.config(best.drawn), weights_of(plan, best)
    try:
        exported, model = _export(plan, config, weights, stages)
    except MeasurementFailure as refused:
        told = [replace(record, said=f"not exported: {refused}") if record is best else record for record in records]
        write_table(plan.folder / TABLE, told)
        write_page(SearchPage(plan, config, best, weights, None, command, str(refused)), study, plan.folder / PAGE)
        raise
    measured = [_measured(plan, study, record, stages) for record in _to_test(records, best)] if test else []
    write_table(plan.folder / TABLE, records)
    write_page(SearchPage(plan, config, best, weights, model, command), study, plan.folder / PAGE)
    at_work = [record.name for record in records if record.outcome is Outcome.RUNNING and study.claimed(record.name)]
    name = figure_name(best, config)
    return SearchResult(records, best, weights, model, plan.folder / PAGE, exported, measured, at_work, name)


def weights_of(plan: SearchPlan, record: TrialRecord) -> Path:
    """The weights of a trial's best seed."""
    return plan.folder / TRIALS / record.best_run.folder / record.best_run.weights


def _export(plan: SearchPlan, config: TrainerConfig, weights: Path, stages: Stages) -> tuple[Exported | None, Path]:
    output, name = plan.folder / BEST, default_name(config.export.wake_word)
    model = output / f"{name}.tflite"
    record = read_record(model)
    if record is not None and record.weights_sha256 == hash_file(weights) and record.model_sha256 == hash_file(model):
        return None, model
    stages.told(f"exporting {weights}")
    with hold_folder(output, "wait until it has ended"):
        exported = export_run(weights, _own(weights), output, name, stages, plan.jobs)
    return exported, exported.package.model


def _own(weights: Path) -> TrainerConfig:
    """The configuration of the run, whose seed and splits are its own."""
    return find_candidate(weights, None, None, (), (), None).config


def _to_test(records: Sequence[TrialRecord], best: TrialRecord) -> list[TrialRecord]:
    base = [record for record in records if record.name == BASE and record.outcome is Outcome.DONE]
    return [best, *(record for record in base if record is not best)]


def _measured(plan: SearchPlan, study: SearchStudy, record: TrialRecord, stages: Stages) -> dict[str, Any]:
    """Of the float model on the test split, once: what was measured before is not measured again."""
    weights = weights_of(plan, record)
    sha256 = hash_file(weights)
    for known in study.tested():
        if known["weights_sha256"] == sha256:
            return known
    stages.told(f"measuring trial {record.name} on the test split")
    candidate = find_candidate(weights, None, None, (), (), None)
    evaluation = evaluate(
        candidate, open_model(candidate, plan.jobs), Split.TEST, jobs=plan.jobs, progress=lambda _: None
    )
    device = evaluation.device
    measured = {
        "name": record.name,
        "weights_sha256": sha256,
        "found": device.recall.found,
        "utterances": device.recall.utterances,
        "false_accepts": len(device.false_accepts),
        "hours": device.hours,
    }
    study.note_tested(measured)
    return measured
