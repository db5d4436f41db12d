"""A search from its beginning to its page: checked, trained by processes, the best trial exported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config.loader import CONFIG_NAME, load_config, write_config
from trainer.config.sections import TrainerConfig
from trainer.data.composition import composition
from trainer.data.dataset import TABLE_NAME
from trainer.data.ingest import Ingestion
from trainer.data.parallel import core_count
from trainer.search.budget import Budget
from trainer.search.events import SearchTerminal
from trainer.search.finish import SearchResult, finish
from trainer.search.processes import train_all
from trainer.search.results import BASE
from trainer.search.space import load_space
from trainer.search.study import DATABASE, Sampling, open_study
from trainer.search.trial import SPACE, SearchPlan
from trainer.training.memory import feature_workers
from trainer.training.run import audit_recordings, checked_recordings, split_summary
from wakeword.corpus.recordings import hash_corpus
from wakeword.errors import ConfigError
from wakeword.files import check_writable, write_atomically
from wakeword.locks import wait_for
from wakeword.processes import threads_of_workers

_FORMAT = 3
"""Raise it when what a trial's figure means changes: trials of before and after it cannot be compared."""


@dataclass(frozen=True)
class SearchRequest:
    """What a user asks for."""

    config: str
    overrides: Sequence[Path]
    settings: Sequence[str]
    space: str
    output: Path
    budget: Budget
    trials: int = 20
    processes: int = 1
    seeds: int = 1
    startup: int = 5
    pruning: bool = True
    base: bool = True
    test: bool = False
    jobs: int | None = None
    command: str = ""
    """As it was typed, for the page."""


def search(request: SearchRequest, terminal: SearchTerminal) -> SearchResult:
    """Search in `request.output`; what was interrupted, or killed, goes on. Several processes may do it together.

    Raises `ConfigError` for a space, settings or recordings that cannot be used, and for a folder with another search;
    `KeyboardInterrupt` once the trials at work have saved where they are.
    """
    space = load_space(request.space)
    space.check(request.config, request.overrides, request.settings)
    config = load_config(request.config, request.overrides, request.settings)
    folder = request.output
    _check_folder(folder)
    cores = max(1, core_count() // request.processes)
    plan = SearchPlan(
        folder,
        space,
        request.budget.within(config.size_targets),
        Sampling(config.training.seed, request.startup, config.training.steps // 4, request.pruning),
        request.trials,
        request.seeds,
        request.base,
        request.jobs or config.performance.num_workers or cores,
    )
    ingestion = checked_recordings(config, plan.run_folder(BASE), terminal, plan.jobs)
    for line in (*ingestion.warnings, *split_summary(ingestion.records, composition(ingestion.records, config.paths))):
        terminal.told(line)
    folder.mkdir(parents=True, exist_ok=True)
    with open_study(folder, plan.sampling) as study:
        with study.lock():  # another session may begin with something else
            study.check_identity(_identity(config, plan, ingestion))
        write_config(config, folder / CONFIG_NAME)
        write_atomically(folder / SPACE, space.text)
        if config.speaker_clustering.leakage_audit_enabled:  # once: all trials have these splits
            with threads_of_workers(config.performance.num_threads_per_worker):
                workers = feature_workers(config, ingestion.records, request.jobs)
                audit_recordings(ingestion.records, folder, terminal, workers)
        earlier = study.records()
        terminal.told(f"budget: {plan.budget}")
        if earlier:
            terminal.told(f"going on with the search in {folder}: {study.counted()} of {request.trials} trials so far")
        train_all(plan, study, request.processes, cores, terminal)
        with wait_for(folder / ".finish.lock", lambda: terminal.told("another process finishes the search")):
            return finish(plan, study, terminal, test=request.test, command=request.command)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; name a folder with --output")
    if not (folder / DATABASE).is_file() and any((folder / name).exists() for name in (CONFIG_NAME, TABLE_NAME)):
        raise ConfigError(f"{folder}: holds something else, no search; give another --output")
    check_writable(folder / DATABASE)


def _identity(config: TrainerConfig, plan: SearchPlan, ingestion: Ingestion) -> Mapping[str, Any]:
    """What all trials must have in common. Where files are, and `performance` but for `mixed_precision`, may change."""
    places = {"processed_dir", "checkpoint_dir", "export_dir"}
    values = config.model_dump(mode="json", exclude={"performance": True, "paths": places})
    contents = [f"{record.label} {record.split} {record.content}" for record in ingestion.records]
    drawn = [repr(parameter) for parameter in plan.space.parameters]
    return {
        "format": _FORMAT,
        "configuration": _digest(values),
        "space": _digest(drawn),
        "performance.mixed_precision": config.performance.mixed_precision,
        "budget": str(plan.budget),
        "number of seeds": plan.seeds,
        "corpus": hash_corpus(contents),
    }


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
