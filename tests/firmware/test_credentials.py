"""Secrets: where they come from, what is refused, and that nobody sees them."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from firmware.credentials import VARIABLES, api_key, collect, keep_private, new_api_key, read, write
from wakeword.errors import ConfigError

ALL = tuple(VARIABLES)


def test_the_environment_goes_before_the_file_and_the_file_before_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    with pytest.raises(
        ConfigError,
        match=(
            "api_key, wifi_password missing: set MWW_API_KEY, MWW_WIFI_PASSWORD, or put them into a file for --secrets"
        ),
    ):
        collect(ALL, None, {"wifi_ssid": "net"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "this is no key"),
        ("api_key", base64.b64encode(b"too short").decode()),
        ("api_key", base64.b64encode(bytes(32)).decode()),
        ("wifi_ssid", "an SSID that is far too long to be one"),
        ("wifi_ssid", "zero\0inside"),
        ("wifi_password", "seven77"),
        ("wifi_password", "sévèn77"),
        ("wifi_password", "64 characters of which at least one is no hexadecimal digit ...."),
        ("wifi_password", "0123456789abcdef" * 4 + "0"),
        ("wifi_password", "zero\0inside"),
        ("wifi_password", "line\nfeed behind\n"),
        ("wifi_password", "half a pair \ud83d"),
    ],
)
def test_a_wrong_secret_is_refused_without_being_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "environ", {VARIABLES[name]: value})  # the real one holds no zero byte
    with pytest.raises(ConfigError, match=f"^{VARIABLES[name]}: ") as raised:
        collect((name,), None, {})
    assert value not in str(raised.value)
    assert "\n" not in str(raised.value)
    monkeypatch.setattr(os, "environ", {})
    file = tmp_path / "mine.yaml"
    write(file, {name: value})
    with pytest.raises(ConfigError, match=f"mine.yaml: {name}: "):
        collect((name,), file, {})
    with pytest.raises(ConfigError, match=f"the earlier build's secrets.yaml: {name}: "):
        collect((name,), None, {name: value})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"wifi_password: [hunter2hunter2", "is not YAML"),
        (b"hunter2hunter2", "holds no names and values"),
        (b"wifi_password: 12345678", "wifi_password is not text; put it in quotes"),
        (b"wifi_password: \xff\xfe", "is not UTF-8"),
        (
            b"wifi_password: hunter2hunter2 #1",
            "the value of wifi_password ends before a #, which begins a comment; put the value in quotes",
        ),
        (b"wifi_password: !literal [hunter2hunter2]", "is not YAML"),
        (b'wifi_password: "hunter2\\hunter2"', "is not YAML"),
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


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"\xef\xbb\xbfwifi_password: hunter2hunter2\r\n", "hunter2hunter2"),
        (b"wifi_password: 'my$target' # at home", "my$target"),
        (b'wifi_password: !literal "my$target"', "my$target"),
        (b"other: 1 # comment\nwifi_password: hunter2#hunter2", "hunter2#hunter2"),
        (b"wifi_password: '  spaces  '", "  spaces  "),
        (b"wifi_password: '" + b"0123456789abcdef" * 4 + b"'", "0123456789abcdef" * 4),
    ],
)
def test_a_password_is_what_the_file_says(content: bytes, password: str, tmp_path: Path) -> None:
    file = tmp_path / "secrets.yaml"
    file.write_bytes(content)
    assert collect(("wifi_password",), file, {}) == {"wifi_password": password}


def test_a_private_folder_is_closed_to_the_last_file(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.touch(0o644)
    (folder / "below").mkdir(parents=True)
    for name, mode in (("source", 0o644), ("below/program", 0o755)):
        (folder / name).touch()
        (folder / name).chmod(mode)
    (folder / "link").symlink_to(outside)
    keep_private(folder)
    assert {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))} == {
        "folder": 0o700, "below": 0o700, "source": 0o600, "program": 0o700, "link": outside.stat().st_mode & 0o777
    }  # fmt: skip
