"""A simulated ESP32-S3: ROM loader, flasher stub, SPI flash, and what it prints when it boots from that flash.

Flash behaves as NOR flash does: erasing sets bits, writing only clears them. As ESP-IDF's bootloader does, the first
boot of a fresh image writes `otadata`, so that the flash is no longer byte for byte what was written to it.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.firmware.rom_loader.protocol import Op, Request, SlipReader, answer, checksum, frame, parse_request

ESP32_S3, ESP32_C3 = 9, 5
"""Chip ids, as GET_SECURITY_INFO gives them."""
MAC = "A0:85:E3:12:34:56"
SECTOR = 0x1000
ROM_BAUD = 115_200

EFUSE_MAC = 0x60007044
_SPI = 0x60002000
_SPI_USER = 1 << 18
_RTC_CNTL_OPTION1 = 0x6000812C
"""esptool clears its download bit as the last thing before it resets the chip."""
_IMAGE_MAGIC = 0xE9
_OTADATA, _APP = 0x9000, 0x10000
_OK = b"\0\0"
_BAD_COMMAND, _BAD_BLOCK, _BAD_CHECKSUM = b"\1\5", b"\1\6", b"\1\7"

PANIC = (
    "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.",
    "PC      : 0x42000123  PS      : 0x00060130  A0      : 0x82012345  A1      : 0x3fcebd60",
    "Backtrace: 0x42000123:0x3fcebd60 0x42000456:0x3fcebd80",
    "Rebooting...",
)
"""What an app prints that crashes."""
ROM_LOG = ("ESP-ROM:esp32s3-20210327", "Build:Mar 27 2021")


@dataclass
class Faults:
    """What is wrong with the board."""

    deaf: bool = False
    """No answer to anything."""
    bad_line_above: int | None = None
    """Blocks arrive damaged at any speed above this one, in baud."""
    vanish_after: int | None = None
    """The port goes away after so many blocks."""
    deaf_after: int | None = None
    """It says nothing any more after so many blocks."""
    stuck_bit_at: int | None = None
    """An address whose lowest bit does not take what is written."""


@dataclass
class Chip:
    """One board. `send` takes bytes to the host, `vanish` takes the port away; a server sets both."""

    chip_id: int = ESP32_S3
    mac: str = MAC
    flash_bytes: int = 8 << 20
    faults: Faults = field(default_factory=Faults)
    app_log: Sequence[str] = ("[I][app:073]: Running through setup()", "[I][app:130]: setup() finished successfully!")
    boots_alone: bool = False
    """On a line without DTR and RTS: esptool's last register write stands for the reset, and its SYNC for the way into
    the loader."""
    send: Callable[[bytes], object] = lambda _: None
    vanish: Callable[[], object] = lambda: None
    flash: bytearray = field(init=False)
    log: list[str] = field(default_factory=list)
    """Names of the commands, in order."""
    boots: int = 0
    bauds: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flash = bytearray(b"\xff" * self.flash_bytes)
        self._slip = SlipReader()
        self._registers: defaultdict[int, int] = defaultdict(int)
        mac = int.from_bytes(bytes.fromhex(self.mac.replace(":", "")), "big")
        self._registers[EFUSE_MAC], self._registers[EFUSE_MAC + 4] = mac & 0xFFFFFFFF, mac >> 32
        self._registers[0x60007044 + 4 * 3] = 2 << 18  # chip revision v0.2
        self._flash_id = 0xC8 | 0x40 << 8 | (self.flash_bytes.bit_length() - 1) << 16
        self._blocks = 0
        self.enter_loader()

    @property
    def was_written_to(self) -> bool:
        """Whether its flash was, by any command so far."""
        return not {"FLASH_BEGIN", "FLASH_DATA", "FLASH_DEFL_BEGIN", "FLASH_DEFL_DATA"}.isdisjoint(self.log)

    def enter_loader(self) -> None:
        """Reset with IO0 low."""
        self._running, self._stub, self._baud = False, False, ROM_BAUD
        self._inflate: zlib._Decompress | None = None
        self._address = self._sequence = 0
        self._reading: list[bytes] | None = None

    def boot(self) -> None:
        """Reset with IO0 high: what is in flash starts, and says so on the line."""
        self.enter_loader()
        self.boots += 1
        if self.flash[0] != _IMAGE_MAGIC or self.flash[_APP] != _IMAGE_MAGIC:
            self._running = True
            self._print(
                *ROM_LOG, "rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)", *["invalid header: 0xffffffff"] * 4
            )
            return
        if self.flash[_OTADATA : _OTADATA + 4] == b"\xff" * 4:
            # bootloader_utility.c, set_actual_ota_seq: sequence 1, state VALID, CRC of the sequence alone.
            sequence = struct.pack("<I", 1)
            entry = sequence + b"\xff" * 20 + struct.pack("<II", 2, zlib.crc32(sequence, 0xFFFFFFFF))
            self.flash[_OTADATA : _OTADATA + len(entry)] = entry
        self._running = True
        self._print(*ROM_LOG, "rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)", "entry 0x403c8918", *self.app_log)

    def feed(self, data: bytes) -> None:
        """Bytes from the host."""
        if self.faults.deaf:
            return
        for payload in self._slip.feed(data):
            if self._reading is not None and len(payload) == 4:
                continue  # the host acknowledges what it has read
            request = parse_request(payload)
            if request is None:
                continue
            if self._running:
                if not (self.boots_alone and request.op == Op.SYNC):
                    continue
                self.enter_loader()
            self.log.append(Op(request.op).name if request.op in Op else hex(request.op))
            self._handle(request)

    def _print(self, *lines: str) -> None:
        self.send("".join(f"{line}\r\n" for line in lines).encode())

    def _answer(self, request: Request, value: int = 0, data: bytes = b"", status: bytes = _OK) -> None:
        # The ROM sends two status bytes more than the stub.
        self.send(frame(answer(request.op, value, data + status + (b"" if self._stub else b"\0\0"))))

    def _handle(self, request: Request) -> None:
        match request.op:
            case Op.SYNC:
                for _ in range(8):
                    self._answer(request, 0 if self._stub else 0x20120707)
            case Op.GET_SECURITY_INFO:
                self._answer(request, data=struct.pack("<IBBBBBBBBII", 0, 0, *[0] * 7, self.chip_id, 0))
            case Op.READ_REG:
                self._answer(request, self._registers[request.words(1)[0]])
            case Op.WRITE_REG:
                self._write_registers(request)
            case Op.MEM_END:
                self._answer(request)
                if request.words(1)[0] == 0:
                    self._stub = True
                    self.send(frame(b"OHAI"))
            case Op.MEM_DATA | Op.FLASH_DATA | Op.FLASH_DEFL_DATA:
                self._take_block(request)
            case Op.FLASH_BEGIN | Op.FLASH_DEFL_BEGIN:
                self._begin(request)
            case Op.SPI_FLASH_MD5:
                start, size = request.words(2)
                digest = hashlib.md5(self.flash[start : start + size])
                self._answer(request, data=digest.digest() if self._stub else digest.hexdigest().encode())
            case Op.CHANGE_BAUDRATE:
                self._answer(request)
                self._baud = request.words(1)[0]
                self.bauds.append(self._baud)
            case Op.READ_FLASH if self._stub:
                self._read(request)
            case Op.MEM_BEGIN | Op.SPI_SET_PARAMS | Op.SPI_ATTACH | Op.FLASH_END | Op.FLASH_DEFL_END:
                self._answer(request)
            case _:
                self._answer(request, status=_BAD_COMMAND)

    def _write_registers(self, request: Request) -> None:
        for start in range(0, len(request.data) // 16 * 16, 16):
            address, value, mask, _ = struct.unpack_from("<4I", request.data, start)
            self._registers[address] = (self._registers[address] & ~mask) | (value & mask)
            if address == _SPI and value & _SPI_USER:
                self._run_spi_command()
        self._answer(request)
        if self.boots_alone and request.words(1)[0] == _RTC_CNTL_OPTION1:
            self.boot()

    def _run_spi_command(self) -> None:
        """The flash chip itself, reached through the SPI peripheral's registers: its identity and its parameter table's
        signature.
        """
        self._registers[_SPI] &= ~_SPI_USER
        command = self._registers[_SPI + 0x20] & 0xFFFF
        if command == 0x9F:
            self._registers[_SPI + 0x58] = self._flash_id
        elif command == 0x5A:
            self._registers[_SPI + 0x58] = int.from_bytes(b"SFDP", "little")

    def _begin(self, request: Request) -> None:
        size, _, _, self._address = request.words(4)
        self._inflate = zlib.decompressobj() if request.op == Op.FLASH_DEFL_BEGIN else None
        self._sequence = 0
        end = -(-(self._address + size) // SECTOR) * SECTOR
        self.flash[self._address : end] = b"\xff" * (end - self._address)
        self._answer(request)

    def _take_block(self, request: Request) -> None:
        length, sequence = request.words(2)
        block = request.data[16 : 16 + length]
        if request.op != Op.MEM_DATA:
            self._blocks += 1
            if self.faults.vanish_after is not None and self._blocks > self.faults.vanish_after:
                self.vanish()
                return
            if self.faults.deaf_after is not None and self._blocks > self.faults.deaf_after:
                self.faults.deaf = True
                return
            if self.faults.bad_line_above is not None and self._baud > self.faults.bad_line_above:
                block = bytes([block[0] ^ 0x10]) + block[1:]
        if checksum(block) != request.checksum:
            self._answer(request, status=_BAD_CHECKSUM)
            return
        if request.op == Op.MEM_DATA:
            self._answer(request)
            return
        if sequence != self._sequence:
            self._answer(request, status=_BAD_BLOCK)
            return
        self._sequence += 1
        self._program(block if self._inflate is None else self._inflate.decompress(block))
        self._answer(request)

    def _program(self, content: bytes) -> None:
        end = self._address + len(content)
        old = int.from_bytes(self.flash[self._address : end])
        self.flash[self._address : end] = (old & int.from_bytes(content)).to_bytes(len(content))
        stuck = self.faults.stuck_bit_at
        if stuck is not None and self._address <= stuck < end:
            self.flash[stuck] ^= 1
        self._address = end

    def _read(self, request: Request) -> None:
        start, size, block, _ = request.words(4)
        self._answer(request)
        self._reading = []
        for offset in range(start, start + size, block):
            self.send(frame(bytes(self.flash[offset : min(offset + block, start + size)])))
        self.send(frame(hashlib.md5(self.flash[start : start + size]).digest()))
