"""Secrets: where they come from, what is refused, and that nobody sees them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from firmware import credentials
from firmware.credentials import VARIABLES, Redactor, api_key, collect, new_api_key, read, write
from wakeword.errors import ConfigError

ALL = tuple(VARIABLES)


def test_the_environment_goes_before_the_file_and_the_file_before_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.yaml"
    write(file, {"wifi_ssid": "of the file", "wifi_password": "password of the file"})
    monkeypatch.setenv("MWW_WIFI_SSID", "of the environment")
    key = new_api_key()
    found = collect(ALL, file, {"api_key": key, "wifi_ssid": "kept", "wifi_password": "password that was kept"})
    assert found == {"api_key": key, "wifi_ssid": "of the environment", "wifi_password": "password of the file"}


def test_the_default_file_is_secrets_yaml_here() -> None:
    write(Path("secrets.yaml"), {"wifi_ssid": "of the default file"})
    assert collect(("wifi_ssid",), None, {}) == {"wifi_ssid": "of the default file"}


def test_what_is_missing_is_named_with_its_variables() -> None:
    with pytest.raises(ConfigError, match="api_key, wifi_password missing: set MWW_API_KEY, MWW_WIFI_PASSWORD, or put them into a file for --secrets"):
        collect(ALL, None, {"wifi_ssid": "net"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "this is no key"),
        ("api_key", base64.b64encode(b"too short").decode()),
        ("api_key", base64.b64encode(bytes(32)).decode()),
        ("wifi_ssid", "an SSID that is far too long to be one"),
        ("wifi_password", "seven77"),
    ],
)
def test_a_wrong_secret_is_refused_without_being_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLES[name], value)
    with pytest.raises(ConfigError, match=f"^{VARIABLES[name]}: ") as raised:
        collect((name,), None, {})
    assert value not in str(raised.value)
    monkeypatch.delenv(VARIABLES[name])
    file = tmp_path / "mine.yaml"
    write(file, {name: value})
    with pytest.raises(ConfigError, match=f"mine.yaml: {name}: "):
        collect((name,), file, {})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"wifi_password: [hunter2hunter2", "is not YAML"),
        (b"hunter2hunter2", "holds no names and values"),
        (b"wifi_password: 12345678", "wifi_password is not text; put it in quotes"),
        (b"wifi_password: \xff\xfe", "is not UTF-8"),
    ],
)
def test_a_bad_file_is_refused_without_quoting_it(content: bytes, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "secrets.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as raised:
        read(file)
    assert "hunter2" not in str(raised.value)
    assert "12345678" not in str(raised.value)
    assert raised.value.__cause__ is None or "hunter2" not in str(raised.value.__cause__)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the secrets"):
        collect(("api_key",), tmp_path / "none.yaml", {})


def test_the_written_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secrets.yaml"
    file.write_text("everybody: reads this\n")
    file.chmod(0o644)
    values = {"api_key": new_api_key(), "wifi_password": "a \"quoted\" 'one' \\ with ümlaut"}
    write(file, values)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read(file) == values
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [file]


def test_the_key_of_a_firmware_can_be_read_back(tmp_path: Path) -> None:
    key = new_api_key()
    assert len(base64.b64decode(key)) == 32
    assert key != new_api_key()
    with pytest.raises(ConfigError, match="mww-firmware build"):
        api_key(tmp_path)
    write(tmp_path / "secrets.yaml", {"wifi_ssid": "net"})
    with pytest.raises(ConfigError, match="holds no api_key"):
        api_key(tmp_path)
    write(tmp_path / "secrets.yaml", {"api_key": key})
    assert api_key(tmp_path) == key


def test_redaction_finds_a_secret_however_it_is_quoted() -> None:
    secret = "pa\"ss\\wörd 'x'"
    redact = Redactor([secret])
    in_cpp = "".join(f"\\{byte:03o}" if not 32 <= byte < 127 or chr(byte) in '"\\' else chr(byte) for byte in secret.encode())
    for form in (secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret), in_cpp):
        shown = redact(f"before {form} after")
        assert credentials.REDACTED in shown
        assert "ss" not in shown.replace("[redacted]", "")
        assert shown.startswith("before ")
        assert shown.endswith(" after")


def test_redaction_finds_a_key_in_generated_code() -> None:
    key = new_api_key()
    raw = base64.b64decode(key)
    redact = Redactor([key])
    assert redact("{" + ", ".join(map(str, raw)) + "}") == "{[redacted]}"
    assert redact("{" + ", ".join(f"0x{byte:02X}" for byte in raw) + "}") == "{[redacted]}"


def test_redaction_of_a_short_name_leaves_words_alone() -> None:
    redact = Redactor(["net", ""])
    assert redact("the network is net, 'net'") == "the network is [redacted], '[redacted]'"
    assert Redactor([])("nothing") == "nothing"


def test_a_secret_that_begins_another_does_not_hide_it() -> None:
    assert Redactor(["house", "household"])("household house") == "[redacted] [redacted]"
