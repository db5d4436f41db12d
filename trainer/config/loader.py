"""From a preset or file, overrides and `--set` values to one checked configuration."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from trainer.config.sections import TrainerConfig
from wakeword.errors import ConfigError
from wakeword.files import write_atomically

Values = dict[str, Any]


def preset_names() -> list[str]:
    """Names of the presets that the package carries."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _presets().iterdir() if entry.name.endswith(".yaml"))


def load_config(source: str, overrides: Sequence[Path] = (), settings: Sequence[str] = ()) -> TrainerConfig:
    """Read a preset or YAML file, lay files and then `section.key=value` settings over it, and check the result.

    Raises `ConfigError` for a file that cannot be read, an unknown key (with the nearest valid name), and a value that is out
    of range.
    """
    values = _read(Path(source)) if source.endswith((".yaml", ".yml")) or Path(source).is_file() else _read_preset(source)
    origin = source
    for path in overrides:
        values = _merged(values, _read(path))
        origin = f"{source} with {path}"
    for setting in settings:
        values = _merged(values, _parse_setting(setting))
    _refuse_unknown(values, TrainerConfig, "", origin)
    try:
        return TrainerConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise ConfigError(f"{origin}: {key} is missing; give it with --set {key}=VALUE or in the file") from error
        raise ConfigError(f"{origin}: {key} is {first['input']!r}: {first['msg']}; correct it") from error


def write_config(config: TrainerConfig, path: Path) -> None:
    """Write the resolved configuration, with its hash, so that it can be given as `--config`."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_atomically(path, f"# resolved configuration, sha256 {config_hash(config)}\n{text}")


def config_hash(config: TrainerConfig) -> str:
    """SHA-256 of the resolved values, whatever file or setting they came from."""
    return hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _presets() -> Any:
    return resources.files("trainer.config") / "presets"


def _read_preset(name: str) -> Values:
    if name not in preset_names():
        near = difflib.get_close_matches(name, preset_names(), 1)
        hint = f"did you mean {near[0]}?" if near else f"presets are {', '.join(preset_names())}"
        raise ConfigError(f"--config {name}: neither a preset nor a file; {hint}")
    return _parse((_presets() / f"{name}.yaml").read_text(encoding="utf-8"), f"preset {name}")


def _read(path: Path) -> Values:
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the configuration ({error}); give a preset's name or a YAML file") from error


def _parse(text: str, origin: str) -> Values:
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: not YAML ({error}); correct the file") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{origin}: holds no sections; a configuration is a mapping such as 'training: {{batch_size: 64}}'")
    return values


def _parse_setting(setting: str) -> Values:
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) != 2 or not all(parts):
        raise ConfigError(f"--set {setting}: give section.key=value, for example training.batch_size=64")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting}: the value is not YAML ({error}); put quotes around it") from error
    field = TrainerConfig.model_fields.get(parts[0])
    section = field.annotation if field else None
    if isinstance(section, type) and issubclass(section, BaseModel):
        wanted = section.model_fields.get(parts[1])
        if wanted is not None and wanted.annotation is str:
            value = text  # "60,60" and "[5],[9]" are texts of their own, not YAML
    return {parts[0]: {parts[1]: value}}


def _merged(base: Values, over: Values) -> Values:
    """`over` laid over `base`, section by section; lists and values are replaced whole."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _refuse_unknown(values: Values, model: type[BaseModel], prefix: str, origin: str) -> None:
    for key, value in values.items():
        field = model.model_fields.get(str(key))
        if field is None:
            near = difflib.get_close_matches(str(key), model.model_fields, 1, 0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(model.model_fields)}"
            raise ConfigError(f"{origin}: unknown key {prefix}{key}; {hint}")
        below = field.annotation
        if isinstance(below, type) and issubclass(below, BaseModel):
            if not isinstance(value, dict):
                raise ConfigError(f"{origin}: {prefix}{key} is a section, not {value!r}; write its keys below it")
            _refuse_unknown(value, below, f"{prefix}{key}.", origin)
