"""The Home Assistant add-on: what its description says, and that its folder holds all that its image is built of.

The keys and their types are those of https://developers.home-assistant.io/docs/apps/configuration, "App configuration".
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from studio.cli import studio_app

ROOT = Path(__file__).parents[2]
ADDON = ROOT / "home_assistant" / "wake_word_studio"
REQUIRED: dict[str, type | re.Pattern[str]] = {
    "name": str,
    "version": re.compile(r"[0-9A-Za-z.+-]+"),
    "slug": re.compile(r"[A-Za-z0-9_.-]+"),
    "description": str,
    "arch": list,
}
OPTIONAL: dict[str, type | re.Pattern[str]] = {
    "boot": re.compile("auto|manual|manual_only"),
    "startup": re.compile("initialize|system|services|application|once"),
    "ingress": bool,
    "ingress_port": int,
    "ingress_entry": str,
    "ingress_stream": bool,
    "panel_icon": re.compile("mdi:[a-z0-9-]+"),
    "panel_title": str,
    "panel_admin": bool,
    "uart": bool,
    "map": list,
    "environment": dict,
    "backup_exclude": list,
    "timeout": int,
    "url": str,
    "image": str,
    "stage": re.compile("stable|experimental|deprecated"),
    "options": dict,
    "schema": dict,
}
"""Of the documented keys those that leave the house as safe as it was: none opens a port, gives access to the host, to
the Supervisor or to Home Assistant, or takes its protection away."""
MAPPED = {
    "homeassistant_config",
    "addon_config",
    "ssl",
    "addons",
    "backup",
    "share",
    "media",
    "all_addon_configs",
    "data",
}
ARCHITECTURES = {"aarch64", "amd64", "armv7", "armhf", "i386"}


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ADDON / "config.yaml").read_text())
    return read


@pytest.fixture(scope="module")
def instructions() -> list[str]:
    return read_instructions(ADDON / "Dockerfile")


def read_instructions(file: Path) -> list[str]:
    lines = file.read_text().replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line and not line.startswith("#")]


def test_its_description_has_documented_keys_of_the_documented_types(config: dict[str, Any]) -> None:
    assert set(REQUIRED) <= set(config) <= set(REQUIRED) | set(OPTIONAL)
    for key, value in config.items():
        kind = (REQUIRED | OPTIONAL)[key]
        if isinstance(kind, re.Pattern):
            assert isinstance(value, str), key
            assert kind.fullmatch(value), key
        else:
            assert type(value) is kind, key
    assert set(config["arch"]) <= ARCHITECTURES
    assert all(isinstance(value, str) for value in config["environment"].values())
    for folder in config["map"]:
        assert set(folder) <= {"type", "read_only", "path"}
        assert folder["type"] in MAPPED
    repository = yaml.safe_load((ADDON.parent / "repository.yaml").read_text())
    assert {"name"} <= set(repository) <= {"name", "url", "maintainer"}


def test_it_is_of_this_version_and_for_machines_that_its_packages_are_for(config: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert config["version"] == project["project"]["version"]
    machines = re.findall(r"platform_machine == '(\w+)'", str(project["tool"]["uv"]["environments"]))
    assert [{"x86_64": "amd64"}[one] for one in machines] == config["arch"]


def test_the_gateway_alone_reaches_it_and_what_is_made_outlives_it(
    config: dict[str, Any], instructions: list[str]
) -> None:
    (entry,) = [json.loads(line.partition(" ")[2]) for line in instructions if line.startswith("ENTRYPOINT ")]
    assert entry[0] == "mww-studio"
    given = typer.main.get_command(studio_app).make_context(entry[0], entry[1:]).params
    assert config["ingress"] is True
    assert given["behind_ingress"] == "172.30.32.2", "the only address that the documentation lets in"
    assert given["port"] == config["ingress_port"]
    assert given["listen"] == "0.0.0.0"
    writable = {f"/{folder['type']}" for folder in config["map"] if folder["read_only"] is False}
    assert any(given["workspace"].is_relative_to(folder) for folder in writable)
    assert Path(config["environment"]["XDG_CACHE_HOME"]).is_relative_to("/data")
    assert Path(config["environment"]["XDG_CACHE_HOME"]).name in config["backup_exclude"]


def test_it_is_built_as_the_container_is(instructions: list[str]) -> None:
    container = read_instructions(ROOT / "Containerfile")

    def but_copies(lines: list[str]) -> list[str]:
        installs = next(number for number, line in enumerate(lines) if "pip install" in line)
        return [line for line in lines[: installs + 1] if not line.startswith("COPY ")]

    assert but_copies(instructions) == but_copies(container)
    assert [line for line in instructions if line.startswith("COPY ")] == ["COPY project ./"]


def test_its_folder_holds_what_the_image_is_built_of(tmp_path: Path) -> None:
    def write() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / "home_assistant.py"), str(tmp_path / "repository")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = write()
    assert done.returncode == 0, done.stderr
    made = tmp_path / "repository" / "wake_word_studio"
    copied = [line.split()[1:-1] for line in read_instructions(ROOT / "Containerfile") if line.startswith("COPY ")]
    for name in (name for names in copied for name in names):
        source, target = ROOT / name, made / "project" / name
        assert target.exists(), name
        if source.is_file():
            assert target.read_bytes() == source.read_bytes()
        else:
            wanted = {path.relative_to(source) for path in source.rglob("*") if "__pycache__" not in path.parts}
            assert {path.relative_to(target) for path in target.rglob("*")} == wanted
    # The Supervisor takes every file of this name, at any depth, for the description of an add-on.
    found = [path for path in (tmp_path / "repository").rglob("config.*") if path.suffix in (".yaml", ".yml", ".json")]
    assert found == [made / "config.yaml"]
    assert (tmp_path / "repository" / "repository.yaml").is_file()
    again = write()
    assert again.returncode == 1
    assert again.stderr == f"error: {tmp_path / 'repository'}: is there already; name a new folder\n"
    assert [path.name for path in tmp_path.iterdir()] == ["repository"], "nothing half-written is left"
