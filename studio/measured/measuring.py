"""Measuring a model on a dataset of the workspace: the commands that do it, as one job."""

from __future__ import annotations

import hashlib
from pathlib import Path

from studio.jobs.desk import StudioJob
from studio.jobs.records import JobStep
from studio.live.datasets import dataset_folder
from studio.live.models import open_model
from studio.workspace import Workspace
from trainer.data.ingest import Label
from wakeword.corpus.provenance import Stated
from wakeword.device_model import DeviceModel
from wakeword.errors import ConfigError

KIND = "measure"
_LANE = "measuring"
_PARTS = (
    (Label.POSITIVE, "words", ("--truth", "wake", "--mode", "session")),
    (Label.NEGATIVE, "others", ("--truth", "none", "--mode", "stream")),
)
"""As validation presents them, so that the report's figures are an export's. Hard negatives are left out: they are
there because a model woke at them, and say nothing of how often one wakes."""


def measuring_steps(workspace: Workspace, manifest: str, dataset: str, stated: Stated | None) -> tuple[JobStep, ...]:
    """What measures a model on a dataset. Raises `ConfigError` for a model that cannot be run, and for a dataset
    without recordings.
    """
    model = open_model(workspace, manifest)
    folder = dataset_folder(workspace, dataset)
    name = _result_name(model, folder.name)
    steps: list[JobStep] = []
    made: list[str] = []
    for label, part, how in _PARTS:
        recordings = folder / label.value
        if not recordings.is_dir() or not any(one.is_file() for one in recordings.rglob("*")):
            continue
        result = f"{workspace.relative(workspace.results)}/{name}_{part}.json"
        origin = () if stated is None else ("--provenance", stated)
        command = ("mww-simulate", manifest, workspace.relative(recordings), *how, "--resample", *origin)
        steps.append(JobStep(title=f"Simulate on {part}", command=(*command, "--result", result)))
        made.append(result)
    if not made:
        raise ConfigError(
            f"dataset {folder.name!r} holds neither wake words nor negatives; record or import some first"
        )
    report = f"{workspace.relative(workspace.results)}/{name}.html"
    steps.append(JobStep(title="Report", command=("mww-report", *made, "--output", report)))
    return tuple(steps)


def _result_name(model: DeviceModel, dataset: str) -> str:
    """What its results are called: the same when the same is measured again, and another one for another model of the
    same file name, another operating point and another dataset.
    """
    point, micro = model.point, model.manifest.micro
    what = (model.model.sha256, point.cutoff, point.window, micro.feature_step_size, dataset)
    digest = hashlib.sha256(repr(what).encode()).hexdigest()
    return f"{model.manifest_path.stem}_{dataset}".replace(" ", "_") + f"_{digest[:8]}"


def begin_measuring(workspace: Workspace, manifest: str, dataset: str, stated: Stated | None) -> StudioJob:
    """Begin to measure a model on a dataset. Raises as `measuring_steps` does."""
    steps = measuring_steps(workspace, manifest, dataset, stated)
    workspace.results.mkdir(parents=True, exist_ok=True)
    title = f"{Path(manifest).stem} on {dataset}"
    return workspace.desk.place(title, KIND, steps, _LANE, workspace.relative(workspace.results))
