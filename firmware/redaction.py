"""Text without secrets, however a program quotes them, and without what a program conceals."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
import shlex
import urllib.parse
from collections.abc import Iterator, Sequence

from firmware import esphome_yaml

REDACTED = "[redacted]"

_SHORT = 4
"""Secrets below this length are only taken out as whole words: the name of a network may be a letter."""
_KEY_BYTES = 32
# ESPHome's boards conceal text with ESC; its `config` writes the four characters \033 instead.
_CONCEALED_ON_A_TERMINAL = re.compile(r"\x1b\[8m.*?(?:\x1b\[(?:28|0)?m|$)")
_CONCEALED_IN_TEXT = re.compile(r"\\033\[8m.*(?:\\033\[28m|$)")


class Redactor:
    """Takes secrets out of text."""

    def __init__(self, values: Sequence[str]):
        forms = {form for value in values if value for form in _forms(value)}
        # Longest first, so that no secret hides a longer one that it begins.
        parts = [
            re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in sorted(forms, key=len, reverse=True)
        ]
        self._pattern = re.compile("|".join(parts)) if parts else None

    def __call__(self, text: str) -> str:
        """`text` with every secret replaced, as it is or as YAML, JSON, C++, a shell, HTML, an address, base64 or
        hexadecimal digits would write it.
        """
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)


def without_concealed(text: str) -> str:
    """`text`, one line, with what is not to be seen on a terminal (`ESC[8m` to `ESC[28m`) replaced."""
    return _CONCEALED_IN_TEXT.sub(REDACTED, _CONCEALED_ON_A_TERMINAL.sub(REDACTED, text))


def _forms(value: str) -> set[str]:
    """All that stands for a secret in a text. Spaces around it may be left: programs drop them."""
    bare = value.strip(" ")
    if not bare:
        return {value}
    quoted = set(_quoted(bare))
    # A program may show what another one said: quoted once more.
    quoted |= {again for form in quoted for again in (_in_json(form), repr(form)[1:-1])}
    return (
        quoted
        | {
            form
            for text in (value, bare)
            if len(bare) >= _SHORT
            for form in _encoded(text.encode(errors="surrogatepass"))
        }
        | set(_key_forms(value))
    )


def _quoted(text: str) -> Iterator[str]:
    """A text between the quotes of languages."""
    raw = text.encode(errors="surrogatepass")
    yield text
    yield _in_json(text)
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield repr(raw)[2:-1]
    yield text.replace("'", "''")
    yield from (esphome_yaml.in_double_quotes(text, unicode=unicode) for unicode in (True, False))
    yield "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '\\"' else f"\\{byte:03o}" for byte in raw)
    yield from ("".join(pattern.format(byte) for byte in raw) for pattern in ("\\x{:02x}", "\\x{:02X}"))
    yield shlex.quote(text).strip("'")
    yield re.sub(r"(\W)", r"\\\1", text)
    yield html.escape(text)
    for quote in (urllib.parse.quote, urllib.parse.quote_plus):
        for safe in ("", "/"):
            address = quote(raw, safe=safe)
            yield address
            yield re.sub(r"%..", lambda match: match.group().lower(), address)


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _encoded(raw: bytes) -> Iterator[str]:
    """Bytes as base64 and as hexadecimal digits."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        padded = encode(raw).decode()
        yield from (padded, padded.rstrip("="))
    for digits in ("{:02x}", "{:02X}"):
        yield from (between.join(digits.format(byte) for byte in raw) for between in ("", " ", ":"))
        yield ", ".join(f"0x{digits.format(byte)}" for byte in raw)


def _key_forms(value: str) -> Iterator[str]:
    """A key's bytes as a compiler that complains would quote them from the generated code."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(raw) == _KEY_BYTES:
        yield ", ".join(str(byte) for byte in raw)
        yield from _encoded(raw)
