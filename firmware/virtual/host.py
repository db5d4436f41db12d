"""What the `host` target needs beside ESPHome: its components without their ESP32-only guards, shims, compilers, the
frontend and encryption as libraries.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.overlay import HOST, esphome_components
from firmware.virtual.compilers import find_compilers
from firmware.virtual.libraries import FRONTEND, SODIUM, library

if TYPE_CHECKING:
    from firmware.toolenv import ToolEnvironment

HERE = Path(__file__).resolve().parent
STAND_IN_LIBRARIES = ("noise-c", "libsodium")
"""What ESPHome would fetch for encryption; not built, since our header over PyNaCl's libsodium answers instead."""


@dataclass(frozen=True)
class HostSupport:
    """`components` is a folder of external components, the next two go into the `esphome:` section, `variables` into
    the build's environment.
    """

    components: Path
    build_flags: tuple[str, ...]
    lib_ignore: tuple[str, ...]
    variables: Mapping[str, str]


def prepare_host(
    folder: Path, environment: ToolEnvironment, report: Callable[[str], None] = lambda _: None
) -> HostSupport:
    """Write what the `host` program is built from into `folder/components`, with ESPHome's sources from the installed
    wheel.

    Raises `ConfigError` when the compilers that the user chose do not work, and `InfrastructureError` when none can be
    had, a library cannot be made, or ESPHome's sources are not those that this version knows.
    """
    components = folder / "components"
    HOST.write(esphome_components(environment), components)
    compilers = find_compilers(environment, report)
    frontend, sodium = (library(recipe, compilers, environment, report) for recipe in (FRONTEND, SODIUM))
    flags = (
        *(f"-I{path}" for path in (HERE / "shims", HERE / "noise", frontend.include, sodium.include)),
        *(f"-L{made.archive.parent}" for made in (frontend, sodium)),
        *(f"-l:{made.archive.name}" for made in (frontend, sodium)),
        "-pthread",
        # ESPHome's formats are written for 32-bit size_t.
        "-Wno-format",
    )
    # It would grow with each build, and it holds the API key as the objects do: in ESPHome's own folder, which is
    # closed to others.
    cache = folder / ".esphome" / "zig-cache"
    shutil.rmtree(cache, ignore_errors=True)
    return HostSupport(components, flags, STAND_IN_LIBRARIES, compilers.for_esphome(cache))
