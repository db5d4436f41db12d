"""What of a factory image proves that a board holds it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from firmware.serial.image import FlashImage, read_image
from tests.firmware.rom_loader.images import APP_OFFSET, partition_table
from wakeword.errors import ConfigError

VALID, INVALID, ABORTED, UNDEFINED = 2, 3, 4, 0xFFFFFFFF
"""States of an app, ESP-IDF's esp_flash_partitions.h."""
EMPTY = b"\xff" * 0x2000


def image_file(folder: Path, chip_id: int = 9) -> Path:
    header = bytearray(b"\xe9\x01\x02\x3f" + bytes(20))
    struct.pack_into("<H", header, 12, chip_id)
    content = (
        bytes(header).ljust(0x8000, b"\xff")
        + partition_table().ljust(0x1000, b"\xff")
        + b"\xff" * (APP_OFFSET - 0x9000)
        + b"app"
    )
    path = folder / "firmware.factory.bin"
    path.write_bytes(content)
    return path


@pytest.fixture
def image(tmp_path: Path) -> FlashImage:
    return read_image(image_file(tmp_path))


def otadata(*entries: tuple[int, int] | None, damaged: bool = False) -> bytes:
    """Both sectors; an entry is sequence and state."""
    sectors = []
    for entry in entries:
        sequence, state = entry or (UNDEFINED, UNDEFINED)
        crc = zlib.crc32(struct.pack("<I", sequence), 0xFFFFFFFF) ^ damaged
        sectors.append(
            (b"\xff" * 32 if entry is None else struct.pack("<I20sII", sequence, b"\xff" * 20, state, crc)).ljust(
                0x1000, b"\xff"
            )
        )
    return b"".join(sectors)


def test_all_but_the_data_partitions_is_compared(image: FlashImage) -> None:
    parts = image.code()
    assert [(address, len(content)) for address, content in parts] == [(0, 0x9000), (0xC000, APP_OFFSET - 0xC000 + 3)]
    assert all(image.content[address : address + len(content)] == content for address, content in parts)
    assert image.otadata is not None
    assert (image.otadata.offset, image.otadata.size) == (0x9000, 0x2000)
    assert image.chip == "ESP32-S3"


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (EMPTY, True),
        (otadata((1, VALID), None), True),
        (otadata((1, UNDEFINED), None), True),
        (otadata((1, VALID), (2, VALID)), False),
        (otadata((3, VALID), (2, VALID)), True),
        (otadata((1, VALID), (2, ABORTED)), True),
        (otadata((1, VALID), (2, INVALID)), True),
        (otadata(None, (2, VALID)), False),
        (otadata((2, VALID), None, damaged=True), True),
    ],
)
def test_which_app_starts_is_read_as_the_bootloader_does(image: FlashImage, content: bytes, first: bool) -> None:
    assert image.starts(content) is first


def test_the_first_app_as_it_stands_in_real_flash(image: FlashImage) -> None:
    """`boot_app0.bin` of Espressif's Arduino core: sequence 1 and its CRC."""
    real = bytes.fromhex("01000000" + "ff" * 24 + "9a984347")
    assert image.starts((real + b"\xff" * (0x1000 - 32)) * 2)
    second = struct.pack("<I", 2) + real[4:28] + struct.pack("<I", zlib.crc32(b"\2\0\0\0", 0xFFFFFFFF))
    assert not image.starts(real.ljust(0x1000, b"\xff") + second.ljust(0x1000, b"\xff"))


def test_the_chip_is_that_of_the_header(tmp_path: Path) -> None:
    assert read_image(image_file(tmp_path, 5)).chip == "ESP32-C3"
    with pytest.raises(ConfigError, match=r"a chip that is not known here \(id 77\)"):
        read_image(image_file(tmp_path, 77))


@pytest.mark.parametrize("content", [b"", b"\xe9", b"\xff" * 0x20000, b"\xe9" + b"\xff" * 0x20000])
def test_what_is_no_factory_image_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "firmware.factory.bin"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="; build "):
        read_image(path)
