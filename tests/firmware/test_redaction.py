"""Redaction: no secret is seen, whatever a program makes of it, and what is no secret stays."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given, settings

from firmware.credentials import new_api_key
from firmware.processes import plain
from firmware.redaction import REDACTED, Redactor, without_concealed
from tests.firmware.quoting import PASSWORDS, TOKEN, WAYS


@settings(max_examples=100)
@given(secret=PASSWORDS)
@example(secret=f"pa\"ss\\wörd 'x'{TOKEN}")
@example(secret=f"  {TOKEN}\\ ")
def test_a_secret_is_found_however_it_is_written(secret: str) -> None:
    bare = secret.strip(" ")
    # What a secret looks like in all languages takes longer to prepare than to find.
    redact, redact_bare = Redactor([secret]), Redactor([bare])
    for way, written in WAYS.items():
        assert redact_bare(f"before <{written(bare)}> after") == f"before <{REDACTED}> after", way
        # Of the spaces around it some may stay, and what stands for them.
        shown = redact(f"before <{written(secret)}> after")
        assert REDACTED in shown, way
        assert TOKEN not in shown, way


@pytest.mark.parametrize(
    "form", [lambda raw: ", ".join(map(str, raw)), lambda raw: ", ".join(f"0x{byte:02X}" for byte in raw), bytes.hex]
)
def test_a_key_is_found_in_generated_code(form: object) -> None:
    key = new_api_key()
    assert callable(form)
    assert Redactor([key])("{" + form(base64.b64decode(key)) + "}") == "{[redacted]}"


def test_a_short_name_leaves_words_alone() -> None:
    redact = Redactor(["net", ""])
    assert redact("the network is net, 'net'") == "the network is [redacted], '[redacted]'"
    assert Redactor([])("nothing") == "nothing"
    assert Redactor(["   a    "])("a banana") == "[redacted] banana"
    assert Redactor([" " * 8])("a word") == "a word"


def test_a_secret_that_begins_another_does_not_hide_it() -> None:
    assert Redactor(["house", "household"])("household house") == "[redacted] [redacted]"


def test_what_is_concealed_stays_concealed() -> None:
    assert (
        plain("\x1b[32mSSID: \x1b[8m'home'\x1b[28m, \x1b[8m(00:11)\x1b[0m 5 dB\x1b[m")
        == "SSID: [redacted], [redacted] 5 dB"
    )
    assert plain("never ends \x1b[8mhome") == "never ends [redacted]"
    assert without_concealed(r"password: \033[8mmy \033[28m pass\033[28m") == "password: [redacted]"
    assert plain("nothing to hide \x1b[1m8\x1b[0m") == "nothing to hide 8"
