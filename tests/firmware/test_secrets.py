"""Secrets on their whole way: what is given stands in the program that the real ESPHome generates, and nobody else can
read it anywhere.
"""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from firmware import credentials, project
from firmware.credentials import SECRETS_FILE, VARIABLES
from firmware.esphome import Esphome
from firmware.models import check_models
from firmware.toolenv import ToolEnvironment
from tests.commands import Done, run_apart
from tests.firmware.quoting import PASSWORDS, SSIDS, TOKEN, WAYS

TARGET = "esp32-s3-devkitc-1"
KEYS = st.binary(min_size=32, max_size=32).filter(any).map(lambda raw: base64.b64encode(raw).decode())
HARD = [
    "my$target",
    "secret$name",
    "pa${name}ss",
    '${"a"*9}xx',
    "REPLACEME",
    "<% x %>${",
    "😀 ${target}",
    "'\"\\ \\n",
    "        ",
    "yes",
    "!secret wifi_ssid",
    "\\033[8mx\\033[28m",
]
ONE_BY_ONE = settings(
    max_examples=2,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""An example takes seconds, and holds so many secrets that there is no need for a smaller one."""


def in_program(source: str, call: str) -> list[str]:
    """The text of each `call("…")` in generated C++."""
    written = re.findall(rf'{call}\("((?:[^"\\]|\\.)*)"\)', source)
    return [
        re.sub(rb"\\([0-7]{3})", lambda digits: bytes([int(digits.group(1), 8)]), text.encode()).decode()
        for text in written
    ]


def key_in_program(source: str) -> bytes:
    """The key's bytes in generated C++."""
    match = re.search(r"noise_psk\[?\w*\]?\s*=?\s*(?:PROGMEM\s*=\s*)?\{([^}]*)\}", source)
    assert match is not None
    return bytes(int(part, 0) for part in match.group(1).split(","))


def assert_unseen(secrets: list[str], folder: Path, shown: str) -> None:
    """No file of the folder that others may read, nor its log, nor what was shown, holds a secret in any form; TOKEN
    stands for the secrets with it.
    """
    forms = {
        form.encode()
        for secret in secrets
        for form in (
            {TOKEN, WAYS["base64"](secret), secret.encode().hex()} if TOKEN in secret else set(map_ways(secret))
        )
    }
    assert not [form for form in forms if form in shown.encode()]
    for path in filter(Path.is_file, folder.rglob("*")):
        content = path.read_bytes()
        if any(form in content for form in forms):
            assert path.name == SECRETS_FILE or path.is_relative_to(folder / ".esphome"), path
            assert path.stat().st_mode & 0o077 == 0, path


def map_ways(secret: str) -> list[str]:
    """A secret as programs write it; but for what stands in any program anyway."""
    return [way(secret) for way in WAYS.values()] if len(secret.strip()) >= 8 and secret != "REPLACEME" else []


@ONE_BY_ONE
@given(
    passwords=st.lists(PASSWORDS, min_size=24, max_size=24),
    ssids=st.lists(SSIDS, min_size=24, max_size=24, unique=True),
    key=KEYS,
)
@example(
    passwords=[*(text.ljust(8, "x") for text in HARD), ""], ssids=HARD, key=base64.b64encode(bytes(31) + b"\1").decode()
)
def test_any_secret_arrives_as_given_and_is_seen_nowhere(
    passwords: list[str],
    ssids: list[str],
    key: str,
    esphome: ToolEnvironment,
    official_models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """One project with many networks: each secret goes the way of the one that a board has."""
    folder = tmp_path_factory.mktemp("project")
    networks = list(zip(ssids, passwords, strict=False))
    secrets = {"api_key": key}
    for index, (ssid, password) in enumerate(networks):
        given_ones = {"wifi_ssid": ssid, "wifi_password": password}
        assert credentials.collect(tuple(given_ones), None, given_ones) == given_ones
        secrets |= {f"ssid_{index}": ssid, f"password_{index}": password}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "CONFIGS", with_networks(len(networks), folder / "configs"))
        made = project.render(
            TARGET, "bench", check_models([official_models / "alexa.json"]), secrets, folder / "made", esphome
        )
    made.private.mkdir()
    with Esphome(made, esphome, lambda *_: None) as program:
        program.validate()
        program.generate()
    source = (made.private / "build" / "bench" / "src" / "main.cpp").read_text(encoding="utf-8")
    assert in_program(source, "set_ssid") == [ssid for ssid, _ in networks]
    assert in_program(source, "set_password") == [password for _, password in networks if password]
    assert key_in_program(source) == base64.b64decode(key)
    assert_unseen([*passwords, *ssids, key], made.folder, "\n".join(program.lines) + repr(made))


def with_networks(count: int, folder: Path) -> Path:
    """The configurations of the project, for boards that know `count` networks."""
    shutil.copytree(project.CONFIGS, folder)
    package = folder / "packages" / "esp32-s3.yaml"
    one = "  ssid: !secret wifi_ssid\n  password: !secret wifi_password\n"
    text = package.read_text()
    assert text.count(one) == 1
    many = "".join(
        f"    - ssid: !secret ssid_{index}\n      password: !secret password_{index}\n" for index in range(count)
    )
    package.write_text(text.replace(one, f"  networks:\n{many}"))
    return folder


def build(folder: Path, secrets: Path) -> Done:
    import pymicro_wakeword

    model = Path(pymicro_wakeword.__file__).parent / "models" / "alexa.json"
    # In a process of its own: what a program that it starts prints past Python is seen there too.
    return run_apart(
        None,
        "mww-firmware",
        "build",
        "--target",
        TARGET,
        "--model",
        model,
        "--generate-only",
        "--secrets",
        secrets,
        "--output",
        folder,
    )


def assert_built(ssid: str, password: str, key: str, style: str | None, folder: Path) -> None:
    folder.mkdir()
    file = folder / "mine.yaml"
    file.write_text(
        yaml.safe_dump(
            {"wifi_ssid": ssid, "wifi_password": password, "api_key": key}, default_style=style, width=10_000
        ),
        encoding="utf-8",
    )
    done = build(folder / "made", file)
    assert done.returncode == 0, done.stderr
    source = (folder / "made" / ".esphome" / "build" / f"mww-{TARGET}" / "src" / "main.cpp").read_text(encoding="utf-8")
    assert (in_program(source, "set_ssid"), in_program(source, "set_password"), key_in_program(source)) == (
        [ssid],
        [password],
        base64.b64decode(key),
    )
    assert_unseen([ssid, password, key], folder / "made", done.stdout + done.stderr)


def test_the_command_keeps_a_secret(esphome: ToolEnvironment, tmp_path: Path) -> None:
    assert esphome.version
    assert_built(
        f'{TOKEN} ${{name}} "home"',
        f'{TOKEN}${{name}}${{"a"*9}}\\ \'$target',
        credentials.new_api_key(),
        "'",
        tmp_path / "one",
    )


@pytest.mark.slow
@settings(ONE_BY_ONE, max_examples=12)
@given(ssid=SSIDS, password=PASSWORDS, key=KEYS, style=st.sampled_from([None, '"', "'"]))
def test_the_command_keeps_any_secret(
    ssid: str,
    password: str,
    key: str,
    style: str | None,
    esphome: ToolEnvironment,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    assert esphome.version
    assert_built(ssid, password, key, style, tmp_path_factory.mktemp("any") / "one")


def test_what_is_no_password_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    credentials.write(
        file, {"wifi_ssid": "home", "wifi_password": f"{TOKEN}\0inside", "api_key": credentials.new_api_key()}
    )
    done = build(tmp_path / "made", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {file}: wifi_password: ")
    assert len(done.stderr.splitlines()) == 1
    assert TOKEN not in done.stderr
    assert not (tmp_path / "made").exists()


def test_bytes_that_are_no_text_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    credentials.write(file, {"wifi_ssid": "home", "api_key": credentials.new_api_key()})
    monkeypatch.setenv(VARIABLES["wifi_password"], f"{TOKEN}\udcff\udcfe")
    done = build(tmp_path / "made", file)
    assert done.returncode == 2
    assert (
        "error: MWW_WIFI_PASSWORD: holds an end of a line, another control character or bytes that are no UTF-8"
        in done.stderr
    )
    assert TOKEN not in done.stderr
