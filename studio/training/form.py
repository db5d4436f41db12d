"""A form of all settings of a training, from the JSON Schema that `mww-train --schema` prints."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from trainer.config.loader import load_config
from trainer.config.schema import config_schema

FIRST = ("export.wake_word", "paths.positive_dir", "paths.negative_dir")
"""What every training needs is asked first; all else has a default that a preset gives."""
OUTPUT = "paths.checkpoint_dir"
"""The studio gives it: a run's folder has the run's name."""
_NO_WORD = "the wake word"
_NONE = "null"


@dataclass(frozen=True)
class SettingField:
    """A setting as the form asks for it."""

    key: str
    """`section.name`, or `section.part.name`."""
    help: str
    value: str
    """What the preset has, as it is written after `--set KEY=`; "" where it has none."""
    choices: tuple[str, ...] = ()
    """The only values that it takes; empty: it is written."""
    optional: bool = False
    """Whether it may be left empty, which says "none"."""

    def setting(self, value: str) -> str:
        """What is typed for a value, as it stands in the form, after `--set`."""
        return f"{self.key}={value or (_NONE if self.optional else '')}"

    @property
    def name(self) -> str:
        """Without its section."""
        return self.key.partition(".")[2]


@dataclass(frozen=True)
class SettingSection:
    """Settings that belong together."""

    name: str
    help: str
    fields: tuple[SettingField, ...]


@dataclass(frozen=True)
class SettingForm:
    """All settings."""

    first: tuple[SettingField, ...]
    sections: tuple[SettingSection, ...]

    def fields(self) -> Iterator[SettingField]:
        """Each of them."""
        yield from self.first
        for section in self.sections:
            yield from section.fields


@functools.lru_cache(maxsize=16)
def form_of(preset: str) -> SettingForm:
    """The form with the values of a preset. Raises `ConfigError` where there is none of this name."""
    values = load_config(preset, (), [f"export.wake_word={_NO_WORD}"]).model_dump(mode="json")
    values["export"]["wake_word"] = None
    schema = json.loads(config_schema())
    sections: list[SettingSection] = []
    first: dict[str, SettingField] = {}
    for name, entry in schema["properties"].items():
        section = _referred(schema, entry)
        fields = list(_fields(schema, section, name, values[name]))
        first |= {field.key: field for field in fields if field.key in FIRST}
        kept = tuple(field for field in fields if field.key not in (*FIRST, OUTPUT))
        sections.append(SettingSection(name, _plain(section.get("description", "")), kept))
    return SettingForm(tuple(first[key] for key in FIRST), tuple(sections))


def as_written(value: object) -> str:
    """A value as it stands after `--set KEY=`: YAML in one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()


def _fields(
    schema: Mapping[str, Any], section: Mapping[str, Any], path: str, values: Any, about: str = ""
) -> Iterator[SettingField]:
    """The settings of a section and of its parts; `about` is said of those that say nothing themselves."""
    for name, entry in section["properties"].items():
        key = f"{path}.{name}"
        below = _referred(schema, entry)
        help_text = _plain(entry.get("description") or below.get("description", "")) or about
        if below.get("type") == "object" and "properties" in below and isinstance(values[name], dict):
            yield from _fields(schema, below, key, values[name], help_text)
            continue
        kinds = [_referred(schema, kind) for kind in entry.get("anyOf", [below])]
        kinds = [kind for kind in kinds if kind.get("pattern") != r"\$\{"]
        if all("const" in kind for kind in kinds):
            continue  # fixed by the device: nothing to choose
        yield SettingField(key, help_text, as_written(values[name]), _choices(kinds), _optional(kinds))


def _choices(kinds: list[Mapping[str, Any]]) -> tuple[str, ...]:
    found: list[str] = []
    for kind in kinds:
        if kind.get("type") == "boolean":
            found += ["true", "false"]
        elif "enum" in kind:
            found += map(str, kind["enum"])
        elif kind.get("type") == "null":
            found.append("")
        else:
            return ()
    return tuple(found)


def _optional(kinds: list[Mapping[str, Any]]) -> bool:
    return any(kind.get("type") == "null" for kind in kinds)


def _referred(schema: Mapping[str, Any], entry: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in entry:
        return entry
    found: Mapping[str, Any] = schema["$defs"][entry["$ref"].rpartition("/")[2]]
    return found


def _plain(text: str) -> str:
    """A docstring as one paragraph."""
    return " ".join(text.replace("`", "").split())
