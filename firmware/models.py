"""The models of a firmware: read, checked, and given the names that they have on the board."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wakeword.contract import cutoff_to_uint8
from wakeword.errors import ConfigError
from wakeword.model.manifest import Manifest, read_manifest, refuse_other_step

MODEL_ID_PREFIX = "ww_"
"""Wake words become C++ names, and `auto` or `3 wishes` are none."""


@dataclass(frozen=True)
class FirmwareModel:
    """One model in a firmware. `cutoff` is 0-255 as the device compares it, `window` and `arena` as the manifest states
    them (probabilities, bytes).
    """

    model_id: str
    wake_word: str
    manifest_path: Path
    sha256: str
    bytes: int
    cutoff: int
    window: int
    arena: int


@dataclass(frozen=True)
class CheckedModel:
    """A model that the device will run, with what is written into a project."""

    described: FirmwareModel
    manifest: Manifest
    content: bytes

    @property
    def raw_data_id(self) -> str:
        """Name of the array in the generated C++ that holds the model's bytes."""
        return f"{self.described.model_id}_data"


def check_models(manifests: Sequence[Path]) -> list[CheckedModel]:
    """Read the manifests and their models, and check what would otherwise only be found on the board.

    Raises `ConfigError` for a manifest or model that cannot be read, that the device would not run, or that cannot be
    told from another one, and `InfrastructureError` when tflite-micro cannot be run on this machine.
    """
    if not manifests:
        raise ConfigError("no model given; pass --model MANIFEST.json at least once")
    models: list[CheckedModel] = []
    for path in manifests:
        model = _check_model(path)
        for other in models:
            _refuse_twin(model.described, other.described)
        models.append(model)
    return models


def _check_model(path: Path) -> CheckedModel:
    from wakeword.deliverable import judge

    manifest, _ = read_manifest(path)
    check_wake_word(path, manifest.wake_word)
    refuse_other_step(path, manifest, "the bench measures boards at")
    judged = judge(path)
    if not judged.report.passed or judged.model is None:
        first = judged.report.failures[0]
        raise ConfigError(f"{path}: {judged.report.verdict}: {first.name}: {first.detail}; mww-verify shows all")
    model = judged.model
    described = FirmwareModel(
        model_id=MODEL_ID_PREFIX + _slug(manifest.wake_word),
        wake_word=manifest.wake_word,
        manifest_path=path.absolute(),
        sha256=model.sha256,
        bytes=len(model.content),
        cutoff=cutoff_to_uint8(manifest.micro.probability_cutoff),
        window=manifest.micro.sliding_window_size,
        arena=manifest.micro.tensor_arena_size,
    )
    return CheckedModel(described, manifest, model.content)


def check_wake_word(path: Path, wake_word: str) -> None:
    """Raise `ConfigError` for a wake word that a board cannot tell in its answers."""
    if not wake_word.strip():
        raise ConfigError(f"{path}: wake_word is empty; name the wake word")
    if wake_word == "vad":
        raise ConfigError(
            f"{path}: ESPHome takes the wake word 'vad' for its voice activity model; choose another name"
        )
    if bad := sorted({sign for sign in wake_word if sign in "|;" or not sign.isprintable()}):
        raise ConfigError(f"{path}: wake_word holds {bad[0]!r}, which separates a board's answers; choose another name")


def _slug(wake_word: str) -> str:
    """Letters, digits and underscores of ASCII; what has none of them is named by its code points."""
    return re.sub(r"[^a-z0-9]+", "_", wake_word.lower()).strip("_") or "_".join(
        f"{ord(sign):x}" for sign in wake_word if not sign.isspace()
    )


def _refuse_twin(model: FirmwareModel, other: FirmwareModel) -> None:
    if model.wake_word == other.wake_word:
        raise ConfigError(
            f"{model.manifest_path}: wake word {model.wake_word!r} is also that of {other.manifest_path}, so their"
            " detections could not be told apart; build one firmware for each"
        )
    if model.model_id == other.model_id:
        raise ConfigError(
            f"{model.manifest_path}: wake word {model.wake_word!r} and {other.wake_word!r} of {other.manifest_path}"
            f" would both be named {model.model_id} on the board; rename one"
        )
