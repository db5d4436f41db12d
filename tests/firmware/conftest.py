"""Fixtures of the firmware tests: the real ESPHome where it can be had, and a stand-in that fails as it is told."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware.build import Firmware, api_key
from firmware.virtual.program import VirtualProgram
from wakeword.contract import ESPHOME_VERSION

SECRETS = {
    "MWW_API_KEY": "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMsIDMyIGJ5dGU=",
    "MWW_WIFI_SSID": 'Tests\' "own" network',
    "MWW_WIFI_PASSWORD": "pass\\wörd: 12'34",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test finds the secrets, or the secrets file, of whoever runs it."""
    for variable in SECRETS:
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Secrets in the environment, with all the signs that quoting could get wrong."""
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    return SECRETS


@pytest.fixture
def manifest(official_models: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of an official model with changes to its manifest; `micro` values by their own names."""

    def make(base: str = "alexa", /, **changes: object) -> Path:
        folder = tmp_path / "manifests"
        folder.mkdir(exist_ok=True)
        shutil.copy(official_models / f"{base}.tflite", folder)
        content = json.loads((official_models / f"{base}.json").read_text())
        for key, value in changes.items():
            (content["micro"] if key in content["micro"] else content)[key] = value
        path = folder / f"{base}-{len(list(folder.iterdir()))}.json"
        path.write_text(json.dumps(content))
        return path

    return make


STAND_IN = """#!{python}
import os, sys
from pathlib import Path
command = sys.argv[1]
if command == "version":
    print("Version: {version}")
    sys.exit(0)
print("ran", *sys.argv[1:], flush=True)
script = Path(os.environ["STAND_IN"], command + ".py")
if script.exists():
    exec(script.read_text())
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """An esphome that runs Python text instead of each command: `stand_in(config="print(1)",
    compile="sys.exit(1)")`."""
    folder = tmp_path / "stand-in"
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "esphome"
    program.write_text(STAND_IN.format(python=sys.executable, version=ESPHOME_VERSION))
    program.chmod(0o755)
    monkeypatch.setenv("MWW_ESPHOME_ENV", str(folder))
    monkeypatch.setenv("STAND_IN", str(folder))

    def behave(**commands: str) -> None:
        for command, text in commands.items():
            (folder / f"{command}.py").write_text(text)

    return behave


@pytest.fixture
def program(host_firmware: Firmware) -> Iterator[VirtualProgram]:
    """The virtual board's program, running."""
    assert host_firmware.program is not None
    running = VirtualProgram(host_firmware.program)
    running.start()
    yield running
    running.remove()


@pytest.fixture
def key(host_firmware: Firmware) -> str:
    """Of the API of `host_firmware`."""
    return api_key(host_firmware.folder)
