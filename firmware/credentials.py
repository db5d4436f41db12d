"""The API key and the Wi-Fi access of a board: from the environment or a secrets file, into the project's secrets.yaml, and nowhere else."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from wakeword.errors import ConfigError
from wakeword.reading import RepeatedKey, decoded, load_yaml

VARIABLES = {"api_key": "MWW_API_KEY", "wifi_ssid": "MWW_WIFI_SSID", "wifi_password": "MWW_WIFI_PASSWORD"}
"""Name in a secrets file, and the variable of the environment that goes before it."""
SECRETS_FILE = "secrets.yaml"
"""Both the default file to read, beside the user, and the one in each project, where ESPHome looks for it."""
REDACTED = "[redacted]"

_KEY_BYTES = 32
_SHORT = 4
"""Secrets below this length are only redacted as whole words: an SSID may be a letter."""


def collect(names: Sequence[str], file: Path | None, kept: Mapping[str, str]) -> dict[str, str]:
    """The secrets `names`: of the environment first, then of `file` (default: ./secrets.yaml where it exists), then those `kept` by the project.

    Raises `ConfigError` for a file that cannot be read and for a secret that is missing or cannot be right. No message holds a secret.
    """
    default = Path(SECRETS_FILE)
    source = file if file is not None else default if default.is_file() else None
    given = {} if source is None else read(source)
    found: dict[str, str] = {}
    for name in names:
        where = VARIABLES[name]
        if (value := os.environ.get(where)) is not None:
            found[name] = value
        elif name in given:
            found[name], where = given[name], f"{source}: {name}"
        elif name in kept:
            found[name] = kept[name]
        else:
            continue
        if (fault := _fault(name, found[name])) is not None:
            raise ConfigError(f"{where}: {fault}")
    missing = [name for name in names if name not in found]
    if missing:
        variables = ", ".join(VARIABLES[name] for name in missing)
        raise ConfigError(f"{', '.join(missing)} missing: set {variables}, or put {'it' if len(missing) == 1 else 'them'} into a file for --secrets")
    return found


def new_api_key() -> str:
    """A random key as ESPHome wants it: 32 bytes in base64."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def api_key(folder: Path) -> str:
    """The API key of the firmware in `folder`. Raises `ConfigError` when there is none."""
    file = folder / SECRETS_FILE
    if not file.is_file():
        raise ConfigError(f"{folder}: holds no {SECRETS_FILE}; build the firmware there with mww-firmware build")
    key = read(file).get("api_key")
    if key is None:
        raise ConfigError(f"{file}: holds no api_key; build the firmware there again with mww-firmware build")
    return key


def read(file: Path) -> dict[str, str]:
    """Our secrets in a YAML file of names and values; other names in it are not ours. Raises `ConfigError`, without a word of the content."""
    import yaml

    try:
        content = load_yaml(decoded(file.read_bytes()))
    except OSError as error:
        raise ConfigError(f"{file}: cannot read the secrets ({error.strerror}); check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text; write the secrets as 'name: value', one a line") from error
    except RepeatedKey as error:
        name = f"{error.key} stands" if error.key in VARIABLES else "a name stands"
        raise ConfigError(f"{file}: {name} there twice, in line {error.lines[0]} and in line {error.lines[1]}; remove one of them") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1})"
        # `from None`: the parser's message quotes the line.
        raise ConfigError(f"{file}: is not YAML{where}; write the secrets as 'name: \"value\"', one a line") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: holds no names and values; write the secrets as 'name: \"value\"', one a line")
    ours = {name: value for name, value in content.items() if name in VARIABLES}
    for name, value in ours.items():
        if not isinstance(value, str):
            raise ConfigError(f"{file}: {name} is not text; put it in quotes")
    return ours


def write(file: Path, values: Mapping[str, str]) -> None:
    """Write a secrets file that only its owner can read, whole or not at all."""
    # JSON strings are YAML strings, whatever they hold.
    content = "".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items())
    if file.is_file() and file.stat().st_mode & 0o077 == 0 and file.read_text(encoding="utf-8") == content:
        return
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".partial")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(content)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


class Redactor:
    """Takes secrets out of what programs print."""

    def __init__(self, values: Sequence[str]):
        forms = {form for value in values if value for form in _forms(value)}
        # Longest first, so that no secret hides a longer one that it begins.
        parts = [re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)" for form in sorted(forms, key=len, reverse=True)]
        self._pattern = re.compile("|".join(parts)) if parts else None

    def __call__(self, text: str) -> str:
        """`text` with every secret replaced."""
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)


def _forms(value: str) -> set[str]:
    """A secret as it is, and as YAML, JSON, C++ and the shell would quote it."""
    octal = "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '\\"' else f"\\{byte:03o}" for byte in value.encode())
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], value.replace("'", "''"), repr(value)[1:-1], octal} | _key_forms(value)


def _key_forms(value: str) -> set[str]:
    """A key's bytes as a compiler that complains would quote them from the generated code."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return set()
    return {", ".join(str(byte) for byte in raw), ", ".join(f"0x{byte:02X}" for byte in raw)} if len(raw) == _KEY_BYTES else set()


def _fault(name: str, value: str) -> str | None:
    """What ESPHome would refuse; it would quote the value."""
    if name == "api_key":
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return "is not base64; make a key with: openssl rand -base64 32"
        if len(raw) != _KEY_BYTES or not any(raw):
            return f"has to be {_KEY_BYTES} random bytes in base64; make a key with: openssl rand -base64 32"
    if name == "wifi_ssid" and not 1 <= len(value.encode()) <= 32:
        return "an SSID has 1 to 32 bytes; give the name of the network"
    if name == "wifi_password" and value and not 8 <= len(value.encode()) <= 64:
        return "a Wi-Fi password has 8 to 64 characters; give it, or nothing for an open network"
    return None
