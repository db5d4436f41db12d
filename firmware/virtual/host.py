"""What the `host` target needs beside ESPHome: ESPHome components with their ESP32-only guards taken out, shims, the frontend as a library, and encryption."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.processes import run_program
from firmware.virtual.frontend_library import FrontendLibrary, frontend_library
from firmware.virtual.overlay import write_overlay
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.files import write_atomically

if TYPE_CHECKING:
    from firmware.toolenv import ToolEnvironment

HERE = Path(__file__).resolve().parent
STAND_IN_LIBRARIES = ("noise-c", "libsodium")
"""What ESPHome would fetch for encryption; not built where our header over the system's libsodium answers instead."""
REGISTRY_SECONDS = 60.0
ENCRYPTION_FILE = "encryption.txt"
FETCHED, STAND_IN = "noise-c, fetched by ESPHome", "stand-in over the system's libsodium"
"""What encrypts the virtual board's API, as its project folder says."""

_ASK_REGISTRY = (
    "from esphome.components.noise import NOISE_C_VERSION; from esphome.platformio.registry import registry_download; registry_download({!r}, NOISE_C_VERSION)"
)


@dataclass(frozen=True)
class HostSupport:
    """`components` is a folder of external components; the rest goes into the `esphome:` section of the project."""

    components: Path
    build_flags: tuple[str, ...]
    lib_ignore: tuple[str, ...]


def prepare_host(folder: Path, environment: ToolEnvironment, report: Callable[[str], None] = lambda _: None) -> HostSupport:
    """Write what the `host` program is built from into `folder/components`, with ESPHome's sources from the installed wheel.

    Raises `ConfigError` when a compiler or libsodium is missing, and `InfrastructureError` when the frontend's source cannot be had or
    ESPHome's sources are not those that this version knows.
    """
    check_compiler()
    components = folder / "components"
    write_overlay(esphome_components(environment), HERE / "components", components)
    library = frontend_library(environment, report)
    _check_header("openssl/evp.h", "ESPHome's hashes need OpenSSL", "libssl-dev")
    fetched = _encryption_is_fetched(folder / ENCRYPTION_FILE, environment)
    if not fetched:
        _check_header("sodium.h", "ESPHome's encryption library cannot be fetched here, and libsodium stands in for it", "libsodium-dev")
    return HostSupport(components, _flags(library, fetched), () if fetched else STAND_IN_LIBRARIES)


def check_compiler() -> None:
    """Raise `ConfigError` when there is no C++ compiler."""
    if not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
        raise ConfigError("target host: no C++ compiler was found; install g++ (Debian: apt-get install g++), then run again")


def _encryption_is_fetched(record: Path, environment: ToolEnvironment) -> bool:
    """The answer of the project's first build: asking takes a minute on a network that swallows packets."""
    if not record.is_file():
        write_atomically(record, (FETCHED if encryption_can_be_fetched(environment) else STAND_IN) + "\n")
    return record.read_text(encoding="utf-8").strip() == FETCHED


def encryption_can_be_fetched(environment: ToolEnvironment) -> bool:
    """Whether ESPHome reaches its own noise-c here; asked through ESPHome's own code, so that its mirrors and proxies count."""
    from firmware.toolenv import neutral_environment

    command: list[str | Path] = [environment.python, "-c", _ASK_REGISTRY.format("esphome/noise-c")]
    try:
        return run_program(command, environment.folder, neutral_environment(), lambda _: None, timeout=REGISTRY_SECONDS) == 0
    except InfrastructureError:
        return False


def esphome_components(environment: ToolEnvironment) -> Path:
    """The folder of ESPHome's components in its environment. Raises `ConfigError` when it is not there."""
    found = sorted(environment.folder.glob("lib/python3.*/site-packages/esphome/components"))
    if not found:
        raise ConfigError(f"{environment.folder}: holds no esphome/components; remove the folder, then run again to have it made anew")
    return found[-1]


def _flags(library: FrontendLibrary, fetched: bool) -> tuple[str, ...]:
    encryption = () if fetched else (f"-I{HERE / 'noise'}", "-lsodium")
    return (
        f"-I{HERE / 'shims'}",
        f"-I{library.include}",
        f"-L{library.archive.parent}",
        "-l:" + library.archive.name,
        *encryption,
        "-pthread",
        # ESPHome's formats are written for 32-bit size_t.
        "-Wno-format",
    )


def _check_header(name: str, why: str, package: str) -> None:
    folders = [Path(part) for part in os.environ.get("CPATH", "").split(":") if part]
    if not any((folder / name).is_file() for folder in (*folders, Path("/usr/include"), Path("/usr/local/include"))):
        raise ConfigError(f"target host: {why}, but {name} is not installed (Debian: apt-get install {package}); install it, then run again")
