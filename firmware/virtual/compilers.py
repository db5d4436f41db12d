"""What compiles the virtual board: the machine's compilers, or where there are none (or none that work) Zig's, which
pip brings.

What ESPHome would take is taken: `$CC`, `$CXX` and `$AR`, else the first of its names on PATH; before it is trusted it
makes a small program.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firmware.packages import Package, install_wheel, make_once
from firmware.processes import run_program
from firmware.toolenv import ToolEnvironment, default_tools_folder, neutral_environment
from wakeword.errors import ConfigError, InfrastructureError

NAMES = {"CC": ("gcc", "clang", "cc"), "CXX": ("g++", "clang++", "c++"), "AR": ("ar",)}
"""Variables that choose a program, and the names that ESPHome looks for without them, in its order."""
STANDARD = "-std=gnu++20"
"""ESPHome's."""

ZIG = Package(
    "ziglang",
    "0.17.1",
    (
        "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",  # x86_64
        "b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e",  # aarch64
    ),
)
ZIG_GLIBC = "2.28"
"""The oldest that its programs run on."""
_ZIG_PROGRAM = """#!/bin/sh
# Zig's own libraries are kept here; what is compiled goes to $ZIG_LOCAL_CACHE_DIR.
ZIG_GLOBAL_CACHE_DIR="${{0%/*}}/../cache"
export ZIG_GLOBAL_CACHE_DIR
exec "${{0%/*}}/../site/ziglang/zig" {command} "$@"
"""
_LOCAL_CACHE = "ZIG_LOCAL_CACHE_DIR"
_REMEDY = "install a compiler (Debian: apt-get install g++)"

_TRIAL = {
    "part.c": "int part(void) { return 41; }\n",
    "trial.cpp": """#include <span>
#include <string>
#include <thread>
#include <vector>
extern "C" int part(void);
int main() {
  std::vector<int> all{part()};
  std::thread other([&all] { all.push_back(1); });
  other.join();
  int sum = 0;
  for (int one : std::span(all))
    sum += one;
  return std::to_string(sum) == "42" ? 0 : 1;
}
""",
}


@dataclass(frozen=True)
class Compilers:
    """Commands that compile C and C++, and that make a library. `said` is what they call themselves."""

    c: tuple[str, ...]
    cxx: tuple[str, ...]
    archiver: str
    said: str = ""
    zig: bool = False

    def for_esphome(self, cache: Path) -> dict[str, str]:
        """The environment variables that make ESPHome use these and no others. Where they are Zig's, copies of all
        objects go to the folder `cache`.
        """
        variables = {"CC": shlex.join(self.c), "CXX": shlex.join(self.cxx), "AR": self.archiver}
        # ccache knows a compiler by its own file, which here only starts another one.
        return variables | {_LOCAL_CACHE: str(cache), "ESPHOME_CCACHE_ENABLE": "0"} if self.zig else variables

    def run(self, command: Sequence[str | Path], folder: Path) -> list[str]:
        """Run one of these programs, or what they made, in `folder`; the lines that it printed.

        Raises `InfrastructureError` with what it says is wrong.
        """
        lines: list[str] = []
        code = run_program(
            command,
            folder,
            neutral_environment() | {"LC_ALL": "C", _LOCAL_CACHE: str(folder / "zig-cache")},
            lines.append,
        )
        if code != 0:
            raise InfrastructureError(f"{Path(command[0]).name} does not work: {_complaint(lines, code)}")
        return lines


class _UnfitError(Exception):
    """The machine's compilers are missing or do not work; the text says how."""


def find_compilers(environment: ToolEnvironment, report: Callable[[str], None] = lambda _: None) -> Compilers:
    """Compilers that work: the machine's, or Zig's, which come into the folder of tools when they are first needed.

    Raises `ConfigError` when those that `$CC`, `$CXX` or `$AR` name do not work, and `InfrastructureError` when Zig's
    cannot be had.
    """
    try:
        return _tried(_installed())
    except _UnfitError as unfit:
        if chosen := [f"{name}={os.environ[name]}" for name in NAMES if os.environ.get(name, "").strip()]:
            raise ConfigError(
                f"{' '.join(chosen)}: {unfit}; name compilers that work, or unset {', '.join(NAMES)}"
            ) from unfit
        reason = str(unfit)
    report(f"{reason}: Zig's compiler, which pip brings, is used instead")
    try:
        return _tried(_zig(environment, report))
    except _UnfitError as unfit:
        raise InfrastructureError(
            f"{reason}, and {ZIG} is no help: {unfit}; {_REMEDY}, or remove {_zig_folder()} and run again"
        ) from unfit
    except InfrastructureError as error:
        raise InfrastructureError(f"{reason}, and {error}; or {_REMEDY}") from error


def _installed() -> Compilers:
    """Those that ESPHome would find."""
    commands = {name: _command(name) for name in NAMES}
    if missing := [NAMES[name][0] for name, command in commands.items() if not command]:
        raise _UnfitError(f"this machine has no {', '.join(missing)}")
    archiver, *options = commands["AR"]
    if options:
        raise _UnfitError("AR has to name a program without options")
    return Compilers(commands["CC"], commands["CXX"], archiver)


def _command(name: str) -> tuple[str, ...]:
    """A program with its arguments, empty where there is none."""
    try:
        chosen = shlex.split(os.environ.get(name, ""))
    except ValueError as error:
        raise _UnfitError(f"{name} cannot be read ({error})") from error
    for candidate in chosen[:1] or NAMES[name]:
        if (program := shutil.which(candidate)) is not None:
            return (str(Path(program).absolute()), *chosen[1:])
    return ()


def _tried(compilers: Compilers) -> Compilers:
    """The compilers, with what they call themselves. Raises `_UnfitError` when they do not make a program of C and C++
    that runs.
    """
    with tempfile.TemporaryDirectory(prefix="mww-trial-") as name:
        folder = Path(name)
        for file, text in _TRIAL.items():
            (folder / file).write_text(text, encoding="utf-8")
        try:
            compilers.run([*compilers.c, "-c", "part.c", "-o", "part.o"], folder)
            compilers.run([compilers.archiver, "rcs", "libpart.a", "part.o"], folder)
            compilers.run([*compilers.cxx, STANDARD, "trial.cpp", "-L.", "-lpart", "-pthread", "-o", "trial"], folder)
            compilers.run([folder / "trial"], folder)
            said = compilers.run([*compilers.cxx, "--version"], folder)
        except InfrastructureError as error:
            raise _UnfitError(str(error)) from error
    return replace(compilers, said="\n".join(said))


def _zig_folder() -> Path:
    return default_tools_folder() / f"{ZIG.name}-{ZIG.version}"


def _zig(environment: ToolEnvironment, report: Callable[[str], None]) -> Compilers:
    """Zig's compilers, fetched when they are not there."""
    folder = _zig_folder()
    make_once(
        folder,
        f"fetching {ZIG} (about 100 MB; its first program takes a minute or two)",
        lambda work: _made(work, environment),
        report,
    )
    c, cxx, archiver = (str(folder / "bin" / name) for name in ("cc", "c++", "ar"))
    return Compilers((c,), (cxx,), archiver, zig=True)


def _made(work: Path, environment: ToolEnvironment) -> Path:
    """A folder within `work` with Zig and three programs that a build may call."""
    # Without a target it compiles for the very processor of this machine, and without the second option faults of
    # arithmetic stop a program.
    options = f"-target {platform.machine()}-linux-gnu.{ZIG_GLIBC} -fno-sanitize=undefined"
    install_wheel(ZIG, environment, work / "zig" / "site")
    programs = work / "zig" / "bin"
    programs.mkdir()
    for name, command in (("cc", f"cc {options}"), ("c++", f"c++ {options}"), ("ar", "ar")):
        path = programs / name
        path.write_text(_ZIG_PROGRAM.format(command=command), encoding="utf-8")
        path.chmod(0o755)
    return work / "zig"


def _complaint(lines: Sequence[str], code: int) -> str:
    """The first line that says what is wrong, else the last."""
    spoken = [line.strip() for line in lines if line.strip()]
    return next(
        (line for line in spoken if "error" in line.lower()),
        spoken[-1] if spoken else f"exit code {code}, and not a word",
    )
