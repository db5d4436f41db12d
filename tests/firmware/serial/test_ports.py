"""Which port is the board's, and who holds it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware.boards.entry import BoardEntry
from firmware.serial.ports import UsbPort, find_port, port_holders, refuse_held, usb_ports
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError

DESK = BoardEntry(name="desk", kind="serial", mac="A0:85:E3:12:34:56")
SHELF = BoardEntry(name="shelf", kind="serial", usb_serial="0001")
NATIVE = UsbPort("/dev/ttyACM7", "A0:85:E3:12:34:56", "USB JTAG/serial debug unit")
BRIDGE = UsbPort("/dev/ttyUSB3", "0001", "CP2102N USB to UART Bridge Controller")
OTHER = UsbPort("/dev/ttyUSB0", None, "USB Serial")


def test_the_built_in_port_is_known_by_the_mac_and_a_bridge_by_its_number() -> None:
    ports = [OTHER, BRIDGE, NATIVE]
    assert find_port(DESK, None, ports) == "/dev/ttyACM7"
    assert find_port(SHELF, None, ports) == "/dev/ttyUSB3"
    assert find_port(DESK, None, [UsbPort("/dev/ttyACM0", "a085e3123456", "")]) == "/dev/ttyACM0"


def test_a_board_that_is_not_there_is_told_with_the_ports_that_are() -> None:
    with pytest.raises(
        InfrastructureError,
        match=r"'desk': no USB port has the serial number A0:85:E3:12:34:56; plug the board in; ports here: .*CP2102N",
    ):
        find_port(DESK, None, [BRIDGE, OTHER])
    with pytest.raises(
        InfrastructureError, match=r"serial number 0001; plug the board in; no USB serial port is here$"
    ):
        find_port(SHELF, None, [])


def test_a_number_that_two_ports_have_decides_nothing() -> None:
    twin = UsbPort("/dev/ttyUSB4", "0001", "CP2102N")
    with pytest.raises(
        ConfigError, match=r"/dev/ttyUSB3, /dev/ttyUSB4 have the serial number 0001; choose one with --port"
    ):
        find_port(SHELF, None, [BRIDGE, twin])


def test_a_number_of_the_inventory_goes_before_the_mac() -> None:
    both = BoardEntry(name="both", kind="serial", mac=DESK.mac, usb_serial="0001")
    assert find_port(both, None, [NATIVE, BRIDGE]) == BRIDGE.device


def test_a_port_of_another_machine_needs_the_mac() -> None:
    far = BoardEntry(name="far", kind="serial", mac=DESK.mac, port="rfc2217://bench-pi:4000")
    assert find_port(far, None, []) == "rfc2217://bench-pi:4000"
    assert find_port(far, "socket://10.0.0.2:4000", []) == "socket://10.0.0.2:4000"
    with pytest.raises(ConfigError, match="shows no serial number; add the board's mac"):
        find_port(SHELF, "rfc2217://bench-pi:4000", [])
    with pytest.raises(ConfigError, match="give a path, or one of rfc2217://HOST:PORT and socket://HOST:PORT"):
        find_port(DESK, "http://bench-pi", [])


def test_a_chosen_port_is_not_believed(tmp_path: Path) -> None:
    chosen = tmp_path / "port"
    chosen.touch()
    here = UsbPort(str(chosen), "0002", "CP2102N")
    with pytest.raises(BoardRefused, match="has serial number 0002, not 0001 of board 'shelf'"):
        find_port(SHELF, str(chosen), [here])
    with pytest.raises(ConfigError, match="shows no serial number, and board 'shelf' has no mac"):
        find_port(SHELF, str(chosen), [])
    assert find_port(DESK, str(chosen), [here]) == str(chosen)
    link = tmp_path / "by-id"
    link.symlink_to(chosen)
    with pytest.raises(BoardRefused):
        find_port(SHELF, str(link), [here])
    with pytest.raises(ConfigError, match=r"there is no such port; ports here: /dev/ttyUSB3"):
        find_port(DESK, "/dev/none", [BRIDGE])


def test_the_ports_of_this_machine_can_be_listed() -> None:
    assert all(port.device.startswith("/dev/") for port in usb_ports())


@contextmanager
def holding(port: str, folder: Path) -> Iterator[int]:
    terminal = folder / "terminal.py"
    terminal.write_text(
        "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, terminal, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield process.pid
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def test_who_holds_a_port_is_named(tmp_path: Path) -> None:
    master, slave = os.openpty()
    port = os.ttyname(slave)
    try:
        # That we hold it ourselves is no obstacle.
        refuse_held(port)
        with holding(port, tmp_path) as pid:
            with pytest.raises(
                InfrastructureError,
                match=rf"{port}: is held by pid {pid} \(python\S* \S+terminal.py {port}\); end it, then flash again",
            ):
                refuse_held(port)
            assert [holder.pid for holder in port_holders(port)] == [pid]
        refuse_held(port)
    finally:
        os.close(slave)
        os.close(master)


def test_what_is_no_port_of_this_machine_has_no_holder(tmp_path: Path) -> None:
    assert (
        port_holders("rfc2217://bench-pi:4000")
        == port_holders(str(tmp_path))
        == port_holders(str(tmp_path / "none"))
        == []
    )
