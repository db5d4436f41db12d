"""What mww-mine found, for the gallery: each clip with where it comes from and how sure the model was."""

from __future__ import annotations

import functools
from pathlib import Path

from trainer.data.ingest import Label
from trainer.data.mined import TABLE_NAME, MinedClip, read_table


def mined_rows(root: Path) -> dict[str, MinedClip]:
    """The rows of the tables among a dataset's hard negatives, by the clip's file name, which is made of its content: a
    clip that was moved is still known by it. Raises `ConfigError` where a table is damaged.
    """
    tables = sorted((root / Label.HARD_NEGATIVE.value).glob(f"**/{TABLE_NAME}"))
    return {row.file: row for table in tables for row in _rows(table, table.stat().st_mtime_ns)}


@functools.lru_cache(maxsize=16)
def _rows(table: Path, changed_ns: int) -> tuple[MinedClip, ...]:
    del changed_ns
    return read_table(table.parent)
