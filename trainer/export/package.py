"""What ESPHome takes: `<name>.tflite`, `<name>.json`, and `<name>.esphome.yaml` with the lines that name them in a
device's configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from wakeword.errors import ConfigError
from wakeword.files import partial_file
from wakeword.model.manifest import Manifest, write_manifest

MODEL_SUFFIX = ".tflite"
MANIFEST_SUFFIX = ".json"
YAML_SUFFIX = ".esphome.yaml"
FLOAT_SUFFIX = ".float32.tflite"
"""Another name than the device's model has: the two can lie side by side, and no manifest names this one."""
ONNX_SUFFIX = ".streaming.onnx"
"""As for the other float model: its record has a name of its own too."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TAKEN = (".float32", ".streaming", ".export")
"""Endings that would give a model the name of another one's float file, and a manifest that of its record."""


@dataclass(frozen=True)
class ModelPackage:
    """A model, its manifest, and the lines for a device's configuration on disk."""

    model: Path
    manifest: Path
    yaml: Path


def package_paths(folder: Path, name: str) -> ModelPackage:
    """Where a package of this name lies. Raises `ConfigError` when the name is none that every system and ESPHome take,
    or is taken.
    """
    if not _NAME.fullmatch(name) or name.endswith(_TAKEN):
        raise ConfigError(
            f"the model's name is {name!r}; use letters, digits, '_', '-' and '.', beginning with a letter or digit,"
            f" and not ending in {' or '.join(_TAKEN)}"
        )
    return ModelPackage(*(folder / f"{name}{suffix}" for suffix in (MODEL_SUFFIX, MANIFEST_SUFFIX, YAML_SUFFIX)))


def esphome_lines(manifest_name: str) -> str:
    """The lines of an ESPHome configuration that load a model, whose manifest lies beside the configuration."""
    return f"micro_wake_word:\n  models:\n    - model: {manifest_name}\n"


def write_package(folder: Path, name: str, content: bytes, manifest: Manifest, cutoff_origin: str = "") -> ModelPackage:
    """Write a model and its manifest, which is made to name the model's file. A comment beside the device's lines says
    how the cutoff was chosen.

    All are written in full under temporary names first; then the model gets its name, and the manifest after it, so a
    new manifest never stands beside a missing or older model. Raises `ConfigError` when the name cannot be a file's,
    `OSError` when the disk is full or the folder cannot be written.
    """
    package = package_paths(folder, name)
    with (
        partial_file(package.yaml) as yaml_file,
        partial_file(package.manifest) as manifest_file,
        partial_file(package.model) as model_file,
    ):
        yaml_file.write_text(_yaml(package, manifest, cutoff_origin), encoding="utf-8")
        write_manifest(manifest.model_copy(update={"model": package.model.name}), manifest_file)
        model_file.write_bytes(content)
    return package


def _yaml(package: ModelPackage, manifest: Manifest, cutoff_origin: str) -> str:
    cutoff = f"# Cutoff {manifest.micro.probability_cutoff:g}, {cutoff_origin}.\n" if cutoff_origin else ""
    return (
        f"# {' '.join(manifest.wake_word.split())!r} for an ESPHome device. "
        f"Copy {package.manifest.name} and {package.model.name} beside the device's configuration,\n"
        "# and these lines into it; docs/deploy.md of wakeword-bench shows a whole device and Home Assistant.\n"
        f"{cutoff}{esphome_lines(package.manifest.name)}"
    )
