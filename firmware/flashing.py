"""A firmware onto a board: over the air where the board answers on the network, else over its serial port; proven
either way.

Before anything is written the board must be the right one, by its MAC address and the kind of its chip. Afterwards the
same is asked again, the flash is compared by MD5s that the board computes, and on the network the board tells the
hashes of the models it runs. A board that has the very image already is left alone.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from firmware.boards.entry import BoardEntry
from firmware.boards.registry import kind_of
from firmware.build import Firmware, api_key
from firmware.credentials import VARIABLES
from firmware.serial.flash import SerialFlash, Written
from firmware.toolenv import tool_environment
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError, MwwError
from wakeword.extras import MODULES, require

if TYPE_CHECKING:
    from firmware.native_api import Running

type Way = Literal["auto", "serial", "network"]

ASK_SECONDS = 10.0
"""For a board that is on the network; one that is not there costs no more."""
ATTEMPT_SECONDS, PAUSE_SECONDS = 5.0, 0.5
"""For one question to a board that is starting, and before the next one."""


@dataclass(frozen=True)
class FlashOptions:
    """How to flash. `port` is a serial port chosen by the user, `force` writes what the board holds already, times are
    in seconds.
    """

    via: Way = "auto"
    port: str | None = None
    force: bool = False
    boot_seconds: float = 15.0
    """How long the board's log is read after its start, unless ESPHome says before that it is up; 0: not at all."""
    network_seconds: float = 60.0
    """How long the board may take until it is on the network."""


@dataclass(frozen=True)
class Flashed:
    """What was done. `where` is the port or the address; `log` holds all that the tools said; `serial` and `running`
    are what each way has learned.
    """

    way: Literal["serial", "network", "already there"]
    where: str
    mac: str
    log: Path
    written_bytes: int = 0
    seconds: float = 0.0
    serial: Written | None = None
    running: Running | None = None


def flash_board(
    entry: BoardEntry,
    firmware: Firmware,
    options: FlashOptions | None = None,
    *,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Flashed:
    """Bring `firmware` to the board; the caller holds its lock. `report` takes a line for each stage, `progress` the
    percent written and 100.

    Raises `ConfigError` where firmware, board and options do not fit together, `BoardRefused` when another board or
    another chip is found (nothing is written then), and `InfrastructureError` when a port, a tool, the network or the
    board fails.
    """
    options = options or FlashOptions()
    _check_installation()
    _check_fit(entry, firmware, options)
    with (firmware.folder / f"flash-{entry.name}.log").open("w", encoding="utf-8") as log:
        return _Job(entry, firmware, options, log, report, progress).run()


@dataclass
class _Job:
    entry: BoardEntry
    firmware: Firmware
    options: FlashOptions
    log_file: TextIO
    report: Callable[[str], None]
    progress: Callable[[int, int], None]

    def run(self) -> Flashed:
        serial = SerialFlash(
            self.entry,
            self.firmware,
            self.options.port,
            self._log,
            self._say,
            lambda part: self.progress(round(part * 100), 100),
        )
        trouble: MwwError | None = None
        if self.options.via != "serial" and self.entry.address is not None and self.entry.mac is not None:
            try:
                return self._over_the_air()
            except InfrastructureError as error:
                if self.options.via == "network" or _is_wrong_board(error):
                    raise
                trouble = error
                self._say(f"not over the air: {error}")
        try:
            port = serial.find()
        except (ConfigError, InfrastructureError) as error:
            raise error if trouble is None else type(error)(f"{error}; nor over the air: {trouble}") from error
        written = serial.run(port, force=self.options.force, boot_seconds=self.options.boot_seconds)
        way: Literal["serial", "already there"] = "serial" if written.written_bytes else "already there"
        flashed = Flashed(
            way, written.port, written.board.mac, self._log_path, written.written_bytes, written.seconds, written
        )
        if self.entry.address is None:
            return flashed
        try:
            return replace(flashed, running=self._wait_until_running(None, written.board.mac))
        except InfrastructureError as error:
            raise type(error)(f"{error}; the firmware is in the board's flash, verified at {written.port}") from error

    def _over_the_air(self) -> Flashed:
        from firmware.ota import upload

        address = self.entry.address
        assert address is not None
        self._say(f"asking for the board at {address}:{self.entry.api_port}")
        key = os.environ.get(VARIABLES["api_key"]) or api_key(self.firmware.folder)
        before = self._ask(key, ASK_SECONDS, self.entry.mac)
        if not self.options.force and runs_firmware(before, self.firmware):
            return Flashed("already there", address, before.mac, self._log_path, running=before)
        assert self.firmware.ota_image is not None
        began = time.monotonic()
        upload(
            self.firmware.ota_image, address, self.entry.ota_port, key, tool_environment(report=self.report), self._say
        )
        seconds = time.monotonic() - began
        running = self._wait_until_running(before, before.mac)
        return Flashed(
            "network",
            address,
            running.mac,
            self._log_path,
            self.firmware.ota_image.stat().st_size,
            seconds,
            running=running,
        )

    def _wait_until_running(self, before: Running | None, mac: str) -> Running:
        """Ask until the board with this MAC runs the firmware, in another boot than `before`. What it said last is the
        error.
        """
        self._say(f"waiting for the board at {self.entry.address}:{self.entry.api_port}")
        key = api_key(self.firmware.folder)
        end = time.monotonic() + self.options.network_seconds
        while True:
            trouble: InfrastructureError
            try:
                running = self._ask(key, ATTEMPT_SECONDS, mac, self.firmware.name)
            except InfrastructureError as error:
                # Until it restarts, the old firmware answers, perhaps to another key and name.
                if isinstance(error, BoardRefused) and before is None:
                    raise
                trouble = error
            else:
                if before is not None and running.identity.stamp.boot_id == before.identity.stamp.boot_id:
                    trouble = InfrastructureError(f"board {self.entry.name!r} took the update but has not restarted")
                elif runs_firmware(running, self.firmware):
                    return running
                else:
                    trouble = InfrastructureError(
                        f"board {self.entry.name!r} runs a firmware built {running.built}, not this one"
                    )
            if time.monotonic() >= end:
                raise InfrastructureError(
                    f"{trouble}; waited {self.options.network_seconds:g} s; look at {self._log_path}"
                ) from trouble
            time.sleep(PAUSE_SECONDS)

    def _ask(self, key: str, seconds: float, mac: str | None, name: str | None = None) -> Running:
        from firmware.native_api import ask, make_target

        assert self.entry.address is not None
        target = make_target(self.entry.address, self.entry.api_port, key, self.entry.name, mac)
        return asyncio.run(ask(target, seconds, expected_name=name))

    @property
    def _log_path(self) -> Path:
        return Path(self.log_file.name)

    def _say(self, line: str) -> None:
        self._log(line)
        self.report(line)

    def _log(self, line: str) -> None:
        print(line, file=self.log_file, flush=True)


def check_board(entry: BoardEntry) -> None:
    """Raise `ConfigError` for a board that is not to be flashed: it is virtual."""
    if kind_of(entry).runs_here:
        raise ConfigError(
            f"board {entry.name!r} is virtual: there is nothing to flash; mww-bench measure --board {entry.name}"
            " --firmware DIR runs a firmware"
        )


def runs_firmware(running: Running, firmware: Firmware) -> bool:
    """Whether a board runs this very build: its name, its models by their hashes, and the time of the build, which is
    among the image's bytes.
    """
    assert firmware.ota_image is not None
    models = [(model.model_id, model.sha256) for model in firmware.models]
    if running.name != firmware.name or [(model.model_id, model.sha256) for model in running.identity.models] != models:
        return False
    return bool(running.built) and running.built.encode() in firmware.ota_image.read_bytes()


def _is_wrong_board(error: InfrastructureError) -> bool:
    from firmware.native_api import WrongBoard

    return isinstance(error, WrongBoard)


def _check_installation() -> None:
    require("flashing a board", *MODULES["bench"])


def _check_fit(entry: BoardEntry, firmware: Firmware, options: FlashOptions) -> None:
    check_board(entry)
    if firmware.target != entry.target:
        raise ConfigError(
            f"{firmware.folder}: is built for target {firmware.target}, but board {entry.name!r} is of target"
            f" {entry.target}; build it with mww-firmware build --target {entry.target}"
        )
    if firmware.factory_image is None or firmware.ota_image is None:
        raise ConfigError(f"{firmware.folder}: holds no image, only generated code; build it without --generate-only")
    if options.via == "network" and entry.address is None:
        raise ConfigError(f"board {entry.name!r}: has no address in boards.yaml, which --via network needs; add it")
    if options.via == "network" and entry.mac is None:
        raise ConfigError(
            f"board {entry.name!r}: has no mac in boards.yaml, and on the network nothing else tells boards apart; add"
            " it, or use --via serial"
        )
    if options.via == "network" and options.port is not None:
        raise ConfigError(f"--port {options.port} has no meaning with --via network; leave one of them out")
