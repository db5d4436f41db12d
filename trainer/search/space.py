"""What a search draws from: keys of the configuration, each with choices or a range, written in YAML.

    training.learning_rates[0]: {log: [5.0e-4, 5.0e-3]}
    model.pointwise_filters[*]: {int: [24, 72], step: 8}
    augmentation.RIR: {choices: [0.3, 0.5, 0.8]}
    shape:
      choices:
        three blocks: {model.pointwise_filters: "48,48,48", model.mixconv_kernel_sizes: "[5],[9],[21]"}

`KEY[0]` is one value of a list, `KEY[*]` all of them alike. A name without a dot stands for several keys that go
together. `log` is a range of numbers on a logarithmic scale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from trainer.config.checks import check_config
from trainer.config.loader import CommandOption, load_config
from trainer.config.sections import TrainerConfig
from wakeword.complaints import nearest
from wakeword.errors import ConfigError
from wakeword.reading import parse_yaml, read_text

type Drawn = Mapping[str, str | int | float]
"""What a trial has drawn: a label of the choices or a number, by the name of each parameter."""

CHOICES, KINDS = "choices", ("choices", "int", "float", "log")
_INDEXED = re.compile(r"(.+)\[(\*|\d+)\]")
_NOT_SEARCHED = {
    "paths": "it says where things are",
    "performance": "it changes no model",
    "speaker_clustering": "it changes no model",
    "size_targets": "the budget says what is refused",
    "training.seed": "all trials have the same one; give --seeds to train each several times",
    "training.held_out_engines": "trials that validate with other recordings cannot be compared",
    "training.split_fractions": "trials that validate with other recordings cannot be compared",
    "training.quantization_aware_steps": "figures in float and in int8 arithmetic cannot be compared",
    "training.quantization_aware_learning_rate": "it belongs to training.quantization_aware_steps",
    "training.target_minimization": "trials with other targets cannot be compared",
    "training.minimization_metric": "trials with other targets cannot be compared",
    "training.maximization_metric": "trials with other figures cannot be compared",
    "export.wake_word": "it changes no model",
    "export.probability_cutoff": "validation chooses it",
}
"""Sections and keys that are not searched, with the reason."""


@dataclass(frozen=True)
class Choice:
    """One choice: its label in tables, and the keys that it sets."""

    label: str
    settings: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Parameter:
    """One thing that is drawn: among `choices`, or between `low` and `high`."""

    name: str
    kind: str
    choices: tuple[Choice, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None

    @property
    def examples(self) -> tuple[str | int | float, ...]:
        """All choices, or both ends of the range and something between."""
        if self.choices:
            return tuple(choice.label for choice in self.choices)
        if self.kind == "int":
            return self.low, self.high
        return self.low, self.high, self.low + (self.step or 0.37 * (self.high - self.low))

    @property
    def keys(self) -> set[str]:
        """All keys that it sets."""
        return {key for choice in self.choices for key, _ in choice.settings} or {self.name}

    def settings(self, value: str | float) -> tuple[tuple[str, Any], ...]:
        """The keys that a drawn value sets, with what they are set to."""
        if not self.choices:
            return ((self.name, value),)
        return next(choice.settings for choice in self.choices if choice.label == value)

    def distribution(self) -> Any:
        """Of Optuna."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution([choice.label for choice in self.choices])
        if self.kind == "int":
            return IntDistribution(int(self.low), int(self.high), step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.kind == "log", step=self.step)


@dataclass(frozen=True)
class SearchSpace:
    """All parameters of a search."""

    origin: str
    """The file or preset, for messages."""
    parameters: tuple[Parameter, ...]
    text: str
    """As it was written."""

    def options(self, base: TrainerConfig, drawn: Drawn) -> list[CommandOption]:
        """What a draw lays over the configuration `base`, for `load_config`.

        Raises `ConfigError` where `KEY[i]` names a value that its list does not have.
        """
        values: dict[str, tuple[str, Any]] = {}
        indexed: list[tuple[str, str, str, Any]] = []
        for parameter in self.parameters:
            if parameter.name not in drawn:
                continue
            for key, value in parameter.settings(drawn[parameter.name]):
                origin = f"{self.origin}: {parameter.name}" if "." not in parameter.name else self.origin
                if match := _INDEXED.fullmatch(key):
                    indexed.append((origin, match[1], match[2], value))
                else:
                    values[key] = origin, value
        for origin, key, index, value in indexed:
            written = values[key][1] if key in values else _value_of(base, key)
            current = _listed(written)
            if written is None:
                current = []  # an unknown key: the loader tells of it, with the nearest one
            elif current is None:
                raise ConfigError(f"{origin}: {key} is no list; write the key without [{index}]")
            elif index != "*" and int(index) >= len(current):
                raise ConfigError(
                    f"{origin}: {key} has {len(current)} values, counted from 0; {key}[{index}] is none of them"
                )
            values[key] = origin, [value if index in ("*", str(place)) else old for place, old in enumerate(current)]
        return [CommandOption(origin, key, value) for key, (origin, value) in values.items()]

    def check(self, source: str, overrides: Sequence[Path], settings: Sequence[str]) -> None:
        """Raise `ConfigError` for a key that does not exist or is set twice, and for a choice or an end of a range that
        its section refuses, each tried alone on the configuration.
        """
        base = load_config(source, overrides, settings)
        for index, parameter in enumerate(self.parameters):
            for other in self.parameters[:index]:
                if twice := sorted(parameter.keys & other.keys):
                    raise ConfigError(
                        f"{self.origin}: {twice[0]} is set by {other.name} and by {parameter.name}; remove it from one"
                    )
            for value in parameter.examples:
                check_config(load_config(source, overrides, [*settings, *self.options(base, {parameter.name: value})]))

    def base_value(self, base: TrainerConfig, parameter: Parameter) -> str:
        """What a configuration has in the place of a parameter, as it is shown; empty for several keys together."""
        match = _INDEXED.fullmatch(parameter.name)
        value = _value_of(base, match[1] if match else parameter.name)
        if match and match[2] != "*" and (values := _listed(value)):
            value = values[int(match[2])]
        return "" if value is None else _label(value)

    def distributions(self) -> dict[str, Any]:
        """Of Optuna, by parameter."""
        return {parameter.name: parameter.distribution() for parameter in self.parameters}


def space_names() -> list[str]:
    """Names of the spaces that the package carries."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _spaces().iterdir() if entry.name.endswith(".yaml"))


def load_space(source: str) -> SearchSpace:
    """Read a space of the package, by its name, or a YAML file. Raises `ConfigError` for what is no space."""
    if source.endswith((".yaml", ".yml")) or Path(source).is_file():
        text, origin = read_text(Path(source), "a space is a preset's name or a YAML file"), source
    elif source in space_names():
        text, origin = (_spaces() / f"{source}.yaml").read_text(encoding="utf-8"), f"space {source}"
    else:
        raise ConfigError(
            f"--space {source}: neither a preset nor a file; {nearest(source, space_names(), 'presets are')}"
        )
    values = parse_yaml(text, origin)
    if not isinstance(values, dict) or not values:
        raise ConfigError(f"{origin}: holds no keys; a space is lines such as 'training.batch_size: {{choices: [64]}}'")
    return SearchSpace(origin, tuple(_parameter(str(name), value, origin) for name, value in values.items()), text)


def _spaces() -> Any:
    return resources.files("trainer.search") / "spaces"


def _parameter(name: str, given: object, origin: str) -> Parameter:
    where = f"{origin}: {name}"
    if isinstance(given, list):
        given = {CHOICES: given}
    kinds = [key for key in given if key in KINDS] if isinstance(given, dict) else []
    if not isinstance(given, dict) or len(kinds) != 1 or set(given) - {*kinds, "step"}:
        raise ConfigError(
            f"{where}: give one of choices: [..], int: [low, high], float: [low, high] or log: [low, high], and with"
            " int or float a step if it has one"
        )
    kind = kinds[0]
    if kind == CHOICES:
        if "step" in given:
            raise ConfigError(f"{where}: choices have no step; remove it")
        choices = _choices(name, given[kind], where)
        for key in {key for choice in choices for key, _ in choice.settings}:
            _refuse_incomparable(key, where)
        return Parameter(name, kind, choices)
    _refuse_incomparable(name, where)
    low, high, step = _range(given[kind], given.get("step"), kind, where)
    return Parameter(name, kind, low=low, high=high, step=step)


def _choices(name: str, given: object, where: str) -> tuple[Choice, ...]:
    if isinstance(given, dict) and given and all(isinstance(value, dict) and value for value in given.values()):
        if "." in name:
            raise ConfigError(f"{where}: several keys together have a name of their own, without a dot")
        choices = tuple(Choice(str(label), tuple(value.items())) for label, value in given.items())
    elif isinstance(given, list) and given:
        choices = tuple(Choice(_label(value), ((name, value),)) for value in given)
    else:
        raise ConfigError(f"{where}: choices is {given!r}; give a list, or names with the keys that each sets")
    labels = [choice.label for choice in choices]
    if repeated := next((label for label in labels if labels.count(label) > 1), None):
        raise ConfigError(f"{where}: {repeated} is a choice twice; remove one")
    return choices


def _label(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _range(given: object, step: object, kind: str, where: str) -> tuple[float, float, float | None]:
    numbers = (int,) if kind == "int" else (int, float)
    parts = [*given, *([] if step is None else [step])] if isinstance(given, list) else []
    if len(parts) != (2 if step is None else 3) or not all(
        isinstance(part, numbers) and not isinstance(part, bool) for part in parts
    ):
        whole = "whole " if kind == "int" else ""
        raise ConfigError(f"{where}: {kind} is {given!r}; give two {whole}numbers, [low, high], and a step of such")
    low, high = parts[:2]
    if low >= high:
        raise ConfigError(f"{where}: {kind} is [{low}, {high}]; the first number must be below the second")
    if kind == "log" and (low <= 0 or step is not None):
        raise ConfigError(f"{where}: a range on a logarithmic scale is above 0 and has no step")
    if step is not None:
        steps = (high - low) / parts[2] if parts[2] > 0 else 0
        if steps < 1 or abs(steps - round(steps)) > 1e-6:  # what floats leave of a whole number
            raise ConfigError(f"{where}: steps of {parts[2]} do not lead from {low} to {high}; give one that does")
    return low, high, None if step is None else parts[2]


def _refuse_incomparable(key: str, where: str) -> None:
    plain = match[1] if (match := _INDEXED.fullmatch(key)) else key
    for name in (plain, plain.partition(".")[0]):
        if name in _NOT_SEARCHED:
            raise ConfigError(f"{where}: {name} is not searched: {_NOT_SEARCHED[name]}; remove it")


def _value_of(config: TrainerConfig, key: str) -> Any:
    """What stands at a key; None for one that there is not."""
    value: Any = config.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _listed(value: object) -> list[Any] | None:
    """The values of a list, also of one that is written as text: "60,60" and "[5],[9]"."""
    if isinstance(value, list | tuple):
        return list(value)
    if not isinstance(value, str):
        return None
    try:
        return list(json.loads(f"[{value}]"))
    except json.JSONDecodeError:
        return None
