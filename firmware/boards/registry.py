"""The registry of kinds of boards: the modules of `firmware.boards.kinds`."""

from __future__ import annotations

from functools import cache

from firmware.boards import kinds
from firmware.boards.board import BoardKind
from firmware.boards.entry import BoardEntry
from wakeword.errors import ConfigError
from wakeword.registry import registered


@cache
def board_kinds() -> dict[str, BoardKind]:
    """Every kind of board by its name, in alphabetical order.

    Raises `ValueError` where two modules register one name.
    """
    found: list[BoardKind] = registered(kinds, "KIND")
    names = [kind.name for kind in found]
    if len(set(names)) < len(names):
        raise ValueError(
            f"{kinds.__name__}: two modules register one kind, of {', '.join(names)}; give each KIND a name of its own"
        )
    return dict(zip(names, found, strict=True))


def kind_of(entry: BoardEntry, where: str | None = None) -> BoardKind:
    """The kind of a board. Raises `ConfigError`, which begins with `where`, for a kind that is not there."""
    return kind_named(entry.kind, where or f"board {entry.name!r}")


def kind_named(name: object, where: str) -> BoardKind:
    """The kind of that name. Raises `ConfigError`, which begins with `where`, for what is none."""
    found = board_kinds().get(name) if isinstance(name, str) else None
    if found is None:
        raise ConfigError(
            f"{where}: kind is {name!r}: it must be one of {', '.join(map(repr, board_kinds()))}; correct it"
        )
    return found
