"""Tables of the harness's commands, on stdout."""

from __future__ import annotations

import sys

from rich.console import Console

TABLE_WIDTH = 120
"""Of tables where the output is no terminal."""


def stdout() -> Console:
    """What tables are printed on: as wide as the terminal."""
    return Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
