"""What a board says when it starts: from its reset on, with the backtrace of a crash in names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from firmware.serial import boot_log
from firmware.serial.boot_log import BootLine, BootLog, capture, decode
from tests.firmware.rom_loader.chip import PANIC, Chip
from tests.firmware.rom_loader.images import APP_OFFSET
from tests.firmware.rom_loader.servers import on_rfc2217, on_socket
from tests.programs import needs
from wakeword.errors import InfrastructureError

LONG_ENOUGH = 30.0
"""Every test ends by what the board says."""

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's rfc2217 client


def bootable(**values: object) -> Chip:
    chip = Chip(**values)  # type: ignore[arg-type]
    chip.flash[0] = chip.flash[APP_OFFSET] = 0xE9
    return chip


def test_the_log_begins_with_the_reset_and_ends_when_esphome_is_up() -> None:
    chip = bootable(
        app_log=(
            "\x1b[0;32m[I][app:073]: Running through setup()\x1b[0m",
            "[I][app:130]: setup() finished successfully!",
        )
    )
    with on_rfc2217(chip) as port:
        log = capture(lambda: port, LONG_ENOUGH)
    assert [line.text for line in log.lines][:3] == [
        "ESP-ROM:esp32s3-20210327",
        "Build:Mar 27 2021",
        "rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)",
    ]
    assert log.lines[-2].text == "[I][app:073]: Running through setup()"
    assert log.started
    assert log.resets == ["POWERON"]
    assert log.crash is None
    assert chip.boots == 1
    assert 0 <= log.lines[0].seconds <= log.lines[-1].seconds < LONG_ENOUGH


def test_opening_a_port_restarts_nothing() -> None:
    chip = bootable()
    with on_rfc2217(chip) as port, boot_log._open(port) as line:
        line.read(1)
    assert chip.boots == 0


def test_a_crash_is_kept_whole_and_named() -> None:
    with on_rfc2217(bootable(app_log=PANIC)) as port:
        log = capture(lambda: port, LONG_ENOUGH)
    assert [line.text for line in log.lines][-4:] == list(PANIC)
    assert log.crash == PANIC[0]
    assert not log.started


def test_an_empty_flash_does_not_start() -> None:
    with on_rfc2217(Chip()) as port:
        assert capture(lambda: port, LONG_ENOUGH).crash == "invalid header: 0xffffffff"


def test_a_port_that_is_away_after_the_reset_is_found_again() -> None:
    """As the ESP32-S3's own USB port is; here it is away at first, and behind another address afterwards."""
    asked: list[str] = []

    def find() -> str:
        asked.append("")
        if len(asked) == 1:
            raise InfrastructureError("no USB port has the serial number")
        return "socket://127.0.0.1:1" if len(asked) == 2 else port

    with on_rfc2217(bootable()) as port:
        assert capture(find, LONG_ENOUGH).started
    assert len(asked) == 3


def test_a_port_without_control_lines_is_listened_to() -> None:
    chip = bootable()
    with on_socket(chip) as port:
        assert capture(lambda: port, 0.3) == BootLog(())
    with pytest.raises(InfrastructureError, match="the board's log cannot be read"):
        capture(lambda: port, 0.3)


@needs("gcc", "gcc")
@needs("addr2line", "binutils")
def test_a_backtrace_is_decoded_by_the_compilers_own_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of this machine, linked to where the ESP32-S3 has its code, and this machine's addr2line under the
    other one's name.
    """
    source, elf = tmp_path / "panic.c", tmp_path / "firmware.elf"
    source.write_text(
        "int wake_word_loop(int n) {\n  return n * 3;\n}\nint main(void) {\n  return wake_word_loop(1);\n}\n"
    )
    subprocess.run(["gcc", "-g", "-O0", "-no-pie", "-Wl,-Ttext-segment=0x42000000", "-o", elf, source], check=True)
    symbols = subprocess.run(["nm", elf], check=True, capture_output=True, text=True).stdout.splitlines()
    address = next(int(line.split()[0], 16) for line in symbols if line.endswith(" wake_word_loop"))
    programs = tmp_path / "programs"
    programs.mkdir()
    addr2line = shutil.which("addr2line")
    assert addr2line is not None
    (programs / "xtensa-esp32s3-elf-addr2line").symlink_to(addr2line)
    line = f"Backtrace: 0x{address + 4:08x}:0x3fcebd60"
    monkeypatch.setenv("PATH", str(programs))
    decoded = decode(["before", line, "after"], elf)
    assert [decoded[0], decoded[1], decoded[-1]] == ["before", line, "after"]
    assert "wake_word_loop at " in decoded[2]
    assert "panic.c:2" in decoded[2] or "panic.c:1" in decoded[2]
    # The build's own program goes before: one that is not there is not taken.
    cache = tmp_path / "build" / "CMakeCache.txt"
    cache.parent.mkdir()
    cache.write_text(f"CMAKE_ADDR2LINE:FILEPATH={programs / 'xtensa-esp32s3-elf-addr2line'}\n")
    monkeypatch.setenv("PATH", "/nowhere")
    assert decode([line], elf, tmp_path)[1] == decoded[2]
    monkeypatch.setenv("HOME", "/nowhere")
    assert decode([line], elf) == [line, "(backtrace not decoded: no xtensa-esp32s3-elf-addr2line here)"]
    assert decode([line], None) == [line, "(backtrace not decoded: no ELF of the firmware here)"]
    assert decode(["no trace"], None) == ["no trace"]


def test_a_line_shows_its_time() -> None:
    assert str(BootLine(1.5, "text")) == "   1.500  text"
