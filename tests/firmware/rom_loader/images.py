"""Flash images as ESP-IDF's build makes them: bootloader, partition table, empty otadata and an app, merged by esptool.

The code in them is noise; every header, checksum and digest is true, so esptool takes and checks them as it does real
ones.
"""

from __future__ import annotations

import hashlib
import random
import struct
import subprocess
from pathlib import Path

from tests.firmware.rom_loader.chip import ESP32_S3
from tests.firmware.rom_loader.protocol import checksum

APP_OFFSET, APP_BYTES = 0x10000, 0x3C0000
"""Of the first of two apps on 8 MB of flash, as ESPHome lays them out."""

_PARTITIONS = (
    (b"otadata", 1, 0x00, 0x9000, 0x2000),
    (b"phy_init", 1, 0x01, 0xB000, 0x1000),
    (b"app0", 0, 0x10, APP_OFFSET, APP_BYTES),
    (b"app1", 0, 0x11, APP_OFFSET + APP_BYTES, APP_BYTES),
    (b"nvs", 1, 0x02, APP_OFFSET + 2 * APP_BYTES, 0x70000),
)


def app_image(segments: list[tuple[int, bytes]], chip_id: int = ESP32_S3, flash_size: int = 3) -> bytes:
    """An image of the boot ROM's format: `segments` are load addresses and contents; `flash_size` is the header's code
    (3: 8 MB).
    """
    head = struct.pack("<BBBBI", 0xE9, len(segments), 2, flash_size << 4 | 0xF, 0x403C8918)
    head += struct.pack("<BBBBHBHHIB", 0xEE, 0, 0, 0, chip_id, 0, 0, 0xFFFF, 0, 1)
    body = b"".join(struct.pack("<II", address, len(content)) + content for address, content in segments)
    image = head + body
    image += bytes(15 - len(image) % 16) + bytes([checksum(b"".join(content for _, content in segments))])
    return image + hashlib.sha256(image).digest()


def partition_table() -> bytes:
    """ESPHome's partitions for 8 MB of flash, with the table's MD5."""
    rows = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, name, 0)
        for name, kind, subtype, offset, size in _PARTITIONS
    )
    return rows + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()


def write_images(
    folder: Path,
    esptool: Path,
    model: bytes,
    build_time: str,
    app_bytes: int = 900_000,
    chip_id: int = ESP32_S3,
    seed: int = 1,
) -> Path:
    """Write `firmware.ota.bin` and `firmware.factory.bin` (`app_bytes` and 64 KiB more), which is returned. The app
    holds `model` and `build_time`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    noise = random.Random(seed)
    # Half of it compresses, as code does.
    code = b"".join(noise.randbytes(32) + bytes(32) for _ in range((app_bytes - len(model) - 1024) // 64))
    app = app_image(
        [
            (0x3C000020, model + build_time.encode() + b"\0" * (-len(model + build_time.encode()) % 4)),
            (0x42000020, code),
        ],
        chip_id,
    )
    bootloader = app_image([(0x403C8700, noise.randbytes(16_000))], chip_id)
    parts = {0x0: bootloader, 0x8000: partition_table(), 0x9000: b"\xff" * 0x2000, APP_OFFSET: app}
    arguments: list[str | Path] = []
    for offset, content in parts.items():
        path = folder / f"part-{offset:x}.bin"
        path.write_bytes(content)
        arguments += [hex(offset), path]
    (folder / "firmware.ota.bin").write_bytes(app)
    merged = folder / "firmware.factory.bin"
    chip = "esp32s3" if chip_id == ESP32_S3 else "esp32c3"
    subprocess.run(
        [esptool, "--chip", chip, "merge-bin", "--flash-size", "8MB", "--output", merged, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return merged
