"""The configurations of docs/deploy.md, given to ESPHome as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware.toolenv import neutral_environment

if TYPE_CHECKING:
    from firmware.toolenv import ToolEnvironment

GUIDE = Path(__file__).parents[2] / "docs" / "deploy.md"
SECRETS = "api_key: c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMsIDMyIGJ5dGU=\nwifi_ssid: network\nwifi_password: password\n"


def configurations() -> dict[str, str]:
    """The YAML of the guide by the file name in its first line."""
    blocks = re.findall(r"```yaml\n# (\S+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert [name for name, _ in blocks] == ["kitchen.yaml", "voice.yaml", "cutoff.yaml"]
    return dict(blocks)


@pytest.fixture
def folder(official_models: Path, tmp_path: Path) -> Path:
    """A device's folder with the files of the guide; the vendor's configuration is a local one with a model
    of its own."""
    content = json.loads((official_models / "alexa.json").read_text())
    (tmp_path / "okay_house.json").write_text(
        json.dumps(content | {"wake_word": "Okay House", "model": "okay_house.tflite"})
    )
    shutil.copy(official_models / "alexa.tflite", tmp_path / "okay_house.tflite")
    for suffix in (".json", ".tflite"):
        shutil.copy(official_models / f"okay_nabu{suffix}", tmp_path)
    (tmp_path / "secrets.yaml").write_text(SECRETS)
    guide = configurations()
    (tmp_path / "kitchen.yaml").write_text(guide["kitchen.yaml"])
    (tmp_path / "vendor.yaml").write_text(guide["kitchen.yaml"].replace("okay_house.json", "okay_nabu.json"))
    for name in ("voice.yaml", "cutoff.yaml"):
        text, replaced = re.subn(r"github://\S+", "!include vendor.yaml", guide[name])
        (tmp_path / name).write_text(text if replaced else f"packages:\n  vendor: !include vendor.yaml\n{text}")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "models", "said"),
    [
        ("kitchen.yaml", ["okay_house.json"], ""),
        ("voice.yaml", ["okay_nabu.json", "okay_house.json"], ""),
        ("cutoff.yaml", ["okay_nabu.json", "okay_house.json"], "probability_cutoff: 0.9"),
    ],
)
def test_esphome_takes_it(name: str, models: list[str], said: str, folder: Path, esphome: ToolEnvironment) -> None:
    command: list[str | Path] = [esphome.esphome, "config", name]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=neutral_environment(), timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [Path(path).name for path in re.findall(r"path: (\S+\.json)", done.stdout)] == models
    assert said in done.stdout
