"""An image onto a board over its serial port: the right board, at a speed that its line bears, written once and proven
in a connection of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from firmware.boards.entry import BoardEntry
from firmware.build import Firmware
from firmware.credentials import SECRETS_FILE
from firmware.credentials import read as read_secrets
from firmware.redaction import Redactor
from firmware.serial import boot_log, ports
from firmware.serial.boot_log import BootLog
from firmware.serial.esptool import FAST_BAUD, SAFE_BAUD, Answered, Esptool
from firmware.serial.faults import MAY_PASS_SLOWER, EsptoolError, Fault, explained
from firmware.serial.image import FlashImage, read_image
from firmware.toolenv import tool_environment
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError, MwwError
from wakeword.files import write_atomically

PORT_SECONDS, PAUSE_SECONDS = 10.0, 0.5
"""After a reset a USB port may be away, have another name, or be tried by the system's modem service; it is looked for
so long, and so often."""


@dataclass(frozen=True)
class Written:
    """What was done.

    `written_bytes` is 0 where the board held the image already; `seconds` is how long writing took.
    """

    port: str
    board: Answered
    baud: int
    written_bytes: int = 0
    seconds: float = 0.0
    boot: BootLog | None = None
    boot_log: Path | None = None


@dataclass
class SerialFlash:
    """One flashing. `port` is one that the user chose, `log` takes all that esptool says, `report` a line a stage,
    `progress` the part written, 0-1.
    """

    entry: BoardEntry
    firmware: Firmware
    port: str | None
    log: Callable[[str], None]
    report: Callable[[str], None]
    progress: Callable[[float], None]
    _baud: int = FAST_BAUD
    _tried: list[int] = field(default_factory=list)

    def find(self) -> str:
        """The port where the board is now, and free. Raises as `find_port` and `refuse_held`."""
        chosen = self.port or self.entry.port
        found = ports.find_port(
            self.entry, self.port, [] if chosen is not None and ports.is_network_port(chosen) else ports.usb_ports()
        )
        ports.refuse_held(found)
        return found

    def run(self, port: str, *, force: bool, boot_seconds: float) -> Written:
        """Prove the board, write where it does not hold the image (or `force`), prove the flash, and watch the board
        start for `boot_seconds`.

        Raises `BoardRefused` for another board or chip (nothing is written then), `ConfigError` for what the user must
        mend, and `InfrastructureError`.
        """
        assert self.firmware.factory_image is not None
        image = read_image(self.firmware.factory_image)
        tool = Esptool(tool_environment(report=self.report), port, self.log, self.progress)
        try:
            written = self._write(tool, image, force)
        except MwwError as error:
            if tool.half_written:
                raise type(error)(f"{error}; until it is flashed again, the board holds half an image") from error
            raise
        return written if boot_seconds <= 0 or not written.written_bytes else self._watch_start(written, boot_seconds)

    def _write(self, tool: Esptool, image: FlashImage, force: bool) -> Written:
        port = tool.port
        self.report(f"{port}: comparing the board's flash with the image")
        there = self._at_a_speed(tool, lambda baud: tool.holds(image.code(), image.chip, baud))
        board = self._identified(tool, self.entry.mac, "nothing was written")
        if there and not force and self._starts_image(tool, image):
            return Written(tool.port, board, self._baud)
        self.report(f"{tool.port}: writing {len(image.content):,} bytes")
        began = time.monotonic()
        self._at_a_speed(tool, lambda baud: tool.write(image.path, image.chip, baud))
        seconds = time.monotonic() - began
        self._identified(tool, board.mac, "the firmware is on that board now")
        self.report(f"{tool.port}: comparing the flash once more")
        if not self._at_a_speed(tool, lambda baud: tool.holds(image.code(), image.chip, baud)):
            raise explained(EsptoolError(Fault.DIFFERENT, ""), tool.port, self._tried)
        self._identified(tool, board.mac, "another board was put in its place")
        return Written(tool.port, board, self._baud, len(image.content), seconds)

    def _find_after_reset(self) -> str:
        end = time.monotonic() + PORT_SECONDS
        while True:
            try:
                return self.find()
            except (ConfigError, InfrastructureError):
                if time.monotonic() >= end:
                    raise
                time.sleep(PAUSE_SECONDS)

    def _at_a_speed[T](self, tool: Esptool, action: Callable[[int], T]) -> T:
        """Do it fast, and slower where the line does not bear that; a speed that failed is not tried again."""
        while True:
            if self._tried:
                tool.port = self._find_after_reset()
            if self._baud not in self._tried:
                self._tried.append(self._baud)
            try:
                return action(self._baud)
            except EsptoolError as error:
                if error.fault not in MAY_PASS_SLOWER or self._baud == SAFE_BAUD:
                    raise explained(error, tool.port, self._tried) from error
                self.report(
                    f"{tool.port}: failed at {self._baud:,} baud ({error.said.rstrip('.')}); trying at {SAFE_BAUD:,}"
                )
                self._baud = SAFE_BAUD

    def _starts_image(self, tool: Esptool, image: FlashImage) -> bool:
        row = image.otadata
        return row is None or image.starts(
            self._at_a_speed(tool, lambda baud: tool.read(row.offset, row.size, image.chip, baud))
        )

    def _identified(self, tool: Esptool, mac: str | None, consequence: str) -> Answered:
        answered = tool.answered
        if answered is None:
            raise InfrastructureError(
                f"{tool.port}: esptool did not say which board it found; {consequence}; the log of the flashing has all"
                " that it said"
            )
        if mac is not None and answered.mac != mac:
            raise BoardRefused(
                f"{tool.port}: the board there has the MAC {answered.mac}, not {mac} of board {self.entry.name!r};"
                f" {consequence}; correct boards.yaml or plug in the right board"
            )
        return answered

    def _watch_start(self, written: Written, seconds: float) -> Written:
        self.report(f"{written.port}: watching the board start")
        try:
            boot = boot_log.capture(self.find, seconds)
        except InfrastructureError as error:
            raise InfrastructureError(f"{error}; the firmware is on it, and verified") from error
        path = self.firmware.folder / f"boot-{self.entry.name}.log"
        lines = boot_log.decode([str(line) for line in boot.lines], self.firmware.elf, self.firmware.build_folder)
        # ESPHome logs the name of its Wi-Fi.
        redacted = Redactor(list(read_secrets(self.firmware.folder / SECRETS_FILE).values()))
        write_atomically(path, redacted("".join(f"{line}\n" for line in lines)))
        if boot.crash is not None:
            raise InfrastructureError(
                f"board {self.entry.name!r}: holds the firmware, and crashes as it starts ({boot.crash}); the backtrace"
                f" is in {path}"
            )
        return replace(written, boot=boot, boot_log=path)
