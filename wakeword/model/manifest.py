"""ESPHome manifests: the JSON file beside a model that tells the device how to run it. Version 2 is written; version 1
is read as ESPHome reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from wakeword import contract
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.model.addresses import refuse_address
from wakeword.model.manifest_rules import (
    MAX_STEP_MS,
    V1_ARENA_BYTES,
    V1_LANGUAGES,
    V1_STEP_MS,
    V1_WINDOW,
    V2_WINDOW,
    VAD_WORD,
    ManifestFault,
    refusals,
)

_Whole = Annotated[
    int, BeforeValidator(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value)
]
"""JSON has one kind of number: 26080.0 is whole."""


class MicroSection(BaseModel):
    """The `micro` object of a manifest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    probability_cutoff: float = Field(ge=0, le=1)
    feature_step_size: _Whole = Field(contract.STEP_MS, ge=1, le=MAX_STEP_MS)
    """Milliseconds from one feature slice to the next."""
    sliding_window_size: _Whole = Field(ge=1, le=contract.MAX_WINDOW)
    tensor_arena_size: _Whole = Field(gt=0)
    minimum_esphome_version: str = "2024.7.0"


class Manifest(BaseModel):
    """A manifest, in the form of version 2 whichever version it was read from. Keys that do not concern the model's
    work are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["micro"] = "micro"
    wake_word: str
    author: str
    website: Annotated[str | None, BeforeValidator(lambda value: value or None)] = None
    """None is not written: ESPHome refuses an empty address."""
    model: str
    """File name of the model, relative to the manifest."""
    trained_languages: tuple[str, ...] = ()
    version: Literal[1, 2] = 2
    micro: MicroSection


def read_manifest(path: Path) -> tuple[Manifest, Path]:
    """Read a manifest and find its model.

    What the model's work does not depend on may be missing or unknown here; `manifest_faults` says what ESPHome has
    against it. Raises `ConfigError` when the manifest cannot be read, a value is missing or out of range, or the model
    file does not exist.
    """
    manifest = _parsed(path)
    model_path = path.parent / manifest.model
    if not model_path.is_file():
        raise ConfigError(
            f"{path}: names the model {manifest.model!r}, but {model_path} does not exist; put the file there or"
            " correct 'model'"
        )
    return manifest, model_path


def _parsed(path: Path) -> Manifest:
    content = manifest_content(path)
    parsed = _validated(content)
    if isinstance(parsed, Manifest):
        return parsed
    # ESPHome's view of the same key says more than "missing", and an old name more than the new one that is not there.
    first, told = parsed[0], {fault.key: fault for fault in refusals(content)}
    other_name = {f"micro.{V1_WINDOW}": f"micro.{V2_WINDOW}", f"micro.{V2_WINDOW}": f"micro.{V1_WINDOW}"}.get(
        first.key, ""
    )
    fault = told.get(other_name) or told.get(first.key) or first
    raise ConfigError(f"{path}: {fault}; correct the manifest, mww-verify shows all that is wrong with it")


def refuse_other_step(path: Path, manifest: Manifest, what: str) -> None:
    """Raise `ConfigError` for a model of another step than the device's 10 ms; `what` says who works at 10 ms alone."""
    step = manifest.micro.feature_step_size
    if step != contract.STEP_MS:
        raise ConfigError(
            f"{path}: this model takes a feature slice every {step} ms, and {what} {contract.STEP_MS} ms alone;"
            " mww-simulate runs it at its own step"
        )


def manifest_content(path: Path) -> object:
    """What a manifest's file holds, as JSON gives it. Raises `ConfigError` when it cannot be read or is not JSON."""
    refuse_address(path)
    try:
        content = path.read_text(encoding="utf-8")
        if content.startswith("\ufeff"):
            raise ConfigError(
                f"{path}: begins with a byte order mark, with which ESPHome does not read it; save the manifest as"
                " UTF-8 without BOM"
            )
        return json.loads(content)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.reason
        raise ConfigError(
            f"{path}: cannot read the manifest ({reason}); give the path of a manifest (.json)"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON ({error}); give a manifest (.json), not the model itself") from error


def manifest_of(content: object) -> Manifest | None:
    """The manifest that a file's content is, None where a value that the model's work depends on is wrong."""
    parsed = _validated(content)
    return parsed if isinstance(parsed, Manifest) else None


def manifest_faults(content: object) -> tuple[ManifestFault, ...]:
    """All that is wrong with a manifest: what ESPHome refuses, and values that it accepts and a device does not run
    right.
    """
    refused = refusals(content)
    parsed = _validated(content)
    named = {fault.key for fault in refused}
    further = (
        ()
        if isinstance(parsed, Manifest)
        else tuple(fault for fault in parsed if fault.key not in named and (not refused or fault.key))
    )
    return refused + further


def manifest_cautions(content: object) -> tuple[ManifestFault, ...]:
    """What ESPHome accepts in a manifest and makes something of that its author may not expect."""
    if isinstance(content, Mapping) and content.get("wake_word") == VAD_WORD:
        return (
            ManifestFault(
                "wake_word",
                f"ESPHome loads a model named {VAD_WORD!r} as its voice activity model: it gates the wake words and"
                " never wakes itself",
            ),
        )
    return ()


def manifest_text(manifest: Manifest) -> str:
    """A manifest as its file holds it, formatted as in ESPHome's model collection; an optional value that is empty is
    left out.
    """
    return json.dumps(manifest.model_dump(mode="json", exclude_none=True), indent=2, ensure_ascii=False) + "\n"


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest, whole or not at all."""
    write_atomically(path, manifest_text(manifest))


def _validated(content: object) -> Manifest | tuple[ManifestFault, ...]:
    """The manifest, or what is wrong with the values that the model's work depends on."""
    first_format = isinstance(content, Mapping) and content.get("version") == 1
    try:
        # Strict, since ESPHome hands the values on as they are written: a number in quotes would not compile.
        return Manifest.model_validate_json(json.dumps(_second_format(content)), strict=True)
    except ValidationError as error:
        return tuple(_fault(each["loc"], each, first_format) for each in error.errors())


def _second_format(content: object) -> object:
    """A manifest of version 1 in the form of version 2, with the values that ESPHome gives it
    (`_convert_manifest_v1_to_v2`).
    """
    if not isinstance(content, Mapping):
        return content
    version = content.get("version")
    if version != 1 or not isinstance(micro := content.get("micro"), Mapping):
        return {**content, "version": 2} if version == 2 else content
    given = {V2_WINDOW if name == V1_WINDOW else name: value for name, value in micro.items() if name != V2_WINDOW}
    micro = {**given, "tensor_arena_size": V1_ARENA_BYTES, "feature_step_size": V1_STEP_MS}
    return {**content, "version": 1, "trained_languages": V1_LANGUAGES, "micro": micro}


def _fault(where: tuple[int | str, ...], error: Any, first_format: bool) -> ManifestFault:
    names = [V1_WINDOW if first_format and name == V2_WINDOW else str(name) for name in where]
    if error["type"] == "missing":
        text = "missing"
    else:
        value = error["input"]
        text = (
            f"is {value!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
            if isinstance(value, str | int | float)
            else error["msg"]
        )
    return ManifestFault(".".join(names), text)
