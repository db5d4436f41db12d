"""What a form of settings asks for: a command, or what is wrong at which field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.jobs.desk import TRAINING, StudioJob
from studio.jobs.records import JobStep
from studio.training.form import SettingForm, form_of
from studio.workspace import MODELS_FOLDER, RUNS_FOLDER, Workspace
from trainer.config.checks import check_config
from trainer.config.loader import load_config
from trainer.data.ingest import Label, find_files
from trainer.networks.weights import CHECKPOINTS
from wakeword.errors import ConfigError

TRAIN, COST = "train", "cost"
"""Kinds of jobs."""
NAME, PRESET, EXPORT = "name", "preset", "export_after"
"""Fields of the form beside the settings."""
_GOOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_KEY = re.compile(r"\b[a-z_]+(?:\.\w+)+")


@dataclass(frozen=True)
class AskedTraining:
    """A training that passed every check which reads no recording."""

    name: str
    preset: str
    settings: tuple[str, ...]
    """`KEY=VALUE`, of those that are not as the preset has them."""
    export: bool
    """Whether its best weights are exported at its end."""

    @property
    def folder(self) -> Path:
        """Of its run, from the workspace."""
        return RUNS_FOLDER / self.name

    @property
    def command(self) -> tuple[str, ...]:
        """What trains it."""
        given = [part for setting in self.settings for part in ("--set", setting)]
        return ("mww-train", "--config", self.preset, "--output", str(self.folder), *given)

    @property
    def steps(self) -> tuple[JobStep, ...]:
        """The commands of its job."""
        train = JobStep(title="Train", command=self.command)
        weights = self.folder / CHECKPOINTS / "best_weights.weights.h5"
        export = (
            "mww-export",
            "--checkpoint",
            str(weights),
            "--output",
            str(MODELS_FOLDER / self.name),
            "--model-name",
            self.name,
        )
        return (train, JobStep(title="Export", command=export)) if self.export else (train,)


def asked_training(workspace: Workspace, form: Mapping[str, str]) -> tuple[AskedTraining | None, dict[str, str]]:
    """What a form asks for, and what is wrong with it, a line a field; "" is what concerns no single field. The faults
    are those that `mww-train` would tell.
    """
    preset = form.get(PRESET, "standard")
    shown = form_of(preset)
    faults = _faulty_name(workspace, form.get(NAME, ""))
    settings = _changed(shown, form)
    faults |= _faulty_settings(preset, settings, shown) or _faulty_folders(preset, settings, shown)
    if faults:
        return None, faults
    by_key = {field.key: field for field in shown.fields()}
    kept = tuple(by_key[key].setting(value) for key, value in settings.items())
    return AskedTraining(form[NAME], preset, kept, form.get(EXPORT, "") == "on"), {}


def begin_training(workspace: Workspace, asked: AskedTraining) -> StudioJob:
    """Begin a training, or line it up."""
    return workspace.desk.place(f"Train {asked.name}", TRAIN, asked.steps, TRAINING, str(asked.folder))


def begin_dry_run(workspace: Workspace, asked: AskedTraining) -> StudioJob:
    """Ask what a training would do and cost."""
    step = JobStep(title="Dry run", command=(*asked.command, "--dry-run"))
    return workspace.desk.place(f"Cost of {asked.name}", COST, [step])


def _faulty_name(workspace: Workspace, name: str) -> dict[str, str]:
    if not _GOOD_NAME.fullmatch(name):
        return {NAME: "give letters, digits, '_', '-' and '.', beginning with a letter or digit"}
    # A training that waits for its turn has no folder yet.
    waits = any((job.order.kind, job.order.folder) == (TRAIN, str(RUNS_FOLDER / name)) for job in workspace.desk.jobs())
    if waits or (workspace.runs / name).exists():
        return {NAME: f"there is a run {name}; give another name, or go on with it on its own page"}
    return {}


def _changed(shown: SettingForm, form: Mapping[str, str]) -> dict[str, str]:
    """The settings that are not as the preset has them."""
    given = {field.key: form[field.key].strip() for field in shown.fields() if field.key in form}
    before = {field.key: field.value for field in shown.fields()}
    return {key: value for key, value in given.items() if value != before[key]}


def _faulty_settings(preset: str, settings: Mapping[str, str], shown: SettingForm) -> dict[str, str]:
    """All faults: a setting with one is left out, and the others are looked at again."""
    known = {field.key: field for field in shown.fields()}
    left, faults = dict(settings), dict[str, str]()
    for _ in range(len(known)):
        layers = {key: known[key].setting(value) for key, value in left.items()}
        try:
            check_config(load_config(preset, (), list(layers.values())))
        except ConfigError as error:
            line = str(error)
            key = next((one for one in _KEY.findall(line) if one in known and one not in faults), "")
            faults[key] = _at_field(line, key, layers.get(key, ""))
            if key not in left:
                break
            del left[key]
        else:
            break
    return faults


def _faulty_folders(preset: str, settings: Mapping[str, str], shown: SettingForm) -> dict[str, str]:
    """Folders that hold no recordings, or are not there."""
    by_key = {field.key: field for field in shown.fields()}
    paths = load_config(preset, (), [by_key[key].setting(value) for key, value in settings.items()]).paths
    faults = {}
    for key, folders, label in (
        ("paths.positive_dir", paths.positive_dir, Label.POSITIVE),
        ("paths.negative_dir", paths.negative_dir, Label.NEGATIVE),
    ):
        for folder in folders:
            try:
                found = find_files(folder.absolute(), label).files
            except ConfigError as error:
                faults[key] = str(error)
                break
            if not found:
                faults[key] = f"{folder}: holds no recordings"
                break
    return faults


def _at_field(line: str, key: str, setting: str) -> str:
    """A line without what the field says itself: the option, the key, and how to give what is missing."""
    if f"{key} is missing" in line:
        return "is missing; give it here"
    line = line.removeprefix(f"--set {setting}: ") if setting else line
    return line.removeprefix(f"{key}: ").removeprefix(f"{key} ")
