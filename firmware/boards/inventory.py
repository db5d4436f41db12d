"""`boards.yaml`: which boards there are. Facts of the station alone; no flow of a test, and no secret.

A real board is chosen by its MAC address or USB serial number, never by the name of a port, which moves. A board named `virtual` is there
without any file.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from wakeword.complaints import complaint
from wakeword.errors import ConfigError
from wakeword.reading import read_yaml

INVENTORY_VARIABLE = "MWW_BOARDS"
DEFAULT_INVENTORY = Path("boards.yaml")
HOST_TARGET = "host"
"""The target of a virtual board: a program on this machine."""
VIRTUAL = "virtual"
"""Name of the board that everyone has."""
API_PORT = 6053
"""Port of ESPHome's native API."""
OTA_PORT = 3232
"""Port of ESPHome's updates over the air on an ESP32."""
NETWORK_PORTS = ("rfc2217://", "socket://")
"""Serial ports of another machine, as pyserial and esptool name them."""

_SECRETS = ("key", "password", "psk", "secret", "token")
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
        raise ValueError("a port of this machine moves; give usb_serial or mac for it, and here only rfc2217://HOST:PORT or socket://HOST:PORT")
    return value


def _text(value: object) -> object:
    """YAML reads an unquoted serial number as a number; and 00:11:22:33:44:55 as one in base 60, which nobody can undo."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError("YAML reads this as a number; put it into quotes")  # noqa: TRY004 - pydantic wants a ValueError
    return value


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]


class BoardEntry(BaseModel):
    """One board of the station. Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: Annotated[Text, Field(pattern=_NAME)]
    kind: Literal["virtual", "serial"]
    target: Text = HOST_TARGET
    """The firmware's target, as `mww-firmware build --target` takes it."""
    mac: Annotated[Text, AfterValidator(_mac)] | None = None
    usb_serial: Text | None = None
    """Serial number of the USB port's chip, by which the board is found on any port."""
    port: Annotated[Text, AfterValidator(_port)] | None = None
    """A serial port of another machine, `rfc2217://HOST:PORT` or `socket://HOST:PORT`. Names of this machine's ports move, and are refused."""
    address: Text | None = None
    """Host name or IP address on the network."""
    api_port: int = Field(default=API_PORT, ge=1, le=65535)
    ota_port: int = Field(default=OTA_PORT, ge=1, le=65535)
    device_name: Text | None = None
    """The name that the board's firmware announces."""
    room: Text | None = None
    """Boards of one room hear the same loudspeaker: one session at a time."""
    microphone: Text | None = None
    """Of a real board: the part that it hears with, in words. Of a virtual one: a recording device of this machine, in place of sound without air."""
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


def inventory_path(given: Path | None) -> Path | None:
    """The inventory to read: the one given, `$MWW_BOARDS`, or `boards.yaml` here if there is one."""
    if given is not None:
        return given
    named = os.environ.get(INVENTORY_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_INVENTORY if DEFAULT_INVENTORY.is_file() else None


def read_inventory(path: Path | None) -> dict[str, BoardEntry]:
    """All boards by name, `virtual` among them.

    Raises `ConfigError` when the file cannot be read, for an unknown key (with the nearest valid one), a value out of range, a secret, and a
    real board that neither MAC nor USB serial number identifies.
    """
    entries = {VIRTUAL: VIRTUAL_BOARD}
    if path is None:
        return entries
    named: set[str] = set()
    for number, values in enumerate(_listed(path), 1):
        entry = _entry(path, number, values)
        if entry.name in named:
            raise ConfigError(f"{path}: two boards are named {entry.name!r}; give each a name of its own")
        named.add(entry.name)
        entries[entry.name] = entry
    _refuse_shared_identities(path, entries)
    return entries


def find_board(name: str, path: Path | None) -> BoardEntry:
    """The board of that name. Raises `ConfigError` as `read_inventory` does, and when there is none of that name."""
    entries = read_inventory(path)
    if name not in entries:
        near = difflib.get_close_matches(name, entries, 1)
        hint = f"did you mean {near[0]}?" if near else f"boards are {', '.join(entries)}"
        where = f"in {path}" if path else "and no boards.yaml here; give one with --boards"
        raise ConfigError(f"--board {name}: no such board {where}; {hint}")
    return entries[name]


def _listed(path: Path) -> list[Any]:
    values = read_yaml(path, "give an inventory with --boards (boards.yaml), or leave it out for --board virtual")
    if isinstance(values, dict) and set(values) == {"boards"} and isinstance(values["boards"], list):
        return values["boards"]
    raise ConfigError(f"{path}: an inventory is one key 'boards' with a list below it, each entry with name, kind and what identifies the board")


def _entry(path: Path, number: int, values: object) -> BoardEntry:
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: board {number} is {values!r}; write its keys below it, such as 'name: desk'")
    where = f"{path}: board {values.get('name', number)!r}"
    for key in map(str, values):
        if key in BoardEntry.model_fields:
            continue
        if any(word in key.lower() for word in _SECRETS):
            raise ConfigError(f"{where}: {key} does not belong here, an inventory holds no secrets; set MWW_API_KEY instead")
        near = difflib.get_close_matches(key, BoardEntry.model_fields, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(BoardEntry.model_fields)}"
        raise ConfigError(f"{where}: unknown key {key}; {hint}")
    try:
        entry = BoardEntry.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise ConfigError(f"{where}: {key} is missing; add it") from error
        raise ConfigError(f"{where}: {key} is {first['input']!r}: {complaint(first, first['input'])}; correct it") from error
    if entry.kind == "serial" and entry.mac is None and entry.usb_serial is None:
        raise ConfigError(f"{where}: neither mac nor usb_serial is given, and ports move; add one of them")
    if entry.port is not None and entry.mac is None:
        raise ConfigError(f"{where}: a port of another machine shows no serial number, so the board is known by its mac alone; add it")
    if entry.name == VIRTUAL and entry.kind != "virtual":
        raise ConfigError(f"{where}: that name is the virtual board's; give the real board another one")
    return entry


def _refuse_shared_identities(path: Path, entries: dict[str, BoardEntry]) -> None:
    for key in ("mac", "usb_serial"):
        owners: dict[str, str] = {}
        for entry in entries.values():
            identity = getattr(entry, key)
            if identity is not None and owners.setdefault(identity, entry.name) != entry.name:
                raise ConfigError(f"{path}: boards {owners[identity]!r} and {entry.name!r} have the same {key} {identity}; correct one of them")
