"""A board of the station, as `boards.yaml` describes it.

Facts of the station alone; no flow of a test, and no secret.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

HOST_TARGET = "host"
"""The target of a virtual board: a program on this machine."""
VIRTUAL = "virtual"
"""Name of the board that everyone has."""
API_PORT = 6053
"""Port of ESPHome's native API."""
MICROPHONE_PORT = 6055
"""Port of the bench's microphone on a board that was built with `--digital`."""
OTA_PORT = 3232
"""Port of ESPHome's updates over the air on an ESP32."""
NETWORK_PORTS = ("rfc2217://", "socket://")
"""Serial ports of another machine, as pyserial and esptool name them."""

_MAC = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def _mac(value: str) -> str:
    """The address as ESPHome announces it: upper case, with colons."""
    written = value.strip().upper().replace("-", ":")
    if ":" not in written:
        written = ":".join(written[index : index + 2] for index in range(0, len(written), 2))
    if not _MAC.fullmatch(written):
        raise ValueError("a MAC address has six pairs of hex digits, such as A0:85:E3:12:34:56")
    return written


def _port(value: str) -> str:
    if not value.startswith(NETWORK_PORTS):
        raise ValueError(
            "a port of this machine moves; give usb_serial or mac for it, and here only rfc2217://HOST:PORT or"
            " socket://HOST:PORT"
        )
    return value


def _text(value: object) -> object:
    """YAML reads an unquoted serial number as a number; and 00:11:22:33:44:55 as one in base 60, which
    nobody can undo."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError("YAML reads this as a number; put it into quotes")  # noqa: TRY004 - pydantic wants a ValueError
    return value


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]


class BoardEntry(BaseModel):
    """One board of the station. Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: Annotated[Text, Field(pattern=_NAME)]
    kind: Text
    """One of `firmware.boards.registry`."""
    target: Text = HOST_TARGET
    """The firmware's target, as `mww-firmware build --target` takes it."""
    mac: Annotated[Text, AfterValidator(_mac)] | None = None
    usb_serial: Text | None = None
    """Serial number of the USB port's chip, by which the board is found on any port."""
    port: Annotated[Text, AfterValidator(_port)] | None = None
    """A serial port of another machine, `rfc2217://HOST:PORT` or `socket://HOST:PORT`. Names of this machine's ports
    move, and are refused."""
    address: Text | None = None
    """Host name or IP address on the network."""
    api_port: int = Field(default=API_PORT, ge=1, le=65535)
    ota_port: int = Field(default=OTA_PORT, ge=1, le=65535)
    microphone_port: int = Field(default=MICROPHONE_PORT, ge=1, le=65535)
    device_name: Text | None = None
    """The name that the board's firmware announces."""
    room: Text | None = None
    """Boards of one room hear the same loudspeaker: one session at a time."""
    microphone: Text | None = None
    """Of a real board: the part that it hears with, in words. Of a virtual one: a recording device of this machine, in
    place of sound without air."""
    speaker: Text | None = None
    """A playing device of this machine, by name."""
    reference_microphone: Text | None = None
    """A recording device of this machine that stands beside a real board."""
    speaker_rate: int | None = Field(default=None, ge=8000, le=384_000)
    """Hz, where the device's own rate is not what its driver says."""
    microphone_rate: int | None = Field(default=None, ge=8000, le=384_000)
    """Hz, of the recording device."""
    geometry: Text | None = None
    """Where loudspeaker, board and microphone stand, in words: it goes into every result."""


VIRTUAL_BOARD = BoardEntry(name=VIRTUAL, kind="virtual", target=HOST_TARGET)
