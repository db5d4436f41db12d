"""The table of mined clips: where each came from and why. It outlives its clips: what the user deletes is not mined again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from wakeword.corpus.recordings import hash_file
from wakeword.corpus.walk import Rejection, walk
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.reading import read_csv

TABLE_NAME = "mined.csv"


@dataclass(frozen=True)
class MinedClip:
    """One row. Samples are of the source at 16 kHz; the probability is the device's uint8 over 255."""

    file: str
    """Name of the clip beside the table, made of its content."""
    clip_sha256: str
    """Of the clip's samples, int16 little-endian."""
    source: str
    source_sha256: str
    start_sample: int
    end_sample: int
    probability: float
    threshold: float
    model_sha256: str
    date: str
    """UTC, ISO 8601."""
    window_end_sample: int | None = None
    """Where the accepted window ends, which may lie in the silence behind the source; None in tables of older versions."""
    step: int | None = None
    """Steps that the model in training had done; None for a finished one."""


_NAMES = tuple(field.name for field in fields(MinedClip))
_LATER_NAMES = ("window_end_sample", "step")


def read_table(folder: Path) -> tuple[MinedClip, ...]:
    """The rows of a folder of mined clips; none where there is no table. Raises `ConfigError` when it is damaged."""
    path = folder / TABLE_NAME
    if not path.exists():
        return ()
    needed = tuple(name for name in _NAMES if name not in _LATER_NAMES)
    rows = read_csv(path, needed, "correct it, or mine into another folder").rows
    try:
        return tuple(_row(row.values) for row in rows)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{path}: damaged ({error}); correct it, or mine into another folder") from error


def write_table(folder: Path, rows: Sequence[MinedClip]) -> None:
    """Write all rows, whole or not at all. Raises `OSError` when the disk is full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_NAMES)
    writer.writerows(astuple(row) for row in rows)
    write_atomically(folder / TABLE_NAME, text.getvalue())


def rows_below(folders: Iterable[Path]) -> list[MinedClip]:
    """The rows of all tables in folders and below, of clips that were deleted too. Raises as `read_table` does."""
    tables = (table for folder in folders if folder.is_dir() for table in walk(folder).tables if table.name == TABLE_NAME)
    return [row for table in tables for row in read_table(table.parent)]


def mined_among(paths: Iterable[Path]) -> dict[Path, MinedClip]:
    """The rows of those of the recordings that a table beside them lists; of a link, beside what it leads to. Raises as `read_table` does."""
    listed: dict[Path, dict[str, MinedClip]] = {}
    found: dict[Path, MinedClip] = {}
    for path in paths:
        real = path.resolve()
        if real.parent not in listed:
            listed[real.parent] = {row.file: row for row in read_table(real.parent)}
        if real.name in listed[real.parent]:
            found[path] = listed[real.parent][real.name]
    return found


def place_mined(records: Sequence[SampleRecord]) -> tuple[list[SampleRecord], list[Rejection]]:
    """Mined clips among records train, whatever a splitter said of them, unless their source holds them back.

    What was cut from a recording that validates or tests this run, or that holds its wake word, is a rejection; a source is known by its path
    or its content. Raises as `read_table` does.
    """
    mined = mined_among(record.path for record in records if record.label is Label.HARD_NEGATIVE)
    held_back = list(_held_back(records)) if mined else []
    by_path = {path.resolve(): reason for path, _, reason in held_back}
    by_content = {sha256: reason for _, sha256, reason in held_back}
    placed: list[SampleRecord] = []
    rejections: list[Rejection] = []
    for record in records:
        row = mined.get(record.path)
        if row is None:
            placed.append(record)
        elif reason := by_path.get(Path(row.source).resolve()) or by_content.get(row.source_sha256):
            rejections.append(Rejection(record.path, f"mined from {row.source}, which {reason}"))
        else:
            placed.append(replace(record, split=Split.TRAIN))
    return placed, rejections


def _held_back(records: Iterable[SampleRecord]) -> Iterator[tuple[Path, str, str]]:
    for record in records:
        if record.label is Label.HARD_NEGATIVE:
            continue
        if record.split is not Split.TRAIN:
            yield record.path, record.sha256 or hash_file(record.path), "validates this run" if record.split is Split.VAL else "tests this run"
        elif record.label is Label.POSITIVE:
            yield record.path, record.sha256 or hash_file(record.path), "holds the wake word in this run"


def _row(row: Mapping[str, str]) -> MinedClip:
    texts = {name: row[name] for name in _NAMES if name not in _LATER_NAMES}
    window_end, step = (int(row[name]) if row.get(name) else None for name in _LATER_NAMES)
    return MinedClip(
        file=texts["file"],
        clip_sha256=texts["clip_sha256"],
        source=texts["source"],
        source_sha256=texts["source_sha256"],
        start_sample=int(texts["start_sample"]),
        end_sample=int(texts["end_sample"]),
        probability=float(texts["probability"]),
        threshold=float(texts["threshold"]),
        model_sha256=texts["model_sha256"],
        date=texts["date"],
        window_end_sample=window_end,
        step=step,
    )
