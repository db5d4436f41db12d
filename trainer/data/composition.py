"""What is heard of each split without the wake word: hours of each kind of sound, by the folders in which it lies.
Generated near misses, which validation does not hear, are no part of its hours.

A kind is the first folder that is no group's (a speaker's) below one of `paths.negative_dir`, `paths.hard_negative_dir`
or `paths.generated_dir`; several folders of one key are told apart by their own names. A feature set is a kind. False
accepts an hour are those of the kinds that a split has, in their proportion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.config.data_sections import PathsSection
from trainer.data.dataset import select_records, validation_negatives
from trainer.data.ingest import Label, SampleRecord
from trainer.data.librispeech import FOLDER
from trainer.data.split import Split
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.part import file_of
from wakeword.reading import csv_text, read_csv

TABLE_NAME = "composition.csv"
MOST_KINDS = 10
"""In a line of text; the table has all."""
_COLUMNS = ("split", "label", "kind", "recordings", "hours")


@dataclass(frozen=True)
class Share:
    """What one split has of one kind. A file that is split by stretches counts in each of its splits."""

    split: Split
    label: Label
    kind: str
    recordings: int
    hours: float

    def __str__(self) -> str:
        return (
            f"{self.kind} {length(self.hours * 3600)} ({self.recordings})" if self.recordings else f"{self.kind} none"
        )


def composition(records: Iterable[SampleRecord], paths: PathsSection) -> tuple[Share, ...]:
    """Every kind in every split, by label and kind; empty shares too."""
    records, roots = list(records), list(_roots(paths))
    heard = {record.path for record in validation_negatives(records)}
    unheard = {record.path for record in select_records(records, Split.VAL, Label.NEGATIVE)} - heard
    files: dict[tuple[Label, str, Split], set[Path]] = {}
    seconds: dict[tuple[Label, str, Split], float] = {}
    for record in records:
        if record.label is not Label.POSITIVE:
            key = (record.label, _kind(record, roots), record.split)
            of_kind = files.setdefault(key, set())
            if record.path not in unheard:
                of_kind.add(file_of(record.path))
                seconds[key] = seconds.get(key, 0.0) + record.duration
    kinds = sorted({(list(Label).index(label), kind, label) for label, kind, _ in files})
    return tuple(
        Share(
            split, label, kind, len(files.get((label, kind, split), ())), seconds.get((label, kind, split), 0.0) / 3600
        )
        for split in Split
        for _, kind, label in kinds
    )


def of_split(shares: Iterable[Share], split: Split, label: Label = Label.NEGATIVE) -> str:
    """What a split has of a label, as text: of very many kinds those with most hours. Empty without any kind."""
    found = [share for share in shares if share.split is split and share.label is label]
    shown = set(sorted(found, key=lambda share: -share.hours)[:MOST_KINDS])
    more = [share for share in found if share not in shown]
    others = [f"{len(more)} more kinds {length(sum(share.hours for share in more) * 3600)}"] if more else []
    return ", ".join([*(str(share) for share in found if share in shown), *others])


def write_composition(shares: Sequence[Share], folder: Path) -> None:
    """Write the table into a run's folder. Raises `OSError`."""
    rows = ((share.split, share.label, share.kind, share.recordings, f"{share.hours:.6f}") for share in shares)
    write_atomically(folder / TABLE_NAME, csv_text(_COLUMNS, rows))


def read_composition(folder: Path) -> tuple[Share, ...]:
    """The table of a run's folder; empty where an older version has written none. Raises `ConfigError` when it is
    damaged.
    """
    path = folder / TABLE_NAME
    if not path.is_file():
        return ()
    try:
        rows = read_csv(path, _COLUMNS, "remove the file, or train again").rows
        return tuple(
            Share(Split(row["split"]), Label(row["label"]), row["kind"], int(row["recordings"]), float(row["hours"]))
            for row in rows
        )
    except ValueError as error:
        raise ConfigError(f"{path}: damaged ({error}); remove the file, or train again") from error


def length(seconds: float) -> str:
    """A length of sound, as minutes or hours."""
    return f"{seconds / 3600:.2f} h" if seconds >= 360 else f"{seconds / 60:.1f} min"


def _roots(paths: PathsSection) -> Iterator[tuple[Path, str]]:
    """Each folder, and what its kinds' names begin with."""
    for folders in (paths.negative_dir, paths.hard_negative_dir):
        yield from ((folder.absolute(), f"{folder.name}/" if len(folders) > 1 else "") for folder in folders)
    for folder in paths.generated_dir:
        yield from ((folder.absolute(), f"{folder.name}/"), ((folder / FOLDER).absolute(), ""))


def _kind(record: SampleRecord, roots: Sequence[tuple[Path, str]]) -> str:
    if not record.is_sound:
        return record.speaker
    for root, prefix in sorted(roots, key=lambda one: -len(one[0].parts)):
        if record.path.is_relative_to(root):
            folders = [name for name in record.path.relative_to(root).parts[:-1] if name != record.speaker]
            return prefix + folders[0] if folders else prefix.rstrip("/") or root.name
    return record.path.parent.name
