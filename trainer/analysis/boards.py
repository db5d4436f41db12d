"""Boards that run ESPHome's micro_wake_word, and what they leave to a model.

Sources: ESP32-S3-WROOM-1 datasheet (512 KB SRAM, 240 MHz, N8R8 and N16R8 modules); Waveshare's page of the
ESP32-S3-AUDIO-Board (N16R8 module); Espressif's board support package of the ESP32-S3-BOX-3 (16 MB of flash, 16 MB of
PSRAM). A program's slot is half of the flash behind bootloader, tables and settings, as ESPHome 2026.10 divides it
under ESP-IDF (`esphome/components/esp32`, `_get_app_partition_size`).
"""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20

PARTITIONED_OTHERWISE = 0x10000 + 0x70000
"""Bootloader, partition table, update data and radio calibration, padded to 64 KiB; then 448 KiB of settings (NVS)."""
SLOT_ALIGNMENT = 0x10000
FIRMWARE_BYTES = 2560 * KIB
"""Set aside for everything of the program but the model. An estimate, and generous: a voice assistant with a display
takes about 2 MiB."""


@dataclass(frozen=True)
class BoardProfile:
    """Sizes in bytes, the clock in Hz."""

    name: str
    flash: int
    psram: int
    sram: int = 512 * KIB
    clock_hz: int = 240_000_000

    @property
    def app_slot(self) -> int:
        """The largest program, model included, that can be updated over the air: there are two slots."""
        return (self.flash - PARTITIONED_OTHERWISE) // 2 // SLOT_ALIGNMENT * SLOT_ALIGNMENT

    @property
    def flash_for_model(self) -> int:
        """What the program leaves of its slot; an estimate."""
        return self.app_slot - FIRMWARE_BYTES

    @property
    def ram_for_model(self) -> int:
        """Half of the PSRAM, where ESPHome puts the arena first; the other half is for the display, buffers and TLS. An
        estimate.
        """
        return self.psram // 2


BOARDS = (
    BoardProfile("ESP32-S3 N8R8 (DevKitC-1)", 8 * MIB, 8 * MIB),
    BoardProfile("ESP32-S3 N16R8", 16 * MIB, 8 * MIB),
    BoardProfile("Waveshare ESP32-S3-AUDIO", 16 * MIB, 8 * MIB),
    BoardProfile("ESP32-S3-BOX-3", 16 * MIB, 16 * MIB),
)
