"""What README and docs tell a reader to type, tried as it is printed.

Every shell block goes through a real shell, in which all programs are stand-ins that note their arguments; each noted
command is then held against the real program: its options exist and their values can be read. What is cheap is run for
real, on small inputs of the printed names. A block in a language that nobody checks, or a program that nobody knows,
fails.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pymicro_wakeword
import pytest
import soundfile
import typer.main
from typer.core import TyperCommand, TyperGroup

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
SHELL, DATA = {"sh", "console"}, {"yaml", "json", "text", "python", "toml"}
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
STANDS_FOR = """#!/bin/bash
{{ printf '%s\\0' "{name}" "$@"; printf '\\n'; }} >> "$NOTES"
"""
OTHER_PROGRAMS = (
    "python3",
    "python",
    "pip",
    "nox",
    "uv",
    "pytest",
    "tensorboard",
    "esphome",
    "docker",
    "podman",
    "dask",
    "less",
    "apt-get",
    "apt",
    "sudo",
    "openssl",
    "git",
    "curl",
)


@dataclass(frozen=True)
class Block:
    document: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


def blocks(document: Path) -> Iterator[Block]:
    """The commands of each shell block; of a `console` block those behind its prompts, what they print left out."""
    content = document.read_text(encoding="utf-8")
    for match in BLOCK.finditer(content):
        language, text = match[2], match[3]
        where = Block(document, content.count("\n", 0, match.start()) + 1, text)
        if language == "console" or (not language and text.startswith("$ ")):
            text = "".join(f"{line[2:]}\n" for line in text.splitlines() if line.startswith("$ "))
        elif not language and text.startswith("mww-"):
            pass
        elif language in DATA or (not language and not re.search(r"^(mww-|\$ )", text, re.MULTILINE)):
            continue
        else:
            assert language in SHELL, f"{where}: a block of {language!r}; say what it is and how it is checked"
        yield Block(document, where.line, text)


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]


def with_installed_models(folder: Path) -> None:
    """What `pip install pymicro-wakeword` would leave in the reader's environment."""
    installed = folder / ".venv" / "lib" / "python3.12" / "site-packages" / "pymicro_wakeword"
    installed.parent.mkdir(parents=True)
    installed.symlink_to(Path(pymicro_wakeword.__file__).parent)


def noted(block: Block, folder: Path) -> list[list[str]]:
    """The commands of a block as a shell hands them to their programs."""
    with_installed_models(folder)
    programs = folder / "bin"
    for place in (programs, folder / ".venv" / "bin", folder / ".venv-nox" / "bin", folder / ".venv-cluster" / "bin"):
        place.mkdir(parents=True)
        for name in (*PROJECT["scripts"], *OTHER_PROGRAMS):
            (place / name).write_text(STANDS_FOR.format(name=name))
            (place / name).chmod(0o755)
        (place / "activate").touch()
    notes = folder / "notes"
    notes.touch()
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "NOTES": str(notes), "HOME": str(folder)}
    script = f"set -euo pipefail\n{block.text}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{block}: {done.stderr}"
    return [command.split("\0") for command in notes.read_text().split("\0\n") if command]


def program_of(name: str) -> TyperCommand | TyperGroup:
    module, _, app = PROJECT["scripts"][name].partition(":")
    command = typer.main.get_command(getattr(import_module(module), app))
    assert isinstance(command, TyperCommand | TyperGroup)
    return command


def check_own(name: str, arguments: list[str]) -> None:
    """Let the real program read its arguments, and a training its configuration."""
    command = program_of(name)
    context = command.make_context(name, list(arguments))
    if isinstance(command, TyperGroup):
        found, below, rest = command.resolve_command(context, arguments)
        assert below is not None
        context = below.make_context(str(found), rest, parent=context)
    if name == "mww-train" and not {"--schema"} & set(arguments):
        from trainer.config.loader import load_config, preset_names

        settings = [*(context.params["setting"] or ())]
        source = context.params["config"] if context.params["config"] in preset_names() else "standard"
        load_config(source, (), ["export.wake_word=computer", *settings])


def check_pip(arguments: list[str]) -> None:
    assert arguments[0] == "install", arguments
    for wanted in (argument for argument in arguments[1:] if not argument.startswith("-")):
        if wanted.startswith("."):
            extras = re.fullmatch(r"\.(?:\[([\w,]+)\])?", wanted)
            assert extras, wanted
            assert set((extras[1] or "train").split(",")) <= set(PROJECT["optional-dependencies"]), wanted
        else:
            assert wanted in ("nox[uv]", "esphome", "piper-tts", "pymicro-wakeword"), (
                f"{wanted}: who knows that this exists?"
            )


def nox_sessions() -> set[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}


def check_nox(arguments: list[str]) -> None:
    assert arguments[0] == "-s", arguments
    assert arguments[1] in nox_sessions(), arguments
    given = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    if arguments[1] in ("cycle", "train", "flash", "measure"):
        known = set(
            re.findall(r'add_argument\(\s*"(--[\w-]+)"', (ROOT / "studio" / "cycle" / "options.py").read_text())
        )
        assert {argument.partition("=")[0] for argument in given if argument.startswith("--")} <= known, arguments
    elif arguments[1] in ("hardware", "tests"):
        check_pytest(given)


def check_pytest(arguments: list[str]) -> None:
    known = set(re.findall(r'addoption\(\s*"(--[\w-]+)"', (ROOT / "harness" / "pytest_plugin.py").read_text()))
    options = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")} - {"--junit-xml"}
    assert options <= known, f"{options - known}: the plugin has {known}"
    for path in (argument for argument in arguments if argument.startswith("tests")):
        assert (ROOT / path.partition("::")[0]).exists(), path


class WasRead(Exception):
    """A program has read its arguments."""


def check_python(arguments: list[str]) -> None:
    """A module of others is known by its name; a program of the project reads its arguments, and ends there."""
    module = arguments[1] if arguments[0] == "-m" else ""
    if module in ("venv", "sounddevice"):
        return
    path = ROOT / (module.replace(".", "/") + ".py" if module else arguments[0])
    assert path.is_file(), arguments
    parse = argparse.ArgumentParser.parse_args

    def read(parser: argparse.ArgumentParser) -> None:
        parse(parser)
        raise WasRead

    with pytest.MonkeyPatch.context() as patch, pytest.raises(WasRead):
        patch.setattr(argparse.ArgumentParser, "parse_args", read)
        patch.setattr("sys.argv", [str(path), *arguments[2 if module else 1 :]])
        runpy.run_path(str(path), run_name="__main__")


def check_uv(arguments: list[str]) -> None:
    assert arguments[0] == "sync", arguments
    extras = {arguments[place + 1] for place, argument in enumerate(arguments) if argument in ("--extra", "--no-extra")}
    assert extras <= set(PROJECT["optional-dependencies"]), arguments


def check_dask(arguments: list[str]) -> None:
    cli = pytest.importorskip(f"distributed.cli.dask_{arguments[0]}", reason="the extra dask is not installed")
    cli.main.make_context(f"dask {arguments[0]}", arguments[1:])


def check_podman(arguments: list[str]) -> None:
    """Building needs a registry of images, which no test asks: the files and addresses that are named are looked at."""
    if arguments[0] == "build":
        assert (ROOT / arguments[arguments.index("--file") + 1]).is_file(), arguments
    else:
        assert arguments[0] == "run", arguments
        assert arguments[arguments.index("--publish") + 1].startswith("127.0.0.1:"), arguments


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "pip": check_pip,
    "nox": check_nox,
    "pytest": check_pytest,
    "python": check_python,
    "python3": check_python,
    "uv": check_uv,
    "dask": check_dask,
    "podman": check_podman,
    # Programs of others: that they are there is all that is known of them here.
    "tensorboard": lambda arguments: None if arguments[0] == "--logdir" else pytest.fail(str(arguments)),
    "esphome": lambda arguments: (
        None
        if arguments[0] in ("config", "run", "compile", "upload", "logs", "version")
        else pytest.fail(str(arguments))
    ),
    "curl": lambda arguments: None if arguments[-1].startswith("http://127.0.0.1:") else pytest.fail(str(arguments)),
    "less": lambda _: None,
    "openssl": lambda _: None,
}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_printed_command_is_one_that_its_program_takes(block: Block, tmp_path: Path) -> None:
    commands = noted(block, tmp_path)
    assert commands, f"{block}: no command was started"
    for name, *arguments in commands:
        if name in PROJECT["scripts"]:
            check_own(name, arguments)
        else:
            assert name in CHECKS, f"{block}: nothing checks {name}"
            CHECKS[name](arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_options_that_prose_names_exist(document: Path) -> None:
    text = BLOCK.sub("", document.read_text(encoding="utf-8"))
    for span in SPAN.findall(text):
        name, *words = span.split()
        if name not in PROJECT["scripts"]:
            continue
        command = program_of(name)
        if isinstance(command, TyperGroup) and words:
            below = command.commands.get(words[0])
            assert below is not None, span
            known = {
                option
                for parameter in (*below.params, *command.params)
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
        else:
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        options = {word.partition("=")[0].rstrip(".,;:") for word in words if word.startswith("--")}
        assert options <= known | {"--help"}, f"{document.name}: {span}"


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            path = (document.parent / target).resolve() if target else document
            assert path.exists(), f"{document.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{document.name}: {target}#{anchor}"


REAL = ("mww-simulate", "mww-report", "mww-verify")
"""Run as printed, on small inputs; what makes their inputs is too long for a test, and tried elsewhere."""


def tone(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(1).uniform(-0.1, 0.1, round(seconds * 16_000)), 16_000)


def with_inputs(folder: Path) -> None:
    """The files that the commands of README and of the way from zero name, small."""
    with_installed_models(folder)
    models = Path(pymicro_wakeword.__file__).parent / "models"
    (folder / "models").mkdir()
    shutil.copy(models / "alexa.tflite", folder / "models" / "okay_house.tflite")
    (folder / "models" / "okay_house.json").write_text(
        (models / "alexa.json").read_text().replace("alexa.tflite", "okay_house.tflite")
    )
    tone(folder / "evening.flac", 20)
    for number in range(3):
        tone(folder / "people" / f"{number}.wav", 1.5)
    for kind, recording in (("positive", "people/0.wav"), ("negative", "evening.flac")):
        listed = folder / "runs" / "house" / "lists" / f"test_{kind}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text(f"../../../{recording}\n")


@pytest.mark.parametrize("page", ["README.md", "from-zero.md"])
def test_what_a_page_prints_runs(page: str, tmp_path: Path) -> None:
    """Its blocks one after the other, as a reader runs them; installing, training and boards are stand-ins."""
    with_inputs(tmp_path)
    programs = tmp_path / "bin"
    for place in (programs, tmp_path / ".venv" / "bin", tmp_path / ".venv-nox" / "bin"):
        place.mkdir(parents=True)
        for name in (*PROJECT["scripts"], *OTHER_PROGRAMS):
            if name in REAL:
                (place / name).symlink_to(Path(sys.executable).parent / name)
            else:
                (place / name).write_text(STANDS_FOR.format(name=name))
                (place / name).chmod(0o755)
        (place / "activate").touch()
    environment = os.environ | {
        "PATH": f"{programs}:/usr/bin:/bin",
        "NOTES": os.devnull,
        "MWW_CACHE_DIR": str(tmp_path / "cache"),
    }
    for block in (block for block in BLOCKS if block.document.name == page):
        script = f"set -euo pipefail\n{block.text}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
