"""Sound of a room is asked for in plain words before any of it is kept."""

from __future__ import annotations

import sys
from pathlib import Path

from wakeword.errors import ConfigError

ASKED, GIVEN = "asked at the terminal", "given by --yes"
"""How consent came, for the table of what was kept."""


def ask_consent(board: str, what: str, folder: Path | None, *, yes: bool) -> str:
    """Say what will be heard and kept, and ask. `folder` None: nothing is kept. Returns how consent came.

    Raises `ConfigError` where it is refused, and where nobody can be asked.
    """
    sys.stderr.write(
        f"Board {board!r} will send what its microphone hears to this computer, encrypted.\n"
        f"{what} {'Nothing of it is kept' if folder is None else f'It is kept in {folder.absolute()} and'} "
        f"{'but its levels and its spectrum' if folder is None else 'goes nowhere else'}.\n"
        "Everybody who can be heard there should know that, and agree.\n"
    )
    if yes:
        return GIVEN
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked for consent here; give --yes once all who can be heard have agreed")
    sys.stderr.write("Do all who can be heard agree? Type yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("yes", "y"):
        raise ConfigError("without consent nothing is listened to")
    return ASKED
