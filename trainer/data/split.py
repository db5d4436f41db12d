"""Speaker-disjoint splits that never move.

A speaker's split is a hash of the seed and the speaker's name against the fractions, and of nothing else: files or speakers that are added
later move nobody, and the order of files means nothing. The price is chance: of few speakers, none may fall into a split. Filling an empty
split by moving somebody would undo the promise as soon as a speaker is added, and a model would be tested on people that it was trained
on. So an empty split is an error that names a seed which fills all three; a CSV of explicit splits is the other way out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from wakeword.errors import ConfigError
from wakeword.reading import read_csv

_COLUMNS = ("path", "group", "split")
_COLUMNS_OF_A_RUN = {*_COLUMNS, "label", "weight", "sha256"}
_SEEDS_TRIED = 2000


class Split(StrEnum):
    """Train teaches, val chooses (checkpoints, cutoffs), test is not used to choose anything."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True)
class Fractions:
    """Expected shares of speakers in val and test; the rest trains. Raises `ConfigError` unless all three are above 0."""

    val: float = 0.15
    test: float = 0.15

    def __post_init__(self) -> None:
        if not (self.val > 0 and self.test > 0 and self.val + self.test < 1):
            raise ConfigError(f"fractions of val ({self.val}) and test ({self.test}) must be above 0 and leave something to train on")


@dataclass(frozen=True)
class SplitTable:
    """Explicit splits: absolute path to (group, split), and each group's split."""

    files: Mapping[Path, tuple[str, Split]]
    groups: Mapping[str, Split]


@dataclass(frozen=True)
class Splitter:
    """Says for each file who speaks and which split that is. A table goes before the hash, for its files and for its groups."""

    seed: int = 0
    fractions: Fractions = field(default_factory=Fractions)
    table: SplitTable | None = None

    def place(self, path: Path, speaker: str) -> tuple[str, Split]:
        """The speaker (the table's group where it lists the file) and the split of a file."""
        if self.table is not None:
            listed = self.table.files.get(path.resolve())
            if listed is not None:
                return listed
            if speaker in self.table.groups:
                return speaker, self.table.groups[speaker]
        return speaker, split_of(speaker, self.seed, self.fractions)


def split_of(speaker: str, seed: int, fractions: Fractions | None = None) -> Split:
    """The split of a speaker: SHA-256 of "<seed>:<speaker>" as a number in [0, 1); test lies lowest, val above it."""
    shares = fractions or Fractions()
    digest = hashlib.sha256(f"{seed}:{speaker}".encode()).digest()
    position = int.from_bytes(digest[:8]) / 2**64
    if position < shares.test:
        return Split.TEST
    return Split.VAL if position < shares.test + shares.val else Split.TRAIN


def check_filled(placed: Iterable[tuple[str, str, Split]], splitter: Splitter) -> None:
    """Raise `ConfigError` when a label has no speaker in one of the splits. `placed` holds (label, speaker, split) of every file."""
    speakers: dict[str, dict[str, Split]] = {}
    for label, speaker, split in placed:
        speakers.setdefault(label, {})[speaker] = split
    for label, splits in sorted(speakers.items()):
        empty = [split.value for split in Split if split not in splits.values()]
        if not empty:
            continue
        where = f"{label}: none of {len(splits)} speakers is in {' and '.join(empty)}"
        if splitter.table is not None:
            raise ConfigError(f"{where}; add such files to the splits table, or more speakers")
        raise ConfigError(f"{where}; {_advice([tuple(group) for group in speakers.values()], splitter)}")


def _advice(groups: list[tuple[str, ...]], splitter: Splitter) -> str:
    if min(map(len, groups)) < len(Split):
        return "record at least three speakers in a folder each, or give a splits table"
    for seed in range(_SEEDS_TRIED):
        if all(len({split_of(speaker, seed, splitter.fractions) for speaker in group}) == len(Split) for group in groups):
            return f"seed {seed} fills all three splits, as would more speakers or a splits table"
    return "record more speakers, or give a splits table"


def read_splits(table: Path) -> SplitTable:
    """Read a CSV with the columns path, group and split; paths count from the CSV's folder, further columns are ignored.

    In the table that a run made (by its columns) a group may stand in train beside another split, since generated speech and mined
    clips train whoever speaks; the other split is then the group's.

    Raises `ConfigError` when it cannot be read, misses a column, names an unknown split, lists a file twice, or has a group in two splits.
    """
    files: dict[Path, tuple[str, Split]] = {}
    groups: dict[str, Split] = {}
    read = read_csv(table, _COLUMNS, f"a splits table is a CSV with {','.join(_COLUMNS)}")
    of_a_run = set(read.columns) >= _COLUMNS_OF_A_RUN
    rows = [(row.line, row["path"], row["group"], row["split"]) for row in read.rows]
    for line, name, group, split_name in rows:
        where = f"{table}, line {line}"
        if not name or not group or split_name not in set(Split):
            raise ConfigError(f"{where}: path and group must not be empty, split must be {', '.join(Split)}; correct the line")
        split = Split(split_name)
        path = (table.parent / name).resolve()
        if path in files:
            raise ConfigError(f"{where}: {name} is listed twice; remove one line")
        known = groups.get(group, split)
        if known is not split and not (of_a_run and Split.TRAIN in (known, split)):
            raise ConfigError(f"{where}: group {group!r} stands in {known} and in {split}; a group must be on one side")
        groups[group] = known if split is Split.TRAIN else split
        files[path] = (group, split)
    return SplitTable(files, groups)
