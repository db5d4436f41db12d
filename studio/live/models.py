"""The models of a workspace that can listen: manifests with their model beside them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from studio.gallery.places import free_path, plain_stem
from studio.workspace import Workspace
from wakeword.device_model import DeviceModel, load_model
from wakeword.errors import ConfigError
from wakeword.model.manifest import manifest_content, manifest_of, read_manifest

MANIFEST_BYTES = 64 * 1024
"""A manifest is small; results and records beside it are not read whole to find out that they are none."""
MOST_MODEL_BYTES = 16 * 1024 * 1024
"""Of a model that is added: what the largest flash of a device holds."""
_NOT_IN = frozenset({"datasets", "results", "firmware", "recordings"})
"""Folders of a workspace in which no models lie."""


@dataclass(frozen=True)
class FoundModel:
    """A manifest of the workspace."""

    path: str
    """Below the workspace."""
    wake_word: str
    cutoff: float
    window: int
    step_ms: int


def found_models(workspace: Workspace) -> list[FoundModel]:
    """All models of a workspace, the newest first."""
    found: list[tuple[int, FoundModel]] = []
    for folder, below, names in os.walk(workspace.root):
        here = Path(folder)
        if here == workspace.root:
            below[:] = [name for name in below if name not in _NOT_IN]
        below[:] = sorted(name for name in below if not name.startswith("."))
        tflite = {name for name in names if name.endswith(".tflite")}
        for name in names if tflite else ():
            path = here / name
            if name.endswith(".json") and (model := _model_at(path, workspace)) is not None:
                found.append((path.stat().st_mtime_ns, model))
    return [model for _, model in sorted(found, key=lambda one: (-one[0], one[1].path))]


def open_model(workspace: Workspace, path: str, cutoff: str = "", window: str = "") -> DeviceModel:
    """The model that a page names by its manifest, below the workspace; `cutoff` and `window` as they were typed
    replace the manifest's where they are not empty. Raises `ConfigError`.
    """
    manifest = workspace.inside(path)
    if not manifest.is_file():
        raise ConfigError(
            f"{path}: there is no such manifest in the workspace; choose a model, or put one into models/"
        )
    model = load_model(manifest, _number("cutoff", cutoff), _whole("window", window))
    if not Path(model.model.source).resolve().is_relative_to(workspace.root.resolve()):
        raise ConfigError(f"{path}: names a model that is not in the workspace; put it beside the manifest")
    return model


def _model_at(path: Path, workspace: Workspace) -> FoundModel | None:
    try:
        if path.stat().st_size > MANIFEST_BYTES:
            return None
        manifest, _ = read_manifest(path)
    except (ConfigError, OSError):
        return None
    micro = manifest.micro
    return FoundModel(
        workspace.relative(path),
        manifest.wake_word,
        micro.probability_cutoff,
        micro.sliding_window_size,
        micro.feature_step_size,
    )


def _number(name: str, text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise ConfigError(f"{name} {text!r}: give a number, for example 0.97") from None


def _whole(name: str, text: str) -> int | None:
    try:
        return int(text) if text.strip() else None
    except ValueError:
        raise ConfigError(f"{name} {text!r}: give a whole number, for example 5") from None


@contextmanager
def _named_as_given(folder: Path) -> Iterator[None]:
    """What is wrong with a file of a folder is told without the folder, which nobody knows."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"{folder}/", "")) from error


def add_model(workspace: Workspace, manifest_name: str, manifest: bytes, model: bytes) -> str:
    """Put a model that somebody has elsewhere into the workspace: `models/NAME/` with both files, once they were found
    to be a model that a device loads. Returns the manifest's path below the workspace. Raises `ConfigError`.
    """
    stem = plain_stem(manifest_name)
    workspace.models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=workspace.models) as place:
        folder = Path(place) / stem
        folder.mkdir()
        path = folder / f"{stem}.json"
        path.write_bytes(manifest)
        with _named_as_given(folder):
            parsed = manifest_of(manifest_content(path))
        names = parsed.model if parsed is not None else f"{stem}.tflite"
        if Path(names).name != names or names.startswith(".") or names == path.name:
            raise ConfigError(f"{manifest_name}: names the model {names!r}; it must be the name of a file beside it")
        (folder / names).write_bytes(model)
        with _named_as_given(folder):
            load_model(path)
        final = free_path(workspace.models, stem, "")
        folder.rename(final)
    return workspace.relative(final / path.name)
