"""The serial port of a board, and who holds it.

A board is found by the serial number of its USB port: a bridge chip has one of its own, and the ESP32-S3's built-in
port gives the chip's MAC address. The name of a port says nothing: it goes to whichever board was plugged in first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.boards.entry import NETWORK_PORTS, BoardEntry
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError
from wakeword.locks import LONGEST_COMMAND, Holder


@dataclass(frozen=True)
class UsbPort:
    """A serial port of this machine that is a USB device."""

    device: str
    serial_number: str | None
    description: str

    def __str__(self) -> str:
        return f"{self.device} ({self.description}, serial number {self.serial_number or 'none'})"


def usb_ports() -> list[UsbPort]:
    """All serial ports on USB."""
    from serial.tools import list_ports

    return [
        UsbPort(port.device, port.serial_number, port.product or port.description)
        for port in list_ports.comports()
        if port.vid is not None
    ]


def is_network_port(port: str) -> bool:
    """Whether a port is one of another machine."""
    return port.startswith(NETWORK_PORTS)


def find_port(entry: BoardEntry, chosen: str | None, ports: Sequence[UsbPort]) -> str:
    """The path or URL of the board's serial port: `chosen` by the user, of the inventory, or the one of `ports` whose
    serial number is the board's.

    Raises `ConfigError` for a choice that cannot be, or that nothing could prove to be this board, `BoardRefused` when
    another board is at the chosen port, and `InfrastructureError` when the board is not plugged in.
    """
    port = chosen or entry.port
    if port is None:
        return _by_identity(entry, ports)
    if "://" in port:
        if not is_network_port(port):
            raise ConfigError(
                f"--port {port}: give a path, or one of"
                f" {' and '.join(f'{scheme}HOST:PORT' for scheme in NETWORK_PORTS)}"
            )
        if entry.mac is None:
            raise ConfigError(
                f"board {entry.name!r}: a port of another machine shows no serial number; add the board's mac to"
                " boards.yaml"
            )
        return port
    if not Path(port).exists():
        raise ConfigError(f"--port {port}: there is no such port; {_listed(ports)}")
    device = os.path.realpath(port)
    usb = next((one for one in ports if os.path.realpath(one.device) == device), None)
    if entry.usb_serial is not None and usb is not None and usb.serial_number != entry.usb_serial:
        raise BoardRefused(
            f"{port}: has serial number {usb.serial_number}, not {entry.usb_serial} of board {entry.name!r}; leave out"
            " --port"
        )
    if entry.mac is None and usb is None:
        raise ConfigError(
            f"--port {port}: shows no serial number, and board {entry.name!r} has no mac; add it to boards.yaml"
        )
    return port


def port_holders(port: str) -> list[Holder]:
    """Other processes that have this port open, as far as the system lets us see them: of other users only root sees
    any. None for a network port.
    """
    if is_network_port(port):
        return []
    try:
        device = os.stat(port)  # noqa: PTH116 - as for the descriptors below
    except OSError:
        return []
    if not stat.S_ISCHR(device.st_mode):
        return []
    others = (
        process for process in Path("/proc").iterdir() if process.name.isdecimal() and int(process.name) != os.getpid()
    )
    holders = [Holder(int(process.name), _command(process)) for process in others if _has_open(process, device.st_rdev)]
    return sorted(holders, key=lambda holder: holder.pid)


def refuse_held(port: str) -> None:
    """Raise `InfrastructureError` that names who holds the port; two readers of one port each get half of what the
    board says.
    """
    holders = port_holders(port)
    if holders:
        names = ", ".join(map(str, holders))
        raise InfrastructureError(
            f"{port}: is held by {names}; end {'it' if len(holders) == 1 else 'them'}, then flash again"
        )


def _by_identity(entry: BoardEntry, ports: Sequence[UsbPort]) -> str:
    found = [port for port in ports if port.serial_number is not None and _is(entry, port.serial_number)]
    if len(found) == 1:
        return found[0].device
    wanted = " or ".join(str(identity) for identity in (entry.usb_serial, entry.mac) if identity is not None)
    if found:
        devices = ", ".join(port.device for port in found)
        raise ConfigError(f"board {entry.name!r}: {devices} have the serial number {wanted}; choose one with --port")
    hint = (
        ""
        if entry.usb_serial is not None
        else "; a board with a USB bridge shows the bridge's number: add it as usb_serial, or give --port"
    )
    raise InfrastructureError(
        f"board {entry.name!r}: no USB port has the serial number {wanted}; plug the board in; {_listed(ports)}{hint}"
    )


def _is(entry: BoardEntry, serial_number: str) -> bool:
    if entry.usb_serial is not None:
        return serial_number == entry.usb_serial
    plain = serial_number.upper().replace(":", "").replace("-", "")
    return entry.mac is not None and plain == entry.mac.replace(":", "")


def _listed(ports: Sequence[UsbPort]) -> str:
    return f"ports here: {', '.join(map(str, ports))}" if ports else "no USB serial port is here"


def _has_open(process: Path, device: int) -> bool:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            opened = descriptor.stat()
        except OSError:
            continue
        if stat.S_ISCHR(opened.st_mode) and opened.st_rdev == device:
            return True
    return False


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "ended meanwhile"
    first = os.path.basename(words[0])  # noqa: PTH119 - bytes, as the system gives them
    return b" ".join((first, *words[1:])).decode(errors="replace")[:LONGEST_COMMAND] or "no command"
