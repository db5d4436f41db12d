"""The device's frontend as a static library: compiled from pymicro-features' source distribution, which equals the device's C source."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.processes import run_program
from wakeword.errors import InfrastructureError
from wakeword.locks import wait_for

if TYPE_CHECKING:
    from firmware.toolenv import ToolEnvironment

VERSION = "2.0.2"
SDIST_SHA256 = "0d0bed7843ec78b6ced82d1a2dcddeb4fe5df61b3af80a281d0868c8e279c727"
"""Of the source distribution: what decides every figure is pinned by content."""

_LIBRARY = Path("tensorflow/lite/experimental/microfrontend/lib")
_KISSFFT = Path("kissfft")
_UNITS = ("kiss_fft_int16", "fft", "fft_util", "filterbank", "filterbank_util", "frontend", "frontend_util", "log_lut", "log_scale", "log_scale_util")
_UNITS_AFTER = ("noise_reduction", "noise_reduction_util", "pcan_gain_control", "pcan_gain_control_util", "window", "window_util")
SOURCES = (*(_LIBRARY / f"{unit}.cc" for unit in (*_UNITS, *_UNITS_AFTER)), _KISSFFT / "kiss_fft.cc", _KISSFFT / "tools" / "kiss_fftr.cc")
FLAGS = ("-O2", "-fPIC", "-w", "-DFIXED_POINT=16")
"""FIXED_POINT=16 is the device's arithmetic."""
ARCHIVE = "libmicrofrontend.a"


@dataclass(frozen=True)
class FrontendLibrary:
    """The compiled library and the folder that its headers are included from."""

    archive: Path
    include: Path


def frontend_library(environment: ToolEnvironment, report: Callable[[str], None] = lambda _: None) -> FrontendLibrary:
    """Find or make the library, beside ESPHome's environment. Two processes may call this at once.

    Raises `InfrastructureError` when the source cannot be fetched, is not the pinned one, or does not compile.
    """
    folder = environment.folder.parent / f"microfrontend-{VERSION}"
    library = FrontendLibrary(folder / ARCHIVE, folder)
    if library.archive.is_file():
        return library
    with wait_for(folder.with_name(f"{folder.name}.lock"), lambda: report("waiting for another process that compiles the frontend")):
        if not library.archive.is_file():
            _make(folder, environment, report)
    return library


def _make(folder: Path, environment: ToolEnvironment, report: Callable[[str], None]) -> None:
    report(f"compiling the frontend of pymicro-features {VERSION}, once")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as name:
        work = Path(name)
        source = _unpack(_fetch(work, environment), work)
        objects = []
        for unit in SOURCES:
            objects.append(work / f"{unit.stem}.o")
            _run([compiler(), *FLAGS, f"-I{source}", f"-I{source / _KISSFFT}", "-c", source / unit, "-o", objects[-1]], work)
        _run([os.environ.get("AR") or "ar", "rcs", source / ARCHIVE, *objects], work)
        shutil.rmtree(folder, ignore_errors=True)
        source.rename(folder)


def compiler() -> str:
    """The C++ compiler: `$CXX`, g++ or clang++."""
    return os.environ.get("CXX") or shutil.which("g++") or "clang++"


def _fetch(work: Path, environment: ToolEnvironment) -> Path:
    """The source distribution, through pip, whose index and proxies are the user's."""
    requirement = f"pymicro-features=={VERSION}"
    _ensure_pip(work, environment)
    command: list[str | Path] = [
        environment.python,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--no-build-isolation",
        "--dest",
        work,
        requirement,
    ]
    _run([*command, "--quiet", "--disable-pip-version-check"], work)
    found = list(work.glob("pymicro*features-*.tar.gz"))
    if len(found) != 1:
        raise InfrastructureError(f"{requirement}: its source distribution was not downloaded; check the network, then run again")
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != SDIST_SHA256:
        raise InfrastructureError(
            f"{requirement}: the source distribution has SHA-256 {digest}, expected {SDIST_SHA256}; do not use it, check your package index"
        )
    return found[0]


def _ensure_pip(work: Path, environment: ToolEnvironment) -> None:
    """An environment that uv made has no pip, and reading the source's metadata needs setuptools."""
    from firmware.toolenv import neutral_environment

    has_both = run_program([environment.python, "-c", "import pip, setuptools"], work, neutral_environment(), lambda _: None) == 0
    if not has_both:
        uv = shutil.which("uv")
        install: list[str | Path] = (
            [uv, "pip", "install", "--quiet", "--python", environment.python] if uv else [environment.python, "-m", "pip", "install", "--quiet"]
        )
        _run([*install, "pip", "setuptools"], work)


def _unpack(archive: Path, work: Path) -> Path:
    with tarfile.open(archive) as content:
        content.extractall(work, filter="data")
    return work / f"pymicro_features-{VERSION}"


def _run(command: list[str | Path], folder: Path) -> None:
    from firmware.toolenv import neutral_environment

    lines: list[str] = []
    code = run_program(command, folder, neutral_environment(), lines.append)
    if code != 0:
        said = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else f"exit code {code}")
        raise InfrastructureError(f"the frontend of pymicro-features {VERSION} could not be made: {said.strip()}; mend that, then run again")
