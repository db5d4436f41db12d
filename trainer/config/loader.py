"""From a preset or file, overrides and `--set` values to one checked configuration."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import ErrorDetails

from trainer.config.network import architecture_names, owned_keys
from trainer.config.sections import TrainerConfig
from trainer.config.variables import escaped, has_variable, substitute
from wakeword.complaints import complaint, nearest
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.reading import load_yaml, parse_yaml, read_text, yaml_fault

Values = dict[str, Any]

_ABSENT = object()
"""Where a layer says nothing; null is something that it says."""
CONFIG_NAME = "config.yaml"
"""In a run's folder: the resolved configuration."""


class CommandOption(NamedTuple):
    """A command's own option that stands for one value of the configuration."""

    option: str
    """As it is typed, with its dashes."""
    key: str
    """`section.key`."""
    value: object
    """None: the option was not given, and what the other layers say stays."""


def preset_names() -> list[str]:
    """Names of the presets that the package carries."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _presets().iterdir() if entry.name.endswith(".yaml"))


def load_config(
    source: str, overrides: Sequence[Path] = (), settings: Sequence[str | CommandOption] = ()
) -> TrainerConfig:
    """Read a preset or YAML file, lay files and then `section.key=value` settings over it, and check keys, types and
    ranges.

    Among the settings may be options of a command, which are layers under their own names. `${VAR}` and
    `${VAR:-default}` in values are replaced by environment variables. Raises `ConfigError` for a file that cannot be
    read, an unknown key (with the nearest valid name), an unset variable, and a value that is out of range; it names
    the file or setting that the fault is in.
    """
    base = _read(Path(source)) if source.endswith((".yaml", ".yml")) or Path(source).is_file() else _read_preset(source)
    layers = [(source, base)]
    layers += [(str(path), _read(path)) for path in overrides]
    layers += [_setting_layer(setting) for setting in settings]
    values: Values = {section: {} for section in TrainerConfig.model_fields}
    for origin, layer in layers:
        _refuse_unknown(layer, TrainerConfig, "", origin)
        values = _merged(values, layer if layer is not base else _of_architecture(base, layers[1:]))
    try:
        # Last, so that the variables of an overridden value need not be set.
        return TrainerConfig.model_validate(_substituted(values, TrainerConfig, "", layers))
    except ValidationError as error:
        raise ConfigError(_explain(error.errors()[0], layers)) from error


def _of_architecture(base: Values, over: Sequence[tuple[str, Values]]) -> Values:
    """The base without the keys of its own architecture where a layer over it names another: a preset's MixedNet says
    nothing of a dnn.
    """
    sections = [layer.get("model") for _, layer in over]
    named = [section["architecture"] for section in sections if isinstance(section, dict) and "architecture" in section]
    shape = base.get("model")
    if not named or named[-1] not in architecture_names() or not isinstance(shape, dict):
        return base
    kept = {"architecture", *owned_keys(str(named[-1]))}
    return base | {"model": {key: value for key, value in shape.items() if key in kept}}


def write_config(config: TrainerConfig, path: Path) -> None:
    """Write the resolved configuration, with its hash, so that it can be given as `--config`."""
    text = yaml.safe_dump(escaped(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True)
    write_atomically(path, f"# resolved configuration, sha256 {config_hash(config)}\n{text}")


def config_hash(config: TrainerConfig) -> str:
    """SHA-256 of the resolved values, whatever file or setting they came from."""
    return hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _presets() -> Any:
    return resources.files("trainer.config") / "presets"


def _read_preset(name: str) -> Values:
    if name not in preset_names():
        raise ConfigError(
            f"--config {name}: neither a preset nor a file; {nearest(name, preset_names(), 'presets are')}"
        )
    return _parse((_presets() / f"{name}.yaml").read_text(encoding="utf-8"), f"preset {name}")


def _read(path: Path) -> Values:
    return _parse(read_text(path, "a configuration is a preset's name or a YAML file"), str(path))


def _parse(text: str, origin: str) -> Values:
    values = parse_yaml(text, origin)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{origin}: holds no sections; a configuration is a mapping such as 'training: {{batch_size: 64}}'"
        )
    return {section: {} if keys is None else keys for section, keys in values.items()}


def _setting_layer(setting: str | CommandOption) -> tuple[str, Values]:
    if isinstance(setting, str):
        return f"--set {setting}", _parse_setting(setting)
    return setting.option, {} if setting.value is None else _nested(setting.key.split("."), setting.value)


def _nested(path: Sequence[str], value: object) -> Values:
    """Sections around a value."""
    for part in reversed(path):
        value = {part: value}
    return cast(Values, value)


def _parse_setting(setting: str) -> Values:
    key, equals, text = setting.partition("=")
    *sections, name = key.strip().split(".")
    if not equals or not sections or not all((*sections, name)) or not _may_nest(sections):
        raise ConfigError(f"--set {setting}: give section.key=value, for example training.batch_size=64")
    value: Any = text
    if not _takes_text(_model_of(sections), name, text):
        try:
            value = load_yaml(text)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"--set {setting}: the value is not YAML ({yaml_fault(error)}); put quotes around it"
            ) from error
    return _nested((*sections, name), value)


def _may_nest(sections: Sequence[str]) -> bool:
    """A key deeper than section.key must stand in a section that there is; an unknown section is told of elsewhere,
    with the nearest name.
    """
    return len(sections) == 1 or _model_of(sections) is not None


def _model_of(sections: Sequence[str]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = TrainerConfig
    for name in sections:
        model = _section(model, name) if model is not None else None
    return model


def _takes_text(model: type[BaseModel] | None, name: str, text: str) -> bool:
    """Whether a setting's value is taken as it stands: "60,60" and "[5],[9]" are no YAML, and a path may hold what YAML
    would cut off.
    """
    field = model.model_fields.get(name) if model else None
    if field is None:
        return False
    if field.annotation is str or any(
        isinstance(part, BeforeValidator) and part.json_schema_input_type is str for part in field.metadata
    ):
        return True
    return Path in get_args(field.annotation) and text not in ("", "null") and not text.startswith("[")


def _substituted(values: Values, model: type[BaseModel], prefix: str, layers: Sequence[tuple[str, Values]]) -> Values:
    return {name: _substituted_value(value, model, name, f"{prefix}{name}", layers) for name, value in values.items()}


def _substituted_value(
    value: Any, model: type[BaseModel], name: str, key: str, layers: Sequence[tuple[str, Values]]
) -> Any:
    """A value with its variables replaced. What is no text in the end is read as YAML, as behind `--set`."""
    if isinstance(value, dict):
        return _substituted(value, _section(model, name) or model, f"{key}.", layers)
    if isinstance(value, list):
        return [_substituted_value(entry, model, name, f"{key}.{index}", layers) for index, entry in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    text = substitute(value, key, _written(key.split("."), layers)[0])
    if not has_variable(value) or _takes_text(model, name, text):
        return text
    try:
        return load_yaml(text)
    except yaml.YAMLError:
        return text


def _written(path: Sequence[str], layers: Sequence[tuple[str, Values]]) -> tuple[str, Any]:
    """The last layer that has a value at `path`, or at the longest part of it that any layer has, and that value as it
    was written.
    """
    for depth in range(len(path), 0, -1):
        for origin, layer in reversed(layers):
            value = _at(layer, path[:depth])
            if value is not _ABSENT:
                return origin, value
    return layers[0][0], None


def _at(values: Any, path: Sequence[str]) -> Any:
    """What stands at a path of keys and list positions; `_ABSENT` where nothing does."""
    for part in path:
        if isinstance(values, dict):
            values = values.get(part, _ABSENT)
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return _ABSENT
    return values


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
            raise ConfigError(f"{origin}: unknown key {prefix}{key}; {_nearest(str(key), model, prefix)}")
        below = _section(model, str(key))
        if below is not None:
            if not isinstance(value, dict):
                raise ConfigError(f"{origin}: {prefix}{key} is a section, not {value!r}; write its keys below it")
            _refuse_unknown(value, below, f"{prefix}{key}.", origin)


def _nearest(key: str, model: type[BaseModel], prefix: str) -> str:
    for section in TrainerConfig.model_fields:
        elsewhere = _section(TrainerConfig, section)
        if elsewhere is not None and key in elsewhere.model_fields:
            return f"did you mean {section}.{key}?"
    return nearest(key, model.model_fields, "known are", prefix=prefix, cutoff=0.5)


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model of a section; None when `name` is a plain key or unknown."""
    field = model.model_fields.get(name)
    below = field.annotation if field else None
    return below if isinstance(below, type) and issubclass(below, BaseModel) else None


def _explain(error: ErrorDetails, layers: Sequence[tuple[str, Values]]) -> str:
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    if error["type"] == "missing":
        return f"{layers[0][0]}: {key} is missing; give it with --set {key}=VALUE or in a file"
    if error["type"] == "value_error" and _model_of(path) is not None:
        # Keys that do not go together: the message names each of them as section.key.
        said = complaint(error, None)
        keys = [named.split(".") for named in re.findall(r"\w+(?:\.\w+)+", said)]
        origins = [origin for origin, layer in layers if any(_at(layer, named) is not _ABSENT for named in keys)]
        return ": ".join([*origins[-1:], said])
    origin, written = _written(path, layers)
    # A variable may stand for a secret, so what is shown is what was written.
    shown = written if has_variable(written) else error["input"]
    return f"{origin}: {key} is {shown!r}: {complaint(error, shown, _default(path))}; correct it"


def _default(path: Sequence[str]) -> Any:
    """What stands at a path where nobody says otherwise: a value of the right kind.

    None where there is no such value.
    """
    field = None
    model: type[BaseModel] | None = TrainerConfig
    for depth, name in enumerate(path):
        if model is None:
            # Inside a list.
            values = (
                field.get_default(call_default_factory=True) if field is not None and not field.is_required() else ()
            )
            return values[0] if isinstance(values, tuple | list) and values and depth == len(path) - 1 else None
        field = model.model_fields.get(name)
        model = _section(model, name)
    return (
        None
        if field is None or field.is_required() or model is not None
        else field.get_default(call_default_factory=True)
    )
