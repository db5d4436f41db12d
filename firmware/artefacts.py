"""What a build has made, and how much room it takes on the board."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wakeword.errors import InfrastructureError

_ALLOCATED, _WRITABLE = 0x2, 0x1
_NO_BITS = 8


@dataclass(frozen=True)
class Artefacts:
    """Files of a finished build. `program` is what runs (host) or what goes over the air. Sizes in bytes, None where
    the build does not tell.
    """

    program: Path
    ota_image: Path
    factory_image: Path | None
    elf: Path
    flash_bytes: int | None
    ram_bytes: int | None


Way = Literal["host", "native", "platformio"]
"""What compiled: this machine's compiler, ESP-IDF's own build, or PlatformIO."""


def find_artefacts(build_folder: Path, name: str, way: Way, printed: tuple[int | None, int | None]) -> Artefacts:
    """Find what ESPHome built in `build_folder` (`.esphome/build/NAME`); `printed` are the `printed_sizes`. A folder
    may hold what another toolchain made before.

    Raises `InfrastructureError` when a file is missing although ESPHome ended well.
    """
    if way == "host":
        program = _existing(build_folder / ".pioenvs" / name / "program")
        return Artefacts(program, program, None, program, *section_sizes(program))
    native, platformio = build_folder / "build", build_folder / ".pioenvs" / name
    folder, elf = (native, native / f"{name}.elf") if way == "native" else (platformio, platformio / "firmware.elf")
    image = _existing(folder / "firmware.ota.bin")
    return Artefacts(image, image, _existing(folder / "firmware.factory.bin"), _existing(elf), *printed)


def printed_sizes(output: Sequence[str]) -> tuple[int | None, int | None]:
    """Bytes of flash and RAM in ESPHome's closing lines,
    `Flash: [===  ]  48.4% (used 888511 bytes from 1835008 bytes)`.
    """
    found: dict[str, int] = {}
    for line in output:
        if match := re.match(r"(RAM|Flash):\s+\[[ =]*\].*\(used (\d+) bytes from \d+ bytes\)", line):
            found[match.group(1)] = int(match.group(2))
    return found.get("Flash"), found.get("RAM")


def section_sizes(program: Path) -> tuple[int, int]:
    """Bytes of a 64-bit ELF's sections: those that a board would keep in flash (code, constants, initial values), and
    its static RAM.

    Raises `InfrastructureError` when the file is none.
    """
    content = program.read_bytes()
    damaged = InfrastructureError(
        f"{program}: is no 64-bit program, or a damaged one; remove the folder, then build again"
    )
    if content[:6] != b"\x7fELF\x02\x01":
        raise damaged
    try:
        (offset,) = struct.unpack_from("<Q", content, 0x28)
        entry_size, entries = struct.unpack_from("<HH", content, 0x3A)
        flash = ram = 0
        for index in range(entries):
            kind, flags, _, _, size = struct.unpack_from("<IQQQQ", content, offset + index * entry_size + 4)
            if flags & _ALLOCATED:
                flash += size if kind != _NO_BITS else 0
                ram += size if flags & _WRITABLE else 0
    except struct.error as error:
        raise damaged from error
    return flash, ram


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InfrastructureError(
            f"{path}: ESPHome ended well, but did not make this file; remove the folder, then build again"
        )
    return path
