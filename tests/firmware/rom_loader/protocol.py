"""The serial protocol's framing: SLIP, and requests and answers inside it.

https://docs.espressif.com/projects/esptool/en/latest/esp32s3/advanced-topics/serial-protocol.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

END, ESC, ESC_END, ESC_ESC = b"\xc0", b"\xdb", b"\xdb\xdc", b"\xdb\xdd"
CHECKSUM_SEED = 0xEF

_HEADER = struct.Struct("<BBHI")


class Op(IntEnum):
    """The commands that esptool uses here."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    GET_SECURITY_INFO = 0x14
    READ_FLASH = 0xD2


@dataclass(frozen=True)
class Request:
    """What the host asked."""

    op: int
    checksum: int
    data: bytes

    def words(self, count: int) -> tuple[int, ...]:
        """The first 32-bit words of the data."""
        return struct.unpack_from(f"<{count}I", self.data)


class SlipReader:
    """Bytes as they come, into whole frames."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every frame that `data` completes. What stands between two frames is given too; it is no request."""
        *whole, self._pending = (self._pending + data).split(END)
        yield from (part.replace(ESC_END, END).replace(ESC_ESC, ESC) for part in whole if part)


def frame(payload: bytes) -> bytes:
    """`payload` as one SLIP frame."""
    return END + payload.replace(ESC, ESC_ESC).replace(END, ESC_END) + END


def parse_request(payload: bytes) -> Request | None:
    """The request in a frame; None where it is none."""
    if len(payload) < _HEADER.size:
        return None
    direction, op, length, checksum = _HEADER.unpack_from(payload)
    data = payload[_HEADER.size :]
    return Request(op, checksum, data) if direction == 0 and len(data) == length else None


def answer(op: int, value: int, body: bytes) -> bytes:
    """An answer's payload; `body` ends with the status bytes."""
    return _HEADER.pack(1, op, len(body), value) + body


def checksum(data: bytes) -> int:
    """The ROM's checksum of a block."""
    return CHECKSUM_SEED ^ int(np.bitwise_xor.reduce(np.frombuffer(data, np.uint8), initial=0))
