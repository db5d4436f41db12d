"""The table of mined clips: where each came from and why. It outlives its clips: what the user deletes is not mined again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.mining.windows import Stretch
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import ConfigError
from wakeword.files import write_atomically

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

    @property
    def stretch(self) -> Stretch:
        """The part of the source that it is."""
        return Stretch(self.source_sha256, self.start_sample, self.end_sample)


_NAMES = tuple(field.name for field in fields(MinedClip))


def read_table(folder: Path) -> tuple[MinedClip, ...]:
    """The rows of a folder of mined clips; none where there is no table. Raises `ConfigError` when it is damaged."""
    path = folder / TABLE_NAME
    if not path.exists():
        return ()
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            return tuple(_row(row) for row in csv.DictReader(lines))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ConfigError(f"{path}: damaged ({error}); correct it, or mine into another folder") from error


def write_table(folder: Path, rows: Sequence[MinedClip]) -> None:
    """Write all rows, whole or not at all. Raises `OSError` when the disk is full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_NAMES)
    writer.writerows(astuple(row) for row in rows)
    write_atomically(folder / TABLE_NAME, text.getvalue())


def mined_records(folder: Path) -> list[SampleRecord]:
    """The clips of a folder as training records; deleted ones are left out. What is mined trains, whatever a splitter would say of it."""
    rows = (row for row in read_table(folder) if (folder / row.file).is_file())
    return [
        SampleRecord(
            (folder / row.file).absolute(),
            Label.HARD_NEGATIVE,
            Split.TRAIN,
            f"{Label.HARD_NEGATIVE}/{Path(row.file).stem}",
            (row.end_sample - row.start_sample) / SAMPLE_RATE_HZ,
            SAMPLE_RATE_HZ,
        )
        for row in rows
    ]


def _row(row: dict[str, str]) -> MinedClip:
    texts = {name: row[name] for name in _NAMES}
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
    )
