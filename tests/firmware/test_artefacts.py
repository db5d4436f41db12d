"""Files and sizes of a finished build."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from firmware.artefacts import Way, find_artefacts, printed_sizes, section_sizes
from tests.programs import needs
from wakeword.errors import InfrastructureError

CLOSING_LINES = [
    "RAM:   [====      ]  26.5% (used 47932 bytes from 180736 bytes)",
    "Flash: [===       ]  48.4% (used 888511 bytes from 1835008 bytes)",
]


def test_esphomes_closing_lines() -> None:
    assert printed_sizes(["[1/2] Compiling", *CLOSING_LINES]) == (888511, 47932)
    assert printed_sizes(["RAM: unknown"]) == (None, None)


@pytest.mark.parametrize("toolchain", ["native", "platformio"])
def test_files_of_a_board(toolchain: Way, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()  # of the other toolchain, which built here before
    folder, elf = (
        (tmp_path / "build", "mww.elf") if toolchain == "native" else (tmp_path / ".pioenvs" / "mww", "firmware.elf")
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "firmware.ota.bin").touch()
    (folder / "firmware.factory.bin").touch()
    with pytest.raises(InfrastructureError, match=rf"{elf}: ESPHome ended well, but did not make this file"):
        find_artefacts(tmp_path, "mww", way=toolchain, printed=printed_sizes(CLOSING_LINES))
    (folder / elf).touch()
    found = find_artefacts(tmp_path, "mww", way=toolchain, printed=printed_sizes(CLOSING_LINES))
    assert found.program == found.ota_image == folder / "firmware.ota.bin"
    assert (found.factory_image, found.elf) == (folder / "firmware.factory.bin", folder / elf)
    assert (found.flash_bytes, found.ram_bytes) == (888511, 47932)


@needs("size", "binutils")
def test_sections_are_those_that_binutils_counts() -> None:
    program = Path(sys.executable).resolve()
    line = subprocess.run(["size", "-A", str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    sizes = {
        parts[0]: int(parts[1])
        for parts in (text.split() for text in line)
        if len(parts) == 3 and parts[0].startswith(".") and int(parts[2])
    }
    flash, ram = section_sizes(program)
    assert flash == sum(size for name, size in sizes.items() if name not in (".bss", ".tbss"))
    assert ram > sizes[".bss"] + sizes[".data"]


@pytest.mark.parametrize("content", [b"", b"MZ", b"\x7fELF\x01\x01" + bytes(100), b"\x7fELF\x02\x01" + bytes(10)])
def test_what_is_no_program(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(content)
    with pytest.raises(InfrastructureError, match="is no 64-bit program"):
        section_sizes(path)
