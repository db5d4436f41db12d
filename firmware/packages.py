"""Packages that pip brings, each pinned by content: source distributions to compile, and a compiler as a wheel. What is
made of them is made once.

pip is that of ESPHome's environment; indexes and proxies are the user's own. It compares the hashes before it runs
anything of a package.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.processes import run_program
from firmware.toolenv import ToolEnvironment, neutral_environment, telling, working_uv
from wakeword.errors import InfrastructureError
from wakeword.locks import wait_for

_BUILD_TOOLS = ("pip", "setuptools")
"""What pip needs to read the metadata of a source distribution, which it does before it hands one over."""


@dataclass(frozen=True)
class Package:
    """One release. `sha256` are the hashes of the files that may be taken: one source distribution, or a wheel for each
    kind of machine.
    """

    name: str
    version: str
    sha256: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def make_once(folder: Path, what: str, make: Callable[[Path], Path], report: Callable[[str], None]) -> None:
    """Have `make` make a folder within the empty folder that it is given; the one that it returns gets the name
    `folder`, at once and whole.

    Nothing happens where `folder` is already. Two processes may call this at once: one works, the other waits; `report`
    takes a line of either. `what` is the work, such as "compiling this". Raises what `make` raises, and then leaves
    nothing behind.
    """
    if folder.is_dir():
        return
    with wait_for(folder.with_name(f"{folder.name}.lock"), lambda: report(f"waiting for another process: {what}")):
        if folder.is_dir():
            return
        # Only one process is here: these are of some that were killed.
        for stale in folder.parent.glob(f"{folder.name}-*"):
            shutil.rmtree(stale, ignore_errors=True)
        report(f"{what}, once")
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as name:
            make(Path(name)).rename(folder)


def fetch_source(package: Package, environment: ToolEnvironment, work: Path) -> Path:
    """Download the source distribution into the empty folder `work` and unpack it there; the folder of the source.

    Raises `InfrastructureError` when it cannot be had, or is not the pinned one.
    """
    _ensure_build_tools(environment, work)
    _pip(package, ["download", "--no-binary", ":all:", "--no-build-isolation", "--dest", str(work)], environment, work)
    (archive,) = work.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(work / "unpacked", filter="data")
    (source,) = (work / "unpacked").iterdir()
    return source


def install_wheel(package: Package, environment: ToolEnvironment, folder: Path) -> None:
    """Put the content of the wheel for this machine into `folder`, beside nothing else.

    Raises `InfrastructureError` when it cannot be had, or is not one of those that are pinned.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _ensure_build_tools(environment, folder.parent)
    _pip(package, ["install", "--only-binary", ":all:", "--target", str(folder)], environment, folder.parent)


def _pip(package: Package, command: Sequence[str], environment: ToolEnvironment, work: Path) -> None:
    pinned = work / "pinned.txt"
    pinned.write_text(
        " ".join([f"{package.name}=={package.version}", *(f"--hash=sha256:{digest}" for digest in package.sha256)])
        + "\n",
        encoding="utf-8",
    )
    lines: list[str] = []
    whole: list[str | Path] = [
        environment.python,
        "-m",
        "pip",
        *command,
        "--no-deps",
        "--require-hashes",
        "-r",
        pinned,
        "--disable-pip-version-check",
        "--no-input",
    ]
    code = run_program(whole, work, neutral_environment(), lines.append)
    if code == 0:
        return
    if wrong := next((match for line in lines if (match := re.match(r"\s*Got\s+([0-9a-f]{64})", line))), None):
        raise InfrastructureError(
            f"{package}: the package index gives a file with SHA-256 {wrong.group(1)} instead of"
            f" {' or '.join(package.sha256)}; do not use it, check your package index"
        )
    # pip goes on without an index that does not answer, and says in the end that there is no such release.
    unreachable = next(
        (match.group(1) for line in lines if (match := re.search(r"connection broken by '(.*)'", line))), None
    )
    reason = telling(lines, code) if unreachable is None else f"the package index does not answer: {unreachable}"
    raise InfrastructureError(
        f"{package} could not be fetched with pip: {reason}; check the network and pip's settings, then run again"
    )


def _ensure_build_tools(environment: ToolEnvironment, work: Path) -> None:
    """An environment that uv made has no pip, one that Python made no setuptools."""
    python = environment.python

    def missing(*names: str) -> bool:
        return (
            run_program([python, "-c", f"import {', '.join(names)}"], work, neutral_environment(), lambda _: None) != 0
        )

    if not missing(*_BUILD_TOOLS):
        return
    commands: list[list[str | Path]]
    if (uv := working_uv()) is not None:
        commands = [[uv, "pip", "install", "--python", python, *_BUILD_TOOLS]]
    else:
        commands = [[python, "-m", "ensurepip"]] if missing("pip") else []
        commands.append([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *_BUILD_TOOLS])
    for command in commands:
        lines: list[str] = []
        if (code := run_program(command, work, neutral_environment(), lines.append)) != 0:
            raise InfrastructureError(
                f"{environment.folder}: {' and '.join(_BUILD_TOOLS)} could not be installed there:"
                f" {telling(lines, code)}; mend that, then run again"
            )
