"""`${VAR}` and `${VAR:-default}` in configuration values.

A name that is unset and has no default is an error; a default is also taken where the variable is empty, as a shell
does. `$${` stands for the characters `${`. Values of variables may be secrets: messages show what was written, never
what it stood for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from wakeword.errors import ConfigError

_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<fallback>:-(?P<default>[^}]*))?\}|(?P<damaged>\$\{)"
)


def substitute(text: str, key: str, origin: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` with its variables replaced. `key` and `origin` name the value in the `ConfigError` for an unset or
    damaged one.
    """
    values = os.environ if environment is None else environment

    def value_of(match: re.Match[str]) -> str:
        name = match["name"]
        if match["escaped"]:
            return "${"
        if match["damaged"]:
            raise ConfigError(
                f"{origin}: {key} is {text!r}, where ${{ begins no variable; write ${{NAME}} or ${{NAME:-default}}, or"
                " $${ for the characters"
            )
        value = values.get(name, "")
        if value or (name in values and not match["fallback"]):
            return value
        if match["fallback"]:
            return match["default"] or ""
        raise ConfigError(
            f"{origin}: {key} needs the environment variable {name}, which is not set; set it, or write"
            f" ${{{name}:-default}}"
        )

    return _REFERENCE.sub(value_of, text)


def has_variable(value: object) -> bool:
    """Whether a value, or anything in it, holds a variable."""
    if isinstance(value, list | dict):
        return any(map(has_variable, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and any(match["name"] for match in _REFERENCE.finditer(value))


def escaped[T](value: T) -> T:
    """A value (texts in lists and mappings too) that `substitute` turns back into itself."""
    changed: object = value
    if isinstance(value, str):
        changed = value.replace("${", "$${")
    elif isinstance(value, list):
        changed = [escaped(entry) for entry in value]
    elif isinstance(value, dict):
        changed = {key: escaped(entry) for key, entry in value.items()}
    return changed  # type: ignore[return-value]  # the same kind as it came
