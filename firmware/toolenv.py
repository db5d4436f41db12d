"""ESPHome in an environment of its own: it is GPL and pins its dependencies, so it is run and never imported.

The environment is made once and found afterwards. A virtual environment cannot be renamed, so it becomes valid by the
marker that is written last; one without it was interrupted and is made anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from firmware.processes import run_program
from wakeword.contract import ESPHOME_VERSION
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.files import cache_folder, write_atomically
from wakeword.locks import wait_for

OLDEST_PYTHON, FIRST_UNFIT_PYTHON = (3, 12), (3, 15)
"""What ESPHome 2026.10.0 demands of its Python."""

TOOLS_VARIABLE = "MWW_TOOLS_DIR"
ENVIRONMENT_VARIABLE = "MWW_ESPHOME_ENV"
MARKER = "mww-environment.json"
ANSWER_SECONDS = 60.0
"""For questions such as `esphome version`, on a machine that is busy compiling."""
LONGEST_COMPLAINT = 300

_FOREIGN_PREFIXES = ("PYTHON", "PYENV_", "UV_PYTHON", "UV_PROJECT", "UV_VENV")
_FOREIGN_VARIABLES = (
    *("VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__"),
    *("UV_SYSTEM_PYTHON", "UV_NO_PROJECT", "UV_TARGET", "UV_PREFIX"),
    *("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV"),
)
"""Variables that choose a Python, its packages or where they go: in an environment of ours they lead to those of
somebody else."""


@dataclass(frozen=True)
class ToolEnvironment:
    """An environment with ESPHome. `python` and `esphome` are its programs."""

    folder: Path
    python: Path
    esphome: Path
    version: str


def tool_environment(version: str = ESPHOME_VERSION, report: Callable[[str], None] = lambda _: None) -> ToolEnvironment:
    """The environment with ESPHome `version`: `$MWW_ESPHOME_ENV`, or the one below `$MWW_TOOLS_DIR`
    (`~/.cache/mww/tools`), which is made when missing.

    `report` takes a line when the work is long. Two processes may call this at once: one installs, the other waits.

    Raises `ConfigError` when `$MWW_ESPHOME_ENV` has no or another ESPHome, or no fit Python is there, and
    `InfrastructureError` when the installation fails.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return _chosen_environment(Path(chosen).absolute(), version)
    tools = default_tools_folder()
    folder = tools / f"esphome-{version}"
    if (found := _ready(folder, version)) is not None:
        return found
    with wait_for(
        tools / f"esphome-{version}.lock",
        lambda: report(f"waiting for another process that installs ESPHome {version}"),
    ):
        if (found := _ready(folder, version)) is not None:
            return found
        _install(folder, version, report)
        if (found := _ready(folder, version)) is None:
            raise InfrastructureError(
                f"ESPHome {version} was installed into {folder}, but does not run there; remove that folder, then run"
                " again"
            )
        return found


def default_tools_folder() -> Path:
    """`$MWW_TOOLS_DIR`, else `mww/tools` in the user's cache folder."""
    if chosen := os.environ.get(TOOLS_VARIABLE):
        return Path(chosen).absolute()
    return cache_folder("tools")


def neutral_environment(drop: Collection[str] = ()) -> dict[str, str]:
    """The variables of this process without those that choose a Python or where packages go, and without `drop`."""
    unwanted = {*_FOREIGN_VARIABLES, *drop}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in unwanted and not name.startswith(_FOREIGN_PREFIXES)
    }


def _at(folder: Path, version: str) -> ToolEnvironment:
    return ToolEnvironment(folder, folder / "bin" / "python", folder / "bin" / "esphome", version)


def _chosen_environment(folder: Path, version: str) -> ToolEnvironment:
    environment = _at(folder, version)
    if not environment.esphome.exists():
        raise ConfigError(
            f"{ENVIRONMENT_VARIABLE}={folder}: has no bin/esphome; give an environment with ESPHome {version}, or unset"
            " it to have one made"
        )
    found = _answered_version(environment)
    if found != version:
        raise ConfigError(
            f"{ENVIRONMENT_VARIABLE}={folder}: holds ESPHome {found or 'that does not run'}, but {version} is needed;"
            " install that, or unset it"
        )
    return environment


def _ready(folder: Path, version: str) -> ToolEnvironment | None:
    """The environment in `folder` if it was finished and still runs; its Python may be gone since."""
    environment = _at(folder, version)
    if not (folder / MARKER).is_file() or not environment.python.exists() or not environment.esphome.exists():
        return None
    return environment if _answered_version(environment) == version else None


def _answered_version(environment: ToolEnvironment) -> str | None:
    lines: list[str] = []
    try:
        code = run_program(
            [environment.esphome, "version"],
            environment.folder,
            neutral_environment(),
            lines.append,
            timeout=ANSWER_SECONDS,
        )
    except InfrastructureError:
        return None
    answers = [match.group(1) for line in lines if (match := re.fullmatch(r"Version: (\S+)", line))]
    return answers[-1] if code == 0 and answers else None


def _install(folder: Path, version: str, report: Callable[[str], None]) -> None:
    python = _fit_python()
    if folder.exists():
        report(f"{folder} is incomplete or broken; making it anew")
        shutil.rmtree(folder)
    report(f"installing ESPHome {version} into {folder}, once; it takes a minute or two")
    requirement = f"esphome=={version}"
    commands: list[list[str | Path]]
    if (uv := working_uv()) is not None:
        commands = [
            [uv, "venv", "--quiet", "--no-project", "--python", python, folder],
            [uv, "pip", "install", "--python", folder / "bin" / "python", requirement],
        ]
    else:
        commands = [
            [python, "-m", "venv", folder],
            [
                folder / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
                requirement,
            ],
        ]
    for command in commands:
        lines: list[str] = []
        code = run_program(command, folder.parent, neutral_environment(), lines.append)
        if code != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise InfrastructureError(
                f"ESPHome {version} could not be installed into {folder}: {telling(lines, code)}; mend that, then run"
                " again"
            )
    write_atomically(folder / MARKER, json.dumps({"esphome": version, "python": str(python)}) + "\n")


def telling(lines: list[str], code: int) -> str:
    """What the installer says is wrong: from its first line that begins with "error" on, else its last words. Addresses
    may hold a password.
    """
    spoken = [line.strip() for line in lines if line.strip()]
    start = next(
        (index for index, line in enumerate(spoken) if re.match(r"(fatal )?error\b", line, re.IGNORECASE)),
        max(0, len(spoken) - 1),
    )
    text = " ".join(spoken[start:])[:LONGEST_COMPLAINT] or f"exit code {code}, and not a word"
    return re.sub(r"//[^/@\s]+@", "//", text).rstrip(".")


def working_uv() -> str | None:
    """uv on PATH, if it answers: pyenv puts names there behind which there is nothing."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    try:
        return (
            uv
            if run_program([uv, "--version"], Path("/"), neutral_environment(), lambda _: None, timeout=ANSWER_SECONDS)
            == 0
            else None
        )
    except InfrastructureError:
        return None


def _fit_python() -> str:
    """A Python that ESPHome runs on; the one that runs us if it is fit."""
    if OLDEST_PYTHON <= sys.version_info[:2] < FIRST_UNFIT_PYTHON and sys.executable:
        return sys.executable
    for candidate in _pythons_on_path():
        answer: list[str] = []
        # A shim of pyenv is another Python in another folder; what it is here is what we want.
        question = "import sys; print(*sys.version_info[:2]); print(sys.executable)"
        try:
            code = run_program(
                [candidate, "-c", question], Path("/"), neutral_environment(), answer.append, timeout=ANSWER_SECONDS
            )
            version = tuple(int(part) for part in answer[-2].split()) if code == 0 and len(answer) >= 2 else ()
        except (InfrastructureError, ValueError):
            continue
        if OLDEST_PYTHON <= version < FIRST_UNFIT_PYTHON:
            return answer[-1]
    oldest, newest = f"{OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}", f"{FIRST_UNFIT_PYTHON[0]}.{FIRST_UNFIT_PYTHON[1] - 1}"
    raise ConfigError(
        f"no Python from {oldest} to {newest} was found, which ESPHome needs; install one so that python{oldest} is on"
        " PATH, then run again"
    )


def _pythons_on_path() -> Iterator[str]:
    names = [f"python3.{minor}" for minor in range(OLDEST_PYTHON[1], FIRST_UNFIT_PYTHON[1])]
    for name in (*names, "python3", "python"):
        if (found := shutil.which(name)) is not None:
            yield found
