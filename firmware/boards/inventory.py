"""`boards.yaml`: which boards there are.

A real board is chosen by its MAC address or USB serial number, never by the name of a port, which moves. A board named
`virtual` is there without any file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from firmware.boards.entry import VIRTUAL, VIRTUAL_BOARD, BoardEntry
from firmware.boards.registry import kind_named, kind_of
from wakeword.complaints import complaint, nearest
from wakeword.errors import ConfigError
from wakeword.reading import read_yaml

INVENTORY_VARIABLE = "MWW_BOARDS"
DEFAULT_INVENTORY = Path("boards.yaml")

_SECRETS = ("key", "password", "psk", "secret", "token")


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

    Raises `ConfigError` when the file cannot be read, for an unknown key (with the nearest valid one), a value out of
    range, a secret, and a real board that neither MAC nor USB serial number identifies.
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
        where = f"in {path}" if path else "and no boards.yaml here; give one with --boards"
        raise ConfigError(f"--board {name}: no such board {where}; {nearest(name, entries, 'boards are')}")
    return entries[name]


def _listed(path: Path) -> list[Any]:
    values = read_yaml(path, "give an inventory with --boards (boards.yaml), or leave it out for --board virtual")
    if isinstance(values, dict) and set(values) == {"boards"} and isinstance(values["boards"], list):
        return values["boards"]
    raise ConfigError(
        f"{path}: an inventory is one key 'boards' with a list below it, each entry with name, kind and what identifies"
        " the board"
    )


def _entry(path: Path, number: int, values: object) -> BoardEntry:
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: board {number} is {values!r}; write its keys below it, such as 'name: desk'")
    where = f"{path}: board {values.get('name', number)!r}"
    for key in map(str, values):
        if key in BoardEntry.model_fields:
            continue
        if any(word in key.lower() for word in _SECRETS):
            raise ConfigError(
                f"{where}: {key} does not belong here, an inventory holds no secrets; set MWW_API_KEY instead"
            )
        raise ConfigError(
            f"{where}: unknown key {key}; {nearest(key, BoardEntry.model_fields, 'known are', cutoff=0.5)}"
        )
    try:
        entry = BoardEntry.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise ConfigError(f"{where}: {key} is missing; add it") from error
        if key == "kind":
            kind_named(first["input"], where)
        raise ConfigError(
            f"{where}: {key} is {first['input']!r}: {complaint(first, first['input'])}; correct it"
        ) from error
    if lack := kind_of(entry, where).lack(entry):
        raise ConfigError(f"{where}: {lack}")
    if entry.port is not None and entry.mac is None:
        raise ConfigError(
            f"{where}: a port of another machine shows no serial number, so the board is known by its mac alone; add it"
        )
    if entry.name == VIRTUAL and entry.kind != VIRTUAL_BOARD.kind:
        raise ConfigError(f"{where}: that name is the virtual board's; give the real board another one")
    return entry


def _refuse_shared_identities(path: Path, entries: dict[str, BoardEntry]) -> None:
    for key in ("mac", "usb_serial"):
        owners: dict[str, str] = {}
        for entry in entries.values():
            identity = getattr(entry, key)
            if identity is not None and owners.setdefault(identity, entry.name) != entry.name:
                raise ConfigError(
                    f"{path}: boards {owners[identity]!r} and {entry.name!r} have the same {key} {identity}; correct"
                    " one of them"
                )
