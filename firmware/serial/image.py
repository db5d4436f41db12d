"""What is in a factory image, and which parts of the flash prove that a board holds it.

The whole flash cannot be compared: at the first start of a fresh image ESP-IDF's bootloader writes `otadata`
(bootloader_utility.c, `set_actual_ota_seq`), and a running board writes its other data partitions. So all but the data
partitions is compared, and `otadata` is read for which app starts.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from wakeword.errors import ConfigError

TABLE_OFFSET, TABLE_BYTES = 0x8000, 0x1000
"""Where ESP-IDF puts the partition table, and the sector that it has."""

_IMAGE_MAGIC = 0xE9
_CHIP_IDS = {
    0: "ESP32",
    2: "ESP32-S2",
    5: "ESP32-C3",
    9: "ESP32-S3",
    12: "ESP32-C2",
    13: "ESP32-C6",
    16: "ESP32-H2",
    18: "ESP32-P4",
    23: "ESP32-C5",
}
"""`esp_chip_id_t` of ESP-IDF's esp_app_format.h."""
_ROW = struct.Struct("<2sBBII16sI")
_ROW_MAGIC = b"\xaa\x50"
_APP, _DATA, _OTADATA_SUBTYPE = 0, 1, 0
_OTA_0 = 0x10
_SELECT = struct.Struct("<I20sII")
"""`esp_ota_select_entry_t`: sequence, label, state, CRC of the sequence."""
_NEVER_WRITTEN = 0xFFFFFFFF
_NOT_BOOTABLE = (3, 4)
"""ESP_OTA_IMG_INVALID, ESP_OTA_IMG_ABORTED."""
_SECTOR = 0x1000


@dataclass(frozen=True)
class Partition:
    """A row of the partition table. Offset and size in bytes."""

    name: str
    kind: int
    subtype: int
    offset: int
    size: int


@dataclass(frozen=True)
class FlashImage:
    """A factory image: bootloader, partition table and app, from address 0 on."""

    path: Path
    chip: str
    """Name of the chip it was built for, as esptool says it."""
    content: bytes
    partitions: tuple[Partition, ...]

    @property
    def otadata(self) -> Partition | None:
        """The partition that says which app starts."""
        return next((row for row in self.partitions if row.kind == _DATA and row.subtype == _OTADATA_SUBTYPE), None)

    def code(self) -> list[tuple[int, bytes]]:
        """Address and content of all that a running board never changes: everything in the image but data
        partitions."""
        parts, start = [], 0
        for row in sorted((row for row in self.partitions if row.kind == _DATA), key=lambda row: row.offset):
            parts.append((start, self.content[start : row.offset]))
            start = row.offset + row.size
        parts.append((start, self.content[start:]))
        return [(address, content) for address, content in parts if content]

    def starts(self, otadata: bytes) -> bool:
        """Whether a board with this `otadata` starts the image's app, which is its first one.

        The rule is that of ESP-IDF's `bootloader_utility_get_selected_boot_partition`: nothing valid means the first
        app, else the highest sequence counts.
        """
        apps = sum(row.kind == _APP and row.subtype >= _OTA_0 for row in self.partitions)
        sequences = [sequence for offset in (0, _SECTOR) if (sequence := _selected(otadata, offset)) is not None]
        return not sequences or (max(sequences) - 1) % max(apps, 1) == 0


def read_image(path: Path) -> FlashImage:
    """Read a `firmware.factory.bin`. Raises `ConfigError` when it is none."""
    content = path.read_bytes()
    if len(content) <= TABLE_OFFSET + TABLE_BYTES or content[0] != _IMAGE_MAGIC:
        raise ConfigError(
            f"{path}: is no factory image (bootloader, partition table and app); build the firmware again"
        )
    (chip_id,) = struct.unpack_from("<H", content, 12)
    if chip_id not in _CHIP_IDS:
        raise ConfigError(
            f"{path}: is built for a chip that is not known here (id {chip_id}); build it for one of mww-firmware's"
            " targets"
        )
    rows = []
    for offset in range(TABLE_OFFSET, TABLE_OFFSET + TABLE_BYTES, _ROW.size):
        magic, kind, subtype, start, size, name, _ = _ROW.unpack_from(content, offset)
        if magic != _ROW_MAGIC:
            break
        rows.append(Partition(name.rstrip(b"\0").decode(errors="replace"), kind, subtype, start, size))
    if not any(row.kind == _APP for row in rows):
        raise ConfigError(f"{path}: has no partition table with an app; build the firmware again")
    return FlashImage(path, _CHIP_IDS[chip_id], content, tuple(rows))


def _selected(otadata: bytes, offset: int) -> int | None:
    """The sequence of an entry; None where it is not valid."""
    sequence, _, state, crc = _SELECT.unpack_from(otadata, offset)
    right = zlib.crc32(struct.pack("<I", sequence), 0xFFFFFFFF)
    return None if sequence == _NEVER_WRITTEN or state in _NOT_BOOTABLE or crc != right else int(sequence)
