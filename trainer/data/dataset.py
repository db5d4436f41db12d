"""The recordings of a run: found, checked, split, and written down so that everybody after the training finds the same ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.data.ingest import Ingestion, Label, Rejection, SampleRecord, find_dataset, find_files, ingest
from trainer.data.parallel import Progress
from trainer.data.split import Split, Splitter, read_splits
from wakeword.errors import ConfigError
from wakeword.files import write_atomically

TABLE_NAME = "recordings.csv"
REJECTED_NAME = "rejected.csv"
LISTS_FOLDER = "lists"
MIN_HARD_NEGATIVES = 50
"""Fewer, at their weight, are learned by heart."""
_COLUMNS = ("path", "group", "split", "label", "seconds", "sample_rate", "weight")


@dataclass(frozen=True)
class Sources:
    """Folders of recordings. Generated ones train only: speech of a synthesiser says nothing about people."""

    positive: Sequence[Path]
    negative: Sequence[Path]
    generated: Sequence[Path] = ()
    splits: Path | None = None
    hard_negative: Sequence[Path] = ()


def load_recordings(sources: Sources, seed: int, jobs: int | None = None, progress: Progress | None = None) -> Ingestion:
    """Find, check and split all recordings of a run; paths become absolute.

    Raises `ConfigError` for a missing folder, a file that two folders hold, or when positives or negatives are missing from a split.
    """
    splitter = Splitter(seed, table=read_splits(sources.splits) if sources.splits else None)
    labelled = ((Label.POSITIVE, sources.positive), (Label.NEGATIVE, sources.negative), (Label.HARD_NEGATIVE, sources.hard_negative))
    found = [file for label, folders in labelled for folder in folders for file in find_files(folder.absolute(), label)]
    generated = [file for folder in sources.generated for file in find_dataset(folder.absolute())]
    _refuse_repeated(file.path for file in (*found, *generated))
    recorded = ingest(found, splitter, jobs=jobs, progress=progress)
    hard = sum(record.label is Label.HARD_NEGATIVE for record in recorded.records)
    if 0 < hard < MIN_HARD_NEGATIVES:
        recorded = replace(recorded, warnings=(*recorded.warnings, f"only {hard} hard_negative clips; at least {MIN_HARD_NEGATIVES} are recommended, or none"))
    if not generated:
        return recorded
    spoken = ingest(generated, splitter, require_splits=False, jobs=jobs, progress=progress)
    training = tuple(replace(record, split=Split.TRAIN) for record in spoken.records)
    warnings = (*recorded.warnings, *(f"generated speech: {warning}" for warning in spoken.warnings))
    return Ingestion((*recorded.records, *training), (*recorded.rejections, *spoken.rejections), warnings)


def chosen(records: Iterable[SampleRecord], split: Split, *labels: Label) -> list[SampleRecord]:
    """Records of one split and any of the labels, in order."""
    return [record for record in records if record.split is split and record.label in labels]


def write_recordings(ingestion: Ingestion, folder: Path) -> None:
    """Write `recordings.csv` and `rejected.csv` into a run's folder, and lists of val and test recordings for `mww-simulate`."""
    write_atomically(folder / TABLE_NAME, _records_table(ingestion.records))
    write_atomically(folder / REJECTED_NAME, _table(("path", "reason"), [(str(entry.path), entry.reason) for entry in ingestion.rejections]))
    for split in (Split.VAL, Split.TEST):
        for label in (Label.POSITIVE, Label.NEGATIVE):
            listed = "".join(f"{record.path}\n" for record in chosen(ingestion.records, split, label))
            write_atomically(folder / LISTS_FOLDER / f"{split.value}_{label.value}.txt", listed)


def read_recordings(folder: Path) -> tuple[SampleRecord, ...]:
    """The records of a run's folder. Raises `ConfigError` when the table is missing or damaged."""
    path = folder / TABLE_NAME
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            return tuple(_record(row) for row in csv.DictReader(lines))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the folder of a run that mww-train made") from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ConfigError(f"{path}: damaged ({error}); train again") from error


def _record(row: dict[str, str]) -> SampleRecord:
    numbers = float(row["seconds"]), int(row["sample_rate"]), float(row["weight"])
    return SampleRecord(Path(row["path"]), Label(row["label"]), Split(row["split"]), row["group"], *numbers)


def _records_table(records: Sequence[SampleRecord]) -> str:
    rows = [
        (str(record.path), record.speaker, record.split.value, record.label.value, str(record.duration), str(record.sample_rate), str(record.weight))
        for record in records
    ]
    return _table(_COLUMNS, rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _refuse_repeated(paths: Iterable[Path]) -> None:
    seen: dict[Path, Path] = {}
    for path in paths:
        real = path.resolve()
        if real in seen:
            where = "two of the given folders hold this file" if seen[real] == path else f"the same file as {seen[real]}"
            raise ConfigError(f"{path}: {where}; a recording has one label and one split, so give it once")
        seen[real] = path


def rejection_summary(rejections: Sequence[Rejection]) -> str:
    """One line on rejected files: the first with its reason, and where all are; empty without any."""
    return f"first rejected: {rejections[0].path}: {rejections[0].reason}; {REJECTED_NAME} has them all" if rejections else ""
