"""Where clips came from that were recorded, kept or imported in the browser: a table in the dataset's folder, a row a
clip. It knows a clip by its content, so it still knows one that was moved.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from wakeword.files import write_atomically
from wakeword.locks import wait_for
from wakeword.reading import csv_text, read_csv

TABLE_NAME = "recordings.csv"
_LOCK = ".recordings.lock"


@dataclass(frozen=True)
class Origin:
    """How a clip came into the dataset, as the page knows it. Empty where it does not apply."""

    how: str
    """`microphone`, `import`, `false accept` or `miss`: of a live microphone."""
    take: str = ""
    """How it was said: `near`, `far`, `whispered`, ..."""
    source: str = ""
    """Name of an imported file, or of the microphone as the browser names it."""
    source_rate_hz: int = 0
    """What the browser or the file had; the clip of a microphone has 16 kHz."""
    wake_word: str = ""
    """Of the model that listened."""
    model_sha256: str = ""
    average: float | None = None
    """Of a detection of that model, 0-1."""
    detected: bool | None = None
    """Whether that model detected within the clip; None without a model."""


_COLUMNS = ("sha256", "file", "date", *(field.name for field in fields(Origin)))


@dataclass(frozen=True)
class Noted:
    """A clip that came in."""

    sha256: str
    path: Path
    origin: Origin


def note_origins(root: Path, clips: Sequence[Noted]) -> None:
    """Add clips to the table. Raises `OSError` when the disk is full, `ConfigError` where the table is damaged."""
    if not clips:
        return
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    rows = [
        (one.sha256, one.path.relative_to(root).as_posix(), date, *map(_told, asdict(one.origin).values()))
        for one in clips
    ]
    with wait_for(root / _LOCK, lambda: None):
        write_atomically(root / TABLE_NAME, csv_text(_COLUMNS, [*_rows(root), *rows]))


def origins(root: Path) -> dict[str, Mapping[str, str]]:
    """The rows of the table by the hash of the clip's file. Raises `ConfigError` where it is damaged."""
    return {row[0]: dict(zip(_COLUMNS, row, strict=True)) for row in _rows(root)}


def _rows(root: Path) -> list[tuple[str, ...]]:
    path = root / TABLE_NAME
    if not path.exists():
        return []
    rows = read_csv(path, _COLUMNS, "correct it, or move it away").rows
    return [tuple(row[column] for column in _COLUMNS) for row in rows]


def _told(value: object) -> str:
    if value is None or value == 0:
        return "" if not isinstance(value, bool) else "no"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
