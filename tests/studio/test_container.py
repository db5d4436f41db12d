"""The Containerfile, as far as it can be tried without a registry of images: what it copies, installs and starts."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import typer.main

from studio.cli import studio_app

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def arguments_of(instruction: str) -> list[str]:
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{instruction} ")]


def test_every_package_of_the_project_is_copied_and_nothing_is_missing() -> None:
    copied = {name for line in arguments_of("COPY") for name in line.split()[:-1]}
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages < copied
    assert all((ROOT / name).exists() for name in copied)
    allowed = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed


def test_its_extras_exist_and_bring_the_studio() -> None:
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', "\n".join(arguments_of("RUN")))
    assert {"studio", "train"} <= set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])


def test_the_studio_takes_its_command_line() -> None:
    (entry,) = arguments_of("ENTRYPOINT")
    name, *arguments = json.loads(entry)
    assert name in PROJECT["project"]["scripts"]
    command = typer.main.get_command(studio_app)
    context = command.make_context(name, arguments)
    assert (str(context.params["workspace"]), context.params["listen"]) == ("/workspace", "0.0.0.0")
    assert arguments_of("USER") == ["studio"]
    assert arguments_of("EXPOSE") == [str(context.params["port"])]
