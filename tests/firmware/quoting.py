"""Secrets for tests, and the ways in which programs write a text."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shlex
import urllib.parse
from collections.abc import Callable

import yaml
from hypothesis import strategies as st

TOKEN = "Zq7Wx9"
"""In each secret of these tests, and in nothing else: where it stands, a secret stands, in whole or in part."""
TYPABLE = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
TRICKY = st.sampled_from(
    [
        "$name",
        "${name}",
        "${target}",
        "$",
        "${",
        "}",
        '${"a"*9}',
        "<% x %>",
        "{{",
        "\\",
        "\\n",
        "'",
        '"',
        "''",
        " ",
        "  ",
        "#",
        ": ",
        "!secret x",
        "%s",
        "é",
        "😀",
        "&",
        "*",
        "-",
        "\\033[28m",
    ]
)


def _secret(parts: list[str], at: int, least: int, most: int) -> str:
    at = min(at, len(parts))
    text = "".join((*parts[:at], TOKEN, *parts[at:]))
    while len(text.encode()) > most:
        parts = parts[:-1]
        at = min(at, len(parts))
        text = "".join((*parts[:at], TOKEN, *parts[at:]))
    return text + "x" * (least - len(text))


def secrets_of(least: int, most: int) -> st.SearchStrategy[str]:
    """Texts of `least` to `most` bytes of UTF-8 with the token in them, and all that quoting and substitution could
    change.
    """
    return st.builds(
        _secret, st.lists(TRICKY | TYPABLE, max_size=24), st.integers(0, 24), st.just(least), st.just(most)
    )


PASSWORDS = secrets_of(8, 63)
SSIDS = secrets_of(1, 32)


def in_cpp(text: str) -> str:
    """As ESPHome writes a string into C++: bytes that are not printable ASCII in octal."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '\\"' else f"\\{byte:03o}" for byte in text.encode()
    )


def _yaml_in_double_quotes(text: str) -> str:
    stream = io.StringIO()
    yaml.safe_dump(text, stream, default_style='"', width=1000)
    return stream.getvalue().strip()[1:-1]


WAYS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "Python": lambda text: repr(text)[1:-1],
    "Python's bytes": lambda text: repr(text.encode())[2:-1],
    "C++": in_cpp,
    "C, hexadecimal": lambda text: "".join(f"\\x{byte:02X}" for byte in text.encode()),
    "YAML, single quotes": lambda text: text.replace("'", "''"),
    "YAML, double quotes": _yaml_in_double_quotes,
    "shell": lambda text: shlex.quote(text).strip("'"),
    "shell, backslashes": lambda text: re.sub(r"([^\w])", r"\\\1", text),
    "address": urllib.parse.quote,
    "form": urllib.parse.quote_plus,
    "HTML": html.escape,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hexadecimal digits": lambda text: text.encode().hex(),
    "bytes": lambda text: ", ".join(f"0x{byte:02X}" for byte in text.encode()),
}
