"""Espressif's esptool as a program: its progress, and which chip it says is there. It comes with ESPHome, and is GPL:
run, never imported.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.processes import run_program
from firmware.serial.faults import EsptoolError, Fault, fault_of
from firmware.toolenv import ToolEnvironment, neutral_environment

FAST_BAUD, SAFE_BAUD = 460_800, 115_200
RUN_SECONDS = 900.0
"""For one run: 4 MB at 115,200 baud are six minutes. esptool has time limits of its own for a board that says
nothing."""

_CHIP = re.compile(r"(?:Chip type:\s*|Chip is )(ESP\S+)")
_MAC = re.compile(r"MAC:\s+((?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2})$")
_PROGRESS = re.compile(r"(?:Writing at|Reading from) 0x[0-9a-f]+.*?([\d.]+)\s?%")
_ERASING = re.compile(r"Flash will be erased from 0x")
_PROVEN = re.compile(r"Hash of data verified")
_FATAL = re.compile(r"A (?:fatal|serial exception) error occurred:\s*(.*)")
_UNTELLING = re.compile(r"VID/PID|troubleshooting|originates from pySerial|likely not a problem with esptool")


@dataclass(frozen=True)
class Answered:
    """The board that answered. `mac` is upper case with colons."""

    chip: str
    mac: str


class Esptool:
    """esptool at one port. `log` takes each line that it prints, `progress` the part of a write that is done, 0-1."""

    def __init__(
        self,
        environment: ToolEnvironment,
        port: str,
        log: Callable[[str], None] = lambda _: None,
        progress: Callable[[float], None] = lambda _: None,
    ):
        self.port = port
        self.half_written = False
        """Whether a write has begun, and none since has ended well."""
        self._environment, self._log, self._progress = environment, log, progress
        self._lines: list[str] = []

    @property
    def answered(self) -> Answered | None:
        """The board that answered in the last run, also where that run failed."""
        chips = [match.group(1) for line in self._lines if (match := _CHIP.match(line))]
        macs = [match.group(1).upper() for line in self._lines if (match := _MAC.match(line))]
        return Answered(chips[0], macs[0]) if chips and macs else None

    def holds(self, parts: Sequence[tuple[int, bytes]], chip: str, baud: int) -> bool:
        """Whether the flash holds these parts, each an address and its content, by MD5 that the board computes. Nothing
        is written.

        Raises `EsptoolError`.
        """
        with tempfile.TemporaryDirectory(prefix="mww-flash-") as folder:
            arguments: list[str | Path] = []
            for address, content in parts:
                path = Path(folder) / f"{address:x}.bin"
                path.write_bytes(content)
                arguments += [hex(address), path]
            try:
                self._run(chip, baud, "verify-flash", "--flash-size", "detect", *arguments)
            except EsptoolError as error:
                if error.fault is Fault.DIFFERENT:
                    return False
                raise
        return True

    def read(self, address: int, size: int, chip: str, baud: int) -> bytes:
        """Bytes of the flash. Raises `EsptoolError`."""
        with tempfile.TemporaryDirectory(prefix="mww-flash-") as folder:
            path = Path(folder) / "read.bin"
            self._run(chip, baud, "read-flash", hex(address), hex(size), path)
            return path.read_bytes()

    def write(self, image: Path, chip: str, baud: int) -> None:
        """Write an image from address 0 on, have the board compare its MD5, and restart it. Raises `EsptoolError`."""
        self._run(chip, baud, "write-flash", "-z", "--flash-size", "detect", "0x0", image)
        if not any(_PROVEN.match(line) for line in self._lines):
            raise EsptoolError(Fault.OTHER, "it ended well, but did not say that the written data was compared")
        self.half_written = False

    def _run(self, chip: str, baud: int, command: str, *arguments: str | Path) -> None:
        self._lines = []
        program = self._environment.folder / "bin" / "esptool"
        head = [
            "--chip",
            chip.lower().replace("-", ""),
            "--port",
            self.port,
            "--baud",
            str(baud),
            "--before",
            "default-reset",
            "--after",
            "hard-reset",
        ]
        self._log(f"$ esptool {' '.join(map(str, (*head, command, *arguments)))}")

        def take(line: str) -> None:
            self.half_written = self.half_written or _ERASING.match(line) is not None
            if match := _PROGRESS.match(line):
                self._progress(min(float(match.group(1)) / 100, 1.0))
            elif line.strip() and not _UNTELLING.search(line):
                self._lines.append(line.strip())
                self._log(line.strip())

        variables = neutral_environment() | {"NO_COLOR": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        code = run_program(
            [program, *head, command, *arguments], self._environment.folder, variables, take, timeout=RUN_SECONDS
        )
        if code != 0:
            raise self._failure(code)

    def _failure(self, code: int) -> EsptoolError:
        said = next((match.group(1) for line in self._lines if (match := _FATAL.search(line)) and match.group(1)), None)
        return fault_of(self._lines, said or (self._lines[-1] if self._lines else f"exit code {code}, and not a word"))
