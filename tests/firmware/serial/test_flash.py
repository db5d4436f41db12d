"""The real esptool flashes a simulated ESP32-S3: what the board holds afterwards, and what is said of each fault."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware.boards.entry import BoardEntry
from firmware.build import Firmware
from firmware.cli import firmware_app
from firmware.credentials import SECRETS_FILE, write
from firmware.flashing import FlashOptions, flash_board
from firmware.serial.ports import UsbPort
from tests.firmware.rom_loader.chip import EFUSE_MAC, ESP32_C3, MAC, PANIC, Chip, Faults
from tests.firmware.rom_loader.images import APP_OFFSET
from tests.firmware.rom_loader.servers import on_pty, on_rfc2217, on_socket
from tests.firmware.serial.conftest import ONE_MEGABYTE, MakeFirmware
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError

DESK = BoardEntry(name="desk", kind="serial", target="esp32-s3-devkitc-1", mac=MAC)
FAST = 460_800

pytestmark = pytest.mark.usefixtures("quick_esptool")


def flash(chip_port: str, firmware: Firmware, entry: BoardEntry = DESK) -> list[str]:
    """Flash, and return the lines that were reported."""
    lines: list[str] = []
    flash_board(entry, firmware, FlashOptions(port=chip_port, boot_seconds=0), report=lines.append)
    return lines


def model_bytes(official_models: Path, model: str = "alexa") -> bytes:
    return (official_models / f"{model}.tflite").read_bytes()


def holding(firmware: Firmware) -> Chip:
    """A board on which the firmware was flashed and has started before."""
    assert firmware.factory_image is not None
    image = firmware.factory_image.read_bytes()
    chip = Chip()
    chip.flash[: len(image)] = image
    chip.boot()
    return chip


@pytest.mark.slow
def test_a_megabyte_is_written_proven_and_found_in_the_board(
    make_firmware: MakeFirmware, official_models: Path
) -> None:
    firmware = make_firmware(app_bytes=ONE_MEGABYTE)
    assert firmware.factory_image is not None
    image = firmware.factory_image.read_bytes()
    assert len(image) > 1 << 20
    chip = Chip()
    percents: list[int] = []
    with on_pty(chip) as port:
        flashed = flash_board(
            DESK, firmware, FlashOptions(port=port, boot_seconds=0), progress=lambda done, _: percents.append(done)
        )
    assert (flashed.way, flashed.mac, flashed.written_bytes) == ("serial", MAC, len(image))
    assert flashed.serial is not None
    assert (flashed.serial.board.chip, flashed.serial.baud) == ("ESP32-S3", FAST)
    assert chip.flash.count(model_bytes(official_models)) == 1
    # Only what the bootloader writes at the first start differs.
    assert chip.flash[:0x9000] == image[:0x9000]
    assert chip.flash[0xB000 : len(image)] == image[0xB000:]
    assert chip.flash[0x9000:0x9004] == b"\1\0\0\0"
    assert "Hash of data verified." in flashed.log.read_text()
    assert percents == sorted(percents)
    assert len(percents) > 20
    assert percents[-1] == 100


def test_a_board_that_holds_the_image_is_left_alone(make_firmware: MakeFirmware) -> None:
    firmware = make_firmware()
    chip = holding(firmware)
    assert firmware.factory_image is not None
    assert chip.flash[:0x10000] != firmware.factory_image.read_bytes()[:0x10000]
    with on_pty(chip) as port:
        assert flash_board(DESK, firmware, FlashOptions(port=port)).way == "already there"
    assert not chip.was_written_to
    assert "SPI_FLASH_MD5" in chip.log


@pytest.mark.parametrize(
    "difference", ["another app starts", pytest.param("a byte of the app", marks=pytest.mark.slow)]
)
def test_a_board_that_does_not_quite_hold_it_is_flashed(difference: str, make_firmware: MakeFirmware) -> None:
    firmware = make_firmware()
    chip = holding(firmware)
    good = bytes(chip.flash)
    if difference == "a byte of the app":
        chip.flash[APP_OFFSET + 70_000] ^= 4
    else:
        # As an update over the air leaves it: the second app is newer.
        sequence = struct.pack("<I", 2)
        chip.flash[0xA000:0xA020] = sequence + b"\xff" * 20 + struct.pack("<II", 2, zlib.crc32(sequence, 0xFFFFFFFF))
    with on_pty(chip) as port:
        flash(port, firmware)
    assert chip.was_written_to
    assert chip.flash == good


def test_a_line_that_is_bad_at_speed_is_used_slowly(make_firmware: MakeFirmware, official_models: Path) -> None:
    chip = Chip(faults=Faults(bad_line_above=200_000))
    with on_pty(chip) as port:
        lines = flash(port, make_firmware())
    assert any(
        "failed at 460,800 baud" in line and "Checksum error" in line and line.endswith("trying at 115,200")
        for line in lines
    )
    assert model_bytes(official_models) in chip.flash


@pytest.mark.slow
def test_a_socket_is_a_port_too(make_firmware: MakeFirmware, official_models: Path) -> None:
    chip = Chip()
    with on_socket(chip) as port:
        flashed = flash_board(at_port(port), make_firmware(), FlashOptions(boot_seconds=0))
        assert (flashed.way, flashed.where) == ("serial", port)
    assert model_bytes(official_models) in chip.flash


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's rfc2217 client
def test_real_control_lines_reset_the_board_and_its_start_is_watched(
    make_firmware: MakeFirmware, official_models: Path
) -> None:
    """Over rfc2217, where esptool is slow: pyserial waits 50 ms for each change of a time-out."""
    firmware = make_firmware(app_bytes=80_000)
    write(firmware.folder / SECRETS_FILE, {"wifi_ssid": "Villa Kunterbunt"})
    chip = Chip(app_log=("[C][wifi:505]:   SSID: 'Villa Kunterbunt'", *PANIC))
    with on_rfc2217(chip) as port:
        with pytest.raises(
            InfrastructureError,
            match=r"holds the firmware, and crashes as it starts \(Guru Meditation.*boot-desk\.log$",
        ):
            flash_board(at_port(port), firmware, FlashOptions(boot_seconds=30))
        kept = (firmware.folder / "boot-desk.log").read_text()
        assert PANIC[2] in kept
        assert "SSID: '[redacted]'" in kept
        assert model_bytes(official_models) in chip.flash
        chip.app_log = Chip().app_log
        chip.log.clear()
        flashed = flash_board(at_port(port), firmware, FlashOptions(boot_seconds=30, force=True))
    assert chip.was_written_to
    assert flashed.serial is not None
    assert flashed.serial.boot is not None
    assert flashed.serial.boot.started
    # The log begins with the reset that was made for it.
    assert flashed.serial.boot.resets == ["POWERON"]


def at_port(port: str) -> BoardEntry:
    return BoardEntry.model_validate({**DESK.model_dump(), "port": port})


def test_a_port_that_is_locked_by_one_we_may_not_see_is_told_too(make_firmware: MakeFirmware) -> None:
    """pyserial's lock, taken where nobody looks: by ourselves."""
    import serial

    with (
        on_pty(Chip()) as port,
        serial.Serial(port, exclusive=True),
        pytest.raises(InfrastructureError, match="is held by a process of another user; end it"),
    ):
        flash(port, make_firmware())


@pytest.mark.parametrize("port", ["socket://127.0.0.1:1", "rfc2217://127.0.0.1:1"])
def test_a_server_that_does_not_run_is_told(port: str, make_firmware: MakeFirmware) -> None:
    with pytest.raises(
        InfrastructureError, match=rf"^{port}: cannot be opened \(.*or the server runs, then flash again$"
    ):
        flash(port, make_firmware())


# What does not fit together


def test_what_cannot_be_flashed_is_refused_before_anything_is_asked(make_firmware: MakeFirmware) -> None:
    firmware = make_firmware()
    box = DESK.model_copy(update={"target": "esp32-s3-box-3"})
    with pytest.raises(
        ConfigError, match="is built for target esp32-s3-devkitc-1, but board 'desk' is of target esp32-s3-box-3"
    ):
        flash("/dev/none", firmware, box)
    with pytest.raises(ConfigError, match="holds no image, only generated code"):
        flash("/dev/none", replace(firmware, factory_image=None))
    with pytest.raises(ConfigError, match="board 'virtual' is virtual"):
        flash("/dev/none", firmware, BoardEntry(name="virtual", kind="virtual"))
    with pytest.raises(ConfigError, match=r"has no address in boards\.yaml, which --via network needs"):
        flash_board(DESK, firmware, FlashOptions(via="network"))
    nameless = BoardEntry(name="desk", kind="serial", target=DESK.target, usb_serial="0001", address="127.0.0.1")
    with pytest.raises(
        ConfigError, match=r"has no mac in boards\.yaml, and on the network nothing else tells boards apart"
    ):
        flash_board(nameless, firmware, FlashOptions(via="network"))
    with pytest.raises(ConfigError, match="there is no such port"):
        flash("/dev/none", firmware)


def test_a_virtual_board_is_refused_before_its_firmware_is_looked_for(tmp_path: Path) -> None:
    told = CliRunner().invoke(firmware_app, ["flash", "--board", "virtual", "--firmware", str(tmp_path)])
    assert (told.exit_code, told.stderr.startswith("error: board 'virtual' is virtual: there is nothing to flash")) == (
        2,
        True,
    ), told.stderr


@pytest.mark.slow
def test_a_real_board_without_a_target_is_told_what_to_add(tmp_path: Path) -> None:
    inventory = tmp_path / "boards.yaml"
    inventory.write_text(f"boards: [{{name: desk, kind: serial, mac: '{MAC}'}}]")
    told = CliRunner().invoke(firmware_app, ["flash", "--board", "desk", "--boards", str(inventory)])
    assert (told.exit_code, "gives board 'desk' no target; add the one" in told.stderr) == (2, True), told.stderr


def test_a_board_that_holds_the_image_but_is_not_on_the_network_is_no_success(make_firmware: MakeFirmware) -> None:
    firmware = make_firmware()
    entry = DESK.model_copy(update={"address": "127.0.0.1", "api_port": 1})
    with (
        on_pty(holding(firmware)) as port,
        pytest.raises(
            InfrastructureError, match=f"no connection .*; the firmware is in the board's flash, verified at {port}$"
        ),
    ):
        flash_board(entry, firmware, FlashOptions(via="serial", port=port, network_seconds=0))


class Swapped(Chip):
    """Another board is plugged in once the image is written."""

    def boot(self) -> None:
        super().boot()
        if "FLASH_DEFL_DATA" in self.log:
            self._registers[EFUSE_MAC] ^= 1


@pytest.mark.slow
def test_a_board_without_a_mac_must_stay_the_same_one(
    make_firmware: MakeFirmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = BoardEntry(name="desk", kind="serial", target=DESK.target, usb_serial="0001")
    with on_pty(Swapped()) as port:
        monkeypatch.setattr("firmware.serial.ports.usb_ports", lambda: [UsbPort(port, "0001", "CP2102N")])
        with pytest.raises(
            BoardRefused,
            match=(
                f"the board there has the MAC A0:85:E3:12:34:57, not {MAC} of board 'desk'; another board was put in"
                " its place"
            ),
        ):
            flash_board(entry, make_firmware(), FlashOptions(boot_seconds=0))


def test_without_the_extra_it_says_what_to_install(
    make_firmware: MakeFirmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    firmware = make_firmware()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "serial" else object())
    with pytest.raises(InfrastructureError, match=r"needs the package serial, which is not installed; .*\.\[bench\]"):
        flash("/dev/none", firmware)


def test_an_image_for_another_chip_is_refused_by_the_board(make_firmware: MakeFirmware) -> None:
    chip = Chip()
    with (
        on_pty(chip) as port,
        pytest.raises(BoardRefused, match="has an ESP32-S3, not an ESP32-C3; nothing was written"),
    ):
        flash(port, make_firmware(chip_id=ESP32_C3))
    assert not chip.was_written_to
