"""`mww-firmware flash` as a user runs it on a simulated ESP32-S3: its exit codes, and the one line of each fault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from firmware.build import Firmware
from firmware.serial.ports import port_holders
from firmware.toolenv import ToolEnvironment
from tests.firmware.rom_loader.chip import ESP32_C3, MAC, Chip, Faults
from tests.firmware.rom_loader.images import APP_OFFSET
from tests.firmware.rom_loader.servers import on_pty
from tests.firmware.serial.conftest import MakeFirmware

pytestmark = pytest.mark.usefixtures("quick_esptool")


@pytest.fixture
def command(tmp_path: Path, esphome: ToolEnvironment) -> Callable[..., subprocess.Popen[str]]:
    inventory = tmp_path / "boards.yaml"
    inventory.write_text(f"boards: [{{name: desk, kind: serial, target: esp32-s3-devkitc-1, mac: '{MAC}'}}]")

    def start(port: str, firmware: Firmware, *arguments: str) -> subprocess.Popen[str]:
        program = Path(sys.executable).parent / "mww-firmware"
        options = [
            "--board",
            "desk",
            "--boards",
            inventory,
            "--firmware",
            firmware.folder,
            "--port",
            port,
            "--boot-seconds",
            "0",
            *arguments,
        ]
        variables = os.environ | {
            "MWW_ESPHOME_ENV": str(esphome.folder),
            "MWW_LOCK_DIR": str(tmp_path / "locks"),
            "COLUMNS": "200",
        }
        return subprocess.Popen(
            [program, "flash", *map(str, options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
        )

    return start


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, what was printed, and the last line on stderr."""
    printed, complaints = process.communicate(timeout=120)
    return process.returncode, printed, complaints.splitlines()[-1] if complaints else ""


def test_the_command_flashes_and_says_what_it_proved(
    command: Callable[..., subprocess.Popen[str]], make_firmware: MakeFirmware
) -> None:
    firmware = make_firmware()
    with on_pty(Chip()) as port:
        code, printed, complaint = ended(command(port, firmware))
        assert code == 0, complaint
        assert f"desk: flashed over {port} at 460,800 baud" in printed
        assert "the flash is verified" in printed
        assert f"board: ESP32-S3, MAC {MAC}" in printed
        assert f"log: {firmware.folder / 'flash-desk.log'}" in printed


@pytest.mark.parametrize(
    ("chip", "code", "complaint", "half"),
    [
        (
            Chip(faults=Faults(deaf=True)),
            3,
            "the board's loader does not answer (Failed to connect to ESP32-S3: No serial data received); hold BOOT",
            False,
        ),
        (Chip(chip_id=ESP32_C3), 4, "the board there has an ESP32-C3, not an ESP32-S3; nothing was written", False),
        (
            Chip(mac="A0:85:E3:99:99:99"),
            4,
            "the board there has the MAC A0:85:E3:99:99:99, not A0:85:E3:12:34:56 of board 'desk'; nothing was written",
            False,
        ),
        pytest.param(
            Chip(faults=Faults(bad_line_above=0)),
            3,
            "blocks arrive damaged at 460,800 and 115,200 baud (Failed to write compressed data to flash after seq 0",
            True,
            marks=pytest.mark.slow,
        ),
        (Chip(faults=Faults(vanish_after=3)), 3, "went away while esptool was at work", True),
        pytest.param(
            Chip(faults=Faults(stuck_bit_at=APP_OFFSET + 5000)),
            3,
            "the flash does not hold what was written at 460,800 and 115,200 baud (MD5 of file does not",
            True,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            Chip(faults=Faults(deaf_after=3)),
            3,
            "the board's loader does not answer (Failed to connect",
            True,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["no sync", "wrong chip", "wrong board", "bad checksum", "port gone", "MD5", "silent half-way"],
)
def test_each_fault_has_its_words_and_its_exit_code(
    chip: Chip,
    code: int,
    complaint: str,
    half: bool,
    command: Callable[..., subprocess.Popen[str]],
    make_firmware: MakeFirmware,
) -> None:
    chip = replace(chip, log=[], bauds=[])
    with on_pty(chip) as port:
        found, _, said = ended(command(port, make_firmware()))
    assert (found, said.startswith(f"error: {port}: {complaint}")) == (code, True), said
    assert said.endswith("; until it is flashed again, the board holds half an image") is half, said
    if code == 4:
        assert not chip.was_written_to
        assert chip.flash == b"\xff" * len(chip.flash)


def test_a_held_port_is_named_with_its_holder(
    command: Callable[..., subprocess.Popen[str]], make_firmware: MakeFirmware, tmp_path: Path
) -> None:
    terminal = tmp_path / "terminal.py"
    terminal.write_text(
        "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"
    )
    chip = Chip()
    with on_pty(chip) as port:
        holder = subprocess.Popen([sys.executable, terminal, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            holder.stdout.readline()
            code, _, said = ended(command(port, make_firmware()))
        finally:
            holder.stdin.close()
            holder.wait()
            holder.stdout.close()
    assert code == 3
    assert said.startswith(f"error: {port}: is held by pid {holder.pid} (python")
    assert f"terminal.py {port}" in said
    assert chip.log == []


def test_an_interrupt_in_the_middle_leaves_no_program_behind(
    command: Callable[..., subprocess.Popen[str]], make_firmware: MakeFirmware
) -> None:
    chip = Chip(faults=Faults(vanish_after=2))
    with on_pty(chip) as port:
        process = command(port, make_firmware())
        # Instead of vanishing the board falls silent, and the user gives up.
        chip.vanish = lambda: process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=120)
        assert process.returncode == 130, complaints
        assert "it holds half an image until it is flashed again" in complaints
        assert port_holders(port) == []
