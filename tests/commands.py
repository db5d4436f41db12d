"""The project's commands: run in this process, where what is heavy is loaded once, or in a process of their own as a
shell does it.

A refusal, a table, a file that is written are the same either way. What a process is needed for: signals and kills,
limits of the system, models that may crash their reader, locks against others, modules that are not installed.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

DEADLINE_S = 300

type Done = subprocess.CompletedProcess[str]
type Run = Callable[..., Done]


def command(name: str, *arguments: object) -> list[str]:
    """What a shell would start."""
    return [str(Path(sys.executable).parent / name), *map(str, arguments)]


def environment(cache: Path | None, **variables: str) -> dict[str, str]:
    """This process's, with a cache of its own (None: whoever keeps something fails) and a width at which few lines are
    broken.
    """
    return os.environ | {"MWW_CACHE_DIR": str(cache or os.devnull), "COLUMNS": "160"} | variables


def run(cache: Path | None, name: str, *arguments: object, folder: Path | None = None, **variables: str) -> Done:
    """A command in this process, `folder` its working folder; an error that it does not catch is raised."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment(cache, **variables).items():
            patch.setenv(variable, value)
        if folder is not None:
            patch.chdir(folder)
        done = CliRunner().invoke(_app(name), list(map(str, arguments)), prog_name=name)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess([name], done.exit_code, done.stdout, done.stderr)


def run_apart(cache: Path | None, name: str, *arguments: object, folder: Path | None = None, **variables: str) -> Done:
    """The same in a process of its own."""
    return subprocess.run(
        command(name, *arguments),
        capture_output=True,
        text=True,
        env=environment(cache, **variables),
        cwd=folder,
        timeout=DEADLINE_S,
        check=False,
    )


def one_line_error(done: Done, code: int = 2) -> str:
    """The message of a command that refused its input."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@functools.cache
def _app(name: str) -> typer.Typer:
    (entry,) = entry_points(group="console_scripts", name=name)
    app = entry.load()
    assert isinstance(app, typer.Typer)
    return app
