"""The table of mined clips: where each came from and why. It outlives its clips: what the user deletes is not mined
again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from pydantic import TypeAdapter

from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from wakeword import contract
from wakeword.corpus.recordings import hash_file, hash_part
from wakeword.corpus.walk import Rejection, walk
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.part import file_of, part_of
from wakeword.reading import csv_text, read_csv

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
    """Where the accepted window ends, which may lie in the silence behind the source; None in tables of older
    versions."""
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
    write_atomically(folder / TABLE_NAME, csv_text(_NAMES, map(astuple, rows)))


def rows_below(folders: Iterable[Path]) -> list[MinedClip]:
    """The rows of all tables in folders and below, of clips that were deleted too. Raises as `read_table` does."""
    tables = (
        table for folder in folders if folder.is_dir() for table in walk(folder).tables if table.name == TABLE_NAME
    )
    return [row for table in tables for row in read_table(table.parent)]


def mined_among(paths: Iterable[Path]) -> dict[Path, MinedClip]:
    """The rows of those of the recordings that a table beside them lists; of a link, beside what it leads to. Raises as
    `read_table` does.
    """
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

    What was cut from a recording, or from the stretch of one, that validates or tests this run, or that holds its wake
    word, is a rejection; a source is known by its path or its content. Raises as `read_table` does.
    """
    mined = mined_among(record.path for record in records if record.label is Label.HARD_NEGATIVE)
    withheld = SoundIndex((record, reason) for record in records if (reason := held_back(record))) if mined else None
    placed: list[SampleRecord] = []
    rejections: list[Rejection] = []
    for record in records:
        row = mined.get(record.path)
        if row is None:
            placed.append(record)
        elif withheld is not None and (reason := withheld.with_source_of(row)):
            rejections.append(Rejection(record.path, f"mined from {row.source}, which {reason}"))
        else:
            placed.append(replace(record, split=Split.TRAIN))
    return placed, rejections


def held_back(record: SampleRecord) -> str:
    """Why nothing of a record may be mined, as what follows its name; empty where it may. Hard negatives are sources of
    nothing.
    """
    if record.label is Label.HARD_NEGATIVE:
        return ""
    if record.split is not Split.TRAIN:
        return "validates this run" if record.split is Split.VAL else "tests this run"
    return "holds the wake word in this run" if record.label is Label.POSITIVE else ""


type _Spans = list[tuple[float, float, str]]
"""First and last second of a file, and what is said of it."""


class SoundIndex:
    """Records, each with a word on it, found again by anything that shares sound with them: of the same content and, of
    a long recording, time.
    """

    def __init__(self, records: Iterable[tuple[SampleRecord, str]]) -> None:
        self._by_path: dict[Path, _Spans] = {}
        self._by_content: dict[str, _Spans] = {}
        self._cut: set[str] = set()
        """Content of files of which only parts are here."""
        for record, word in records:
            part, file = part_of(record.path), file_of(record.path)
            sha256 = record.sha256 or hash_file(file)
            span = (0.0, math.inf, word) if part is None else (part.start, part.end, word)
            self._by_path.setdefault(file.resolve(), []).append(span)
            self._by_content.setdefault(sha256, []).append(span)
            self._cut |= set() if part is None else {sha256}

    def like(self, record: SampleRecord) -> str:
        """The word on a record that shares content and time with another one; empty where none does."""
        part = part_of(record.path)
        start, end = (0.0, math.inf) if part is None else (part.start, part.end)
        return _overlapping(self._by_content.get(record.sha256, ()), start, end)

    def with_source_of(self, row: MinedClip, *, by_path: bool = True) -> str:
        """The word on a record from which a mined clip was cut, known by its content, or also by its path; empty where
        there is none.
        """
        part, file = part_of(Path(row.source)), file_of(Path(row.source))
        contents = (
            [row.source_sha256]
            if part is None
            else [one for one in self._cut if hash_part(one, part) == row.source_sha256]
        )
        before = 0.0 if part is None else part.start
        start, end = (before + samples / contract.SAMPLE_RATE_HZ for samples in (row.start_sample, row.end_sample))
        spans = [
            *(self._by_path.get(file.resolve(), ()) if by_path else ()),
            *(span for content in contents for span in self._by_content.get(content, ())),
        ]
        return _overlapping(spans, start, end)


def _overlapping(spans: Iterable[tuple[float, float, str]], start: float, end: float) -> str:
    return next((word for first, last, word in spans if first < end and start < last), "")


_ROW = TypeAdapter(MinedClip)


def _row(row: Mapping[str, str]) -> MinedClip:
    return _ROW.validate_python({name: row[name] for name in _NAMES if name not in _LATER_NAMES or row.get(name)})
