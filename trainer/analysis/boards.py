"""Boards that could hold a model, and what they leave to it.

Sources: ESP32-S3-WROOM-1 datasheet (512 KB SRAM, 240 MHz, N8R8 and N16R8 modules); Waveshare's page of the
ESP32-S3-AUDIO-Board (N16R8 module); Espressif's board support package of the ESP32-S3-BOX-3 (16 MB of flash, 16 MB of
PSRAM); ESP32-WROVER-E datasheet (ESP32-WROVER-E-N4R8: 520 KB SRAM, 4 MB of flash, 8 MB of PSRAM) and the ESP32
technical reference, of which at most 4 MB are mapped at once; Raspberry Pi Pico and RP2040 datasheets (264 KB SRAM, 2
MB of flash, two Cortex-M0+ of 133 MHz); Arduino Nano 33 BLE and nRF52840 datasheets (256 KB RAM, 1 MB of flash, a
Cortex-M4F of 64 MHz), and `nano33ble.upload.maximum_size` in `boards.txt` of Arduino's core for it
(arduino/ArduinoCore-mbed: 983,040 bytes). A program's slot is half of the flash behind bootloader, tables and settings,
as ESPHome 2026.10 divides it under ESP-IDF (`esphome/components/esp32`, `_get_app_partition_size`). ESPHome's
micro_wake_word is for ESP32s alone: the other two need a program of their own around TFLM, without a second slot for
updates.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeword.errors import ArgumentError

KIB, MIB = 1 << 10, 1 << 20

PARTITIONED_OTHERWISE = 0x10000 + 0x70000
"""Bootloader, partition table, update data and radio calibration, padded to 64 KiB; then 448 KiB of settings (NVS)."""
SLOT_ALIGNMENT = 0x10000
FIRMWARE_BYTES = 2560 * KIB
"""Set aside for everything of the program but the model. An estimate, and generous: a voice assistant with a display
takes about 2 MiB."""
PLAIN_FIRMWARE_BYTES = 1536 * KIB
"""The same for a satellite without a display, which is all that a slot of 1.75 MiB holds; an estimate."""
BARE_FIRMWARE_BYTES = 256 * KIB
"""The same for a program of one's own: TFLM, the frontend, a microphone; an estimate."""
NANO_33_BLE_BOOTLOADER = 64 * KIB
"""What Arduino's core leaves of the flash to no program."""


@dataclass(frozen=True)
class BoardProfile:
    """Sizes in bytes, the clock in Hz."""

    name: str
    flash: int
    psram: int
    sram: int = 512 * KIB
    clock_hz: int = 240_000_000
    firmware: int = FIRMWARE_BYTES
    cycles_per_mac: int = 10
    """Of int8 kernels, with all that lies around the products. A pessimistic guess: nothing was measured."""
    bootloader: int = 0
    """Flash that is no program's, where it is not ESPHome that divides it."""
    esphome: bool = True
    """Whether ESPHome's micro_wake_word runs there."""

    @property
    def app_slot(self) -> int:
        """The largest program, model included. Under ESPHome it can be updated over the air: there are two slots."""
        if not self.esphome:
            return self.flash - self.bootloader
        return (self.flash - PARTITIONED_OTHERWISE) // 2 // SLOT_ALIGNMENT * SLOT_ALIGNMENT

    @property
    def flash_for_model(self) -> int:
        """What the program leaves of its slot; an estimate."""
        return self.app_slot - self.firmware

    @property
    def ram_for_model(self) -> int:
        """Half of the PSRAM, where ESPHome puts the arena first; the other half is for the display, buffers and TLS.
        Without PSRAM half of the SRAM. An estimate.
        """
        return (self.psram or self.sram) // 2


BOARDS = (
    BoardProfile("ESP32-S3 N8R8 (DevKitC-1)", 8 * MIB, 8 * MIB),
    BoardProfile("ESP32-S3 N16R8", 16 * MIB, 8 * MIB),
    BoardProfile("Waveshare ESP32-S3-AUDIO", 16 * MIB, 8 * MIB),
    BoardProfile("ESP32-S3-BOX-3", 16 * MIB, 16 * MIB),
    # No vector instructions, so that ESP-NN computes in plain C there.
    BoardProfile("ESP32-WROVER-E N4R8", 4 * MIB, 4 * MIB, 520 * KIB, firmware=PLAIN_FIRMWARE_BYTES, cycles_per_mac=30),
    # Its cores have no instruction that divides, nor one that multiplies to 64 bits.
    BoardProfile(
        "Raspberry Pi Pico",
        2 * MIB,
        0,
        264 * KIB,
        133_000_000,
        firmware=BARE_FIRMWARE_BYTES,
        cycles_per_mac=40,
        esphome=False,
    ),
    BoardProfile(
        "Arduino Nano 33 BLE",
        1 * MIB,
        0,
        256 * KIB,
        64_000_000,
        firmware=BARE_FIRMWARE_BYTES,
        cycles_per_mac=15,
        bootloader=NANO_33_BLE_BOOTLOADER,
        esphome=False,
    ),
)


def find_board(name: str) -> BoardProfile:
    """The board of a name, or of a part of it that no other board has; letters count whatever their case.

    Raises `ArgumentError` for a name of none or of several.
    """
    found = [board for board in BOARDS if name.lower() == board.name.lower()] or [
        board for board in BOARDS if name.lower() in board.name.lower()
    ]
    if len(found) != 1:
        what = "no known board" if not found else "the name of several boards"
        raise ArgumentError("board", name, f"{what}; give one of {', '.join(board.name for board in BOARDS)}")
    return found[0]
