"""The runs of a workspace, from what each training leaves in its folder."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from studio.chain import CHAIN
from studio.jobs.desk import StudioJob
from studio.training.asked import TRAIN
from studio.workspace import Workspace
from trainer.config.sections import TrainerConfig
from trainer.networks.weights import CHECKPOINTS
from trainer.training.run_files import TABLE
from wakeword.errors import ConfigError
from wakeword.reading import parse_yaml, read_text

CONFIG = "config.yaml"
_FIGURES = ("recall", "false_accepts_per_hour", "average_viable_recall", "hours")
_PLACES = ("runs/*", "words/*/run")


@dataclass(frozen=True)
class EvaluatedStep:
    """A row of a run's table of evaluations on validation data."""

    step: int
    best: bool
    """Whether it was the best one when it was made."""
    recall: float
    false_accepts_per_hour: float
    average_viable_recall: float
    hours: float


@dataclass(frozen=True)
class RunFolder:
    """A run's folder."""

    path: str
    """From the workspace."""
    values: dict[str, Any]
    """Its resolved configuration, by section; empty before it has begun, and where it cannot be read."""
    evaluations: tuple[EvaluatedStep, ...]
    has_weights: bool
    job: StudioJob | None
    """What trains it, or did; None for one of the command line."""
    problem: str = ""
    """What is wrong with its folder; "" where nothing is."""

    @property
    def name(self) -> str:
        """As a reader calls it: a run of the page Start has its phrase's name."""
        parts = Path(self.path).parts
        return parts[1] if len(parts) > 1 else self.path

    @property
    def wake_word(self) -> str:
        """What it learns."""
        return str(self.value("export.wake_word") or "")

    @property
    def planned_steps(self) -> int:
        """Of all its phases; 0 where it is not known yet."""
        steps = self.value("training.training_steps")
        return sum(one for one in steps if isinstance(one, int)) if isinstance(steps, list) else 0

    @property
    def last_step(self) -> int:
        """That was evaluated."""
        return self.evaluations[-1].step if self.evaluations else 0

    @cached_property
    def best(self) -> EvaluatedStep | None:
        """The evaluation whose weights are kept: the last one that was the best when it was made."""
        return next((one for one in reversed(self.evaluations) if one.best), None)

    def value(self, key: str) -> object:
        """A setting, `section.name`; None before it has begun."""
        found: Any = self.values
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found


def runs_of(workspace: Workspace) -> list[RunFolder]:
    """All runs, the one that was changed last first."""
    jobs = workspace.desk.jobs()
    folders = [folder for place in _PLACES for folder in workspace.root.glob(place) if folder.is_dir()]
    known = {workspace.relative(folder): folder for folder in folders}
    # One that waits for its turn has no folder yet.
    known |= {job.order.folder: workspace.root / job.order.folder for job in jobs if job.order.kind == TRAIN}
    runs = [_run(workspace, path, jobs) for path in known]
    return sorted(runs, key=lambda run: _changed(workspace, run), reverse=True)


def run_of(workspace: Workspace, path: str) -> RunFolder:
    """One run. Raises `ConfigError` where there is none."""
    run = _run(workspace, path, workspace.desk.jobs())
    if run.job is None and not (workspace.inside(path) / CONFIG).is_file():
        raise ConfigError(f"{path}: there is no such run")
    return run


def differing(runs: Sequence[RunFolder]) -> list[str]:
    """The settings in which runs differ, as `section.name`; of folders none, which always do."""
    keys = [
        f"{section}.{name}"
        for section, field in TrainerConfig.model_fields.items()
        if section != "paths"
        for name in getattr(field.annotation, "model_fields", {})
    ]
    return [key for key in keys if len({repr(run.value(key)) for run in runs}) > 1]


def _run(workspace: Workspace, path: str, jobs: Sequence[StudioJob]) -> RunFolder:
    folder = workspace.inside(path)
    mine = (
        job for job in jobs if (job.order.kind, job.order.folder) in ((TRAIN, path), (CHAIN, str(Path(path).parent)))
    )
    values, problem = dict[str, Any](), ""
    try:
        values = _configuration(folder / CONFIG)
    except ConfigError as error:
        problem = str(error)
    return RunFolder(
        path,
        values,
        _evaluations(folder / TABLE),
        (folder / CHECKPOINTS / "best_weights.weights.h5").is_file(),
        next(mine, None),
        problem,
    )


def _configuration(file: Path) -> dict[str, Any]:
    """Raises `ConfigError` where it is damaged."""
    if not file.is_file():
        return {}
    values = parse_yaml(read_text(file, "the run's folder is damaged"), str(file))
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: holds no settings; the run's folder is damaged")
    return values


def _evaluations(file: Path) -> tuple[EvaluatedStep, ...]:
    """The rows that are whole: the last one may just be written."""
    if not file.is_file():
        return ()
    found = []
    with file.open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            try:
                figures = [float(row[name]) for name in _FIGURES]
                if all(map(math.isfinite, figures)):
                    found.append(EvaluatedStep(int(row["step"]), row["best"] == "1", *figures))
            except (KeyError, TypeError, ValueError):
                continue
    return tuple(found)


def _changed(workspace: Workspace, run: RunFolder) -> float:
    folder = workspace.root / run.path
    times = [file.stat().st_mtime for file in (folder / TABLE, folder / CONFIG, folder) if file.exists()]
    if run.job is not None:
        times.append(run.job.order.created.timestamp())
    return max(times, default=0.0)
