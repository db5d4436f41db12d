"""ESPHome V2 manifests: the JSON file beside a model that tells the device how to run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wakeword import contract
from wakeword.errors import ConfigError
from wakeword.files import write_atomically


class MicroSection(BaseModel):
    """The `micro` object of a manifest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    probability_cutoff: float = Field(ge=0, le=1)
    feature_step_size: Literal[10] = 10
    sliding_window_size: int = Field(ge=1, le=contract.MAX_WINDOW)
    tensor_arena_size: int = Field(gt=0)
    minimum_esphome_version: str = "2024.7.0"


class Manifest(BaseModel):
    """A V2 manifest. Unknown keys are ignored, as ESPHome ignores them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["micro"] = "micro"
    wake_word: str
    author: str
    website: str = ""
    model: str
    """File name of the model, relative to the manifest."""
    trained_languages: tuple[str, ...] = ()
    version: Literal[2] = 2
    micro: MicroSection


def read_manifest(path: Path) -> tuple[Manifest, Path]:
    """Read a manifest and find its model.

    Returns the manifest and the path of the model file that it names. Raises `ConfigError` when the manifest cannot be
    read, a value is missing or out of range, or the model file does not exist.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.reason
        raise ConfigError(f"{path}: cannot read the manifest ({reason}); give the path of a V2 manifest (.json)") from error
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise ConfigError(f"{path}: not JSON ({first['ctx']['error']}); give a V2 manifest (.json), not the model itself") from error
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ConfigError(f"{path}: {where}: {first['msg']}; correct the manifest") from error
    model_path = path.parent / manifest.model
    if not model_path.is_file():
        raise ConfigError(f"{path}: names the model {manifest.model!r}, but {model_path} does not exist; put the file there or correct 'model'")
    return manifest, model_path


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest as ESPHome's model collection formats it, whole or not at all."""
    write_atomically(path, json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
