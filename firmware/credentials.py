"""The API key and the Wi-Fi access of a board: from the environment or a secrets file, into the project's secrets.yaml,
and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import string
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from firmware import esphome_yaml
from wakeword.errors import ConfigError
from wakeword.reading import RepeatedKey, decoded

VARIABLES = {"api_key": "MWW_API_KEY", "wifi_ssid": "MWW_WIFI_SSID", "wifi_password": "MWW_WIFI_PASSWORD"}
"""Name in a secrets file, and the variable of the environment that goes before it."""
SECRETS_FILE = "secrets.yaml"
"""Both the default file to read, beside the user, and the one in each project, where ESPHome looks for it."""

_KEY_BYTES = 32
_RAW_KEY_DIGITS = 64
_UNTYPABLE = ("Cc", "Cs", "Zl", "Zp")
"""Categories of Unicode that no password holds: control characters, half a surrogate pair, ends of lines and
paragraphs."""


def collect(names: Sequence[str], file: Path | None, kept: Mapping[str, str]) -> dict[str, str]:
    """The secrets `names`: of the environment first, then of `file` (default: ./secrets.yaml where it exists), then
    those `kept` by the project.

    Raises `ConfigError` for a file that cannot be read and for a secret that is missing or cannot be right. No message
    holds a secret.
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
            found[name], where = kept[name], f"the earlier build's {SECRETS_FILE}: {name}"
        else:
            continue
        if (fault := _fault(name, found[name])) is not None:
            raise ConfigError(f"{where}: {fault}")
    missing = [name for name in names if name not in found]
    if missing:
        variables = ", ".join(VARIABLES[name] for name in missing)
        raise ConfigError(
            f"{', '.join(missing)} missing: set {variables}, or put {'it' if len(missing) == 1 else 'them'} into a file"
            " for --secrets"
        )
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
    """Our secrets in a YAML file of names and values; other names in it are not ours. Raises `ConfigError`, without a
    word of the content.
    """
    try:
        text = decoded(file.read_bytes())
        content = esphome_yaml.load(text)
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot read the secrets ({error.strerror}); check the path and its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text; write the secrets as 'name: value', one a line") from error
    except RepeatedKey as error:
        name = f"{error.key} stands" if error.key in VARIABLES else "a name stands"
        raise ConfigError(
            f"{file}: {name} there twice, in line {error.lines[0]} and in line {error.lines[1]}; remove one of them"
        ) from None
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
    if (cut := _cut_off(text)) is not None:
        raise ConfigError(
            f"{file}: the value of {cut} ends before a #, which begins a comment; put the value in quotes, with or"
            " without the #"
        )
    return ours


def write(file: Path, values: Mapping[str, str]) -> None:
    """Write a secrets file that only its owner can read, whole or not at all."""
    content = esphome_yaml.dump(dict(values))
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


def keep_private(folder: Path) -> None:
    """Close a folder, all folders and files in it, to everybody but the owner."""
    for path, _, files in os.walk(folder):
        for entry in (Path(path), *(Path(path, name) for name in files)):
            if not entry.is_symlink() and (mode := entry.stat().st_mode) & 0o077:
                entry.chmod(mode & 0o700)


def _fault(name: str, value: str) -> str | None:
    """What ESPHome would refuse; it would quote the value."""
    if name == "api_key":
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return "is not base64; make a key with: openssl rand -base64 32"
        if len(raw) != _KEY_BYTES or not any(raw):
            return f"has to be {_KEY_BYTES} random bytes in base64; make a key with: openssl rand -base64 32"
        return None
    if any(unicodedata.category(character) in _UNTYPABLE for character in value):
        return (
            "holds an end of a line, another control character or bytes that are no UTF-8; in YAML a \\ within double"
            " quotes makes some, single quotes none"
        )
    length = len(value.encode())
    if name == "wifi_ssid" and not 1 <= length <= 32:
        return "an SSID has 1 to 32 bytes; give the name of the network"
    if (
        name == "wifi_password"
        and value
        and not (len(value) >= 8 and length < _RAW_KEY_DIGITS)
        and not _is_raw_key(value)
    ):
        return (
            "a Wi-Fi password has at least 8 characters and at most 63 bytes, or is a key of 64 hexadecimal digits;"
            " give it, or nothing for an open network"
        )
    return None


def _is_raw_key(value: str) -> bool:
    """Whether a password is the key that others are hashed to (IEEE 802.11-2020, J.4.1), which a device
    takes as it is."""
    return len(value) == _RAW_KEY_DIGITS and set(value) <= set(string.hexdigits)


def _cut_off(text: str) -> str | None:
    """The first of our secrets in a readable file that is not in quotes and followed by a comment: its `#` may have
    been meant as a part of it.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    for key, value in root.value:
        if (
            key.value in VARIABLES
            and isinstance(value, yaml.ScalarNode)
            and value.style is None
            and "#" in text[value.end_mark.index :].partition("\n")[0]
        ):
            return str(key.value)
    return None
