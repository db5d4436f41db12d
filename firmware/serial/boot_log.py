"""What a board prints when it starts, kept line by line with its time; and the backtraces of a crash in the names of
its functions.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.processes import plain, run_program
from firmware.toolenv import neutral_environment
from wakeword.errors import InfrastructureError

if TYPE_CHECKING:
    from serial import Serial

LOG_BAUD = 115_200
RESET_SECONDS = 0.1
"""How long EN is held low."""
REOPEN_SECONDS = 0.1
READ_SECONDS = 0.1
DECODE_SECONDS = 30.0

_STARTED = re.compile(r"setup\(\) finished successfully")
_RESET = re.compile(r"^rst:0x[0-9a-f]+ \((\w+)\),boot:0x[0-9a-f]+ \((\w+)")
_CRASH = re.compile(
    r"Guru Meditation Error|Brownout detector was triggered|abort\(\) was called|assert failed|Stack smashing|invalid"
    r" header: 0x|No bootable app partitions"
)
_TRACE = re.compile(r"Backtrace:|\bBT\d+: 0x|\bPC\s*: 0x4")
_CODE_ADDRESS = re.compile(r"\b0x(4[0-9a-fA-F]{7})\b")
"""On the ESP32-S3 code lies from 0x40000000 to 0x44000000."""
_ADDR2LINE = ("xtensa-esp32s3-elf-addr2line", "xtensa-esp-elf-addr2line")


@dataclass(frozen=True)
class BootLine:
    """A line, and the seconds since the reset when it was whole."""

    seconds: float
    text: str

    def __str__(self) -> str:
        return f"{self.seconds:8.3f}  {self.text}"


@dataclass(frozen=True)
class BootLog:
    """All that a board printed since its reset."""

    lines: tuple[BootLine, ...]

    @property
    def started(self) -> bool:
        """Whether ESPHome says that it is up. It says so only where its logger writes to this port."""
        return any(_STARTED.search(line.text) for line in self.lines)

    @property
    def resets(self) -> list[str]:
        """The reasons of all resets, in order, as the ROM gives them."""
        return [match.group(1) for line in self.lines if (match := _RESET.search(line.text))]

    @property
    def crash(self) -> str | None:
        """The first line that tells of a crash, or of an image that does not start."""
        return next((line.text for line in self.lines if _CRASH.search(line.text)), None)


def capture(find: Callable[[], str], seconds: float) -> BootLog:
    """Restart the board and keep what it prints: until ESPHome is up, a crash is told whole, or `seconds` are over.

    `find` gives the port; it is asked again when the port goes away, as the built-in USB port does at every reset. A
    port without control lines is only listened to. Raises `InfrastructureError` when the port cannot be opened at all.
    """
    import serial

    end = time.monotonic() + seconds
    listener = _Listener()
    trouble: Exception | None = None
    opened = False
    while (left := end - time.monotonic()) > 0 and not listener.done:
        try:
            with _open(find()) as line:
                if not opened:
                    _reset(line)
                    listener = _Listener()
                opened = True
                while time.monotonic() < end and not listener.done:
                    listener.take(line.read(max(1, line.in_waiting)))
        except (serial.SerialException, OSError, InfrastructureError) as error:
            trouble = error
            time.sleep(min(REOPEN_SECONDS, max(left, 0.0)))
    if not opened:
        raise InfrastructureError(f"the board's log cannot be read ({trouble}); check its port, then restart it")
    return listener.log()


def decode(lines: Sequence[str], elf: Path | None, build_folder: Path | None = None) -> list[str]:
    """`lines`, with the function and source line of each code address below every line of a backtrace.

    Done by the compiler's own `addr2line`: the one that the build in `build_folder` used, or one on PATH or of
    PlatformIO. Without it, or without the ELF, the lines stay as they are, with one that says so: the addresses can be
    decoded later.
    """
    if not any(_TRACE.search(line) for line in lines):
        return list(lines)
    program = None if elf is None or not elf.is_file() else _addr2line(build_folder)
    if program is None:
        missing = "no ELF of the firmware" if elf is None or not elf.is_file() else f"no {_ADDR2LINE[0]}"
        return [*lines, f"(backtrace not decoded: {missing} here)"]
    assert elf is not None
    decoded = []
    for line in lines:
        decoded.append(line)
        addresses = [match.group(1) for match in _CODE_ADDRESS.finditer(line)] if _TRACE.search(line) else []
        if addresses:
            decoded += _named(program, elf, addresses)
    return decoded


class _Listener:
    """Cuts what comes into lines, each with its time."""

    AFTER_CRASH_SECONDS = 1.0
    """A backtrace follows its error at once."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lines: list[BootLine] = []
        self._pending = b""
        self._crashed_at: float | None = None
        self._started = False

    @property
    def done(self) -> bool:
        """Whether all that matters was said."""
        return self._started or (
            self._crashed_at is not None and time.monotonic() > self._crashed_at + self.AFTER_CRASH_SECONDS
        )

    def take(self, data: bytes) -> None:
        """Bytes as they come."""
        *whole, self._pending = (self._pending + data).replace(b"\r", b"").split(b"\n")
        for line in whole:
            self._add(line)

    def log(self) -> BootLog:
        """All of it; a line without an end is one too."""
        if self._pending:
            self._add(self._pending)
        return BootLog(tuple(self._lines))

    def _add(self, raw: bytes) -> None:
        text = plain(raw.decode(errors="replace"))
        if not text:
            return
        self._lines.append(BootLine(time.monotonic() - self._began, text))
        self._started = self._started or _STARTED.search(text) is not None
        if self._crashed_at is None and _CRASH.search(text):
            self._crashed_at = time.monotonic()


def _open(port: str) -> Serial:
    import serial

    line = serial.serial_for_url(port, do_not_open=True)
    line.baudrate, line.timeout = LOG_BAUD, READ_SECONDS
    # The system asserts both lines as it opens a port, which does nothing; DTR let go before RTS would be a reset.
    # Espressif's monitor does the same.
    line.dtr = line.rts = True
    if not port.startswith(("rfc2217:", "socket:")):
        line.exclusive = True
    line.open()
    with suppress(OSError, NotImplementedError):
        line.rts = False  # before DTR
        line.dtr = False
    return line


def _reset(line: Serial) -> None:
    """Pull EN through RTS, as esptool's hard reset does."""
    with suppress(OSError, NotImplementedError):
        line.reset_input_buffer()
        line.rts = True
        time.sleep(RESET_SECONDS)
        line.rts = False


def _addr2line(build_folder: Path | None) -> Path | None:
    cache = None if build_folder is None else build_folder / "build" / "CMakeCache.txt"
    if cache is not None and cache.is_file():
        match = re.search(
            r"^CMAKE_ADDR2LINE:\w+=(.+)$", cache.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        )
        if match is not None and Path(match.group(1)).is_file():
            return Path(match.group(1))
    for name in _ADDR2LINE:
        if (found := shutil.which(name)) is not None:
            return Path(found)
        if installed := sorted(Path.home().glob(f".platformio/packages/toolchain-xtensa-esp*/bin/{name}")):
            return installed[-1]
    return None


def _named(program: Path, elf: Path, addresses: Sequence[str]) -> list[str]:
    lines: list[str] = []
    try:
        code = run_program(
            [program, "-pfiaC", "-e", elf, *addresses],
            elf.parent,
            neutral_environment(),
            lines.append,
            timeout=DECODE_SECONDS,
        )
    except InfrastructureError as error:
        return [f"    (not decoded: {error})"]
    return (
        [f"    {line}" for line in lines]
        if code == 0
        else [f"    (not decoded: {' '.join(lines)[:200] or f'exit code {code}'})"]
    )
