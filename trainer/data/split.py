"""Splits that never move: which group of recordings trains, validates or tests.

A group's split is a hash of the seed and the group's name against the shares, and of nothing else: files or groups that
are added later move nobody, and the order of files means nothing. The price is chance: of few groups, none may fall
into a split. Filling an empty split by moving somebody would undo the promise as soon as a speaker is added, and a
model would be tested on people that it was trained on. So an empty split is an error that names a seed which fills all
three; a CSV of explicit splits is the other way out. What a group is, `grouping.py` says.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from wakeword.errors import ConfigError
from wakeword.part import Part, part_of, resolved
from wakeword.reading import read_csv

_COLUMNS = ("path", "group", "split")
_COLUMNS_OF_A_RUN = {*_COLUMNS, "label", "sha256"}
_SEEDS_TRIED = 2000
Fractions = tuple[float, float, float]
"""Expected shares of the groups that train, validate and test; together 1."""
FRACTIONS: Fractions = (0.7, 0.15, 0.15)
"""Those of `training.split_fractions`, where nobody says otherwise."""


class Split(StrEnum):
    """Train teaches, val chooses (checkpoints, cutoffs), test is not used to choose anything."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True)
class SplitTable:
    """Explicit splits: absolute path to (group, split), and each group's split.

    A path may name a part of a recording.
    """

    files: Mapping[Path, tuple[str, Split]]
    groups: Mapping[str, Split]

    def parts(self, file: Path) -> list[Part]:
        """The parts of a file that are listed, in order of time."""
        real = file.resolve()
        return [Part(file, part.start, part.end) for part in self._parts.get(real, ())]

    @cached_property
    def _parts(self) -> dict[Path, list[Part]]:
        found: dict[Path, list[Part]] = {}
        for part in filter(None, map(part_of, self.files)):
            found.setdefault(part.file, []).append(part)
        return {file: sorted(parts, key=lambda part: part.start) for file, parts in found.items()}


@dataclass(frozen=True)
class Splitter:
    """Says for each file who speaks and which split that is. A table goes before the hash, for its files and for its
    groups.
    """

    seed: int = 0
    table: SplitTable | None = None
    only: Split | None = None
    """The split of all, whatever a table says: generated speech trains."""
    placed: Mapping[str, Split] = field(default_factory=dict)
    """Groups whose split is not the hash's: families of synthetic voices. A table goes before it."""
    fractions: Fractions = FRACTIONS

    def listed(self, path: Path, speaker: str) -> tuple[str, Split] | None:
        """The group and split that the table gives to a file, or to its speaker."""
        if self.only is not None:
            return speaker, self.only
        if self.table is None:
            return None
        listed = self.table.files.get(resolved(path))
        if listed is None and speaker in self.table.groups:
            return speaker, self.table.groups[speaker]
        return listed

    def place(self, path: Path, speaker: str, group: str = "") -> tuple[str, Split]:
        """The speaker (the table's group where it lists the file) and the split of a file. `group` is split as one;
        empty: the speaker.
        """
        listed, placed = self.listed(path, speaker), self.placed.get(group)
        return listed or (speaker, placed or split_of(group or speaker, self.seed, self.fractions))

    def may_cut(self, path: Path, speaker: str) -> bool:
        """Whether a long recording is split by stretches: unless all of it is listed."""
        return self.listed(path, speaker) is None


def split_of(group: str, seed: int, fractions: Fractions = FRACTIONS) -> Split:
    """The split of a group: SHA-256 of "<seed>:<group>" as a number in [0, 1); test lies lowest, val above it."""
    _, validate, test = fractions
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    position = int.from_bytes(digest[:8]) / 2**64
    if position < test:
        return Split.TEST
    return Split.VAL if position < test + validate else Split.TRAIN


@dataclass(frozen=True)
class PlacedGroup:
    """A group, or a part of one, and where it went. `kind` is what groups of its label are, in words."""

    label: str
    kind: str
    group: str
    split: Split
    fixed: bool = False
    """Whether it is there whatever the seed."""


def check_filled(placed: Iterable[PlacedGroup], splitter: Splitter) -> None:
    """Raise `ConfigError` when a label has nothing in one of the splits; the message names a seed that fills them,
    where there is one.
    """
    by_label: dict[str, list[PlacedGroup]] = {}
    for one in placed:
        by_label.setdefault(one.label, []).append(one)
    for label, ones in sorted(by_label.items()):
        empty = [split.value for split in Split if split not in {one.split for one in ones}]
        if not empty:
            continue
        where = f"{label}: none of {len({one.group for one in ones})} {ones[0].kind} is in {' and '.join(empty)}"
        if splitter.table is not None:
            raise ConfigError(f"{where}; add such files to the splits table, or more {ones[0].kind}")
        raise ConfigError(f"{where}; {_advice(list(by_label.values()), ones, splitter.fractions)}")


def _advice(labels: list[list[PlacedGroup]], missing: list[PlacedGroup], fractions: Fractions) -> str:
    kind = missing[0].kind
    groups = [
        ({one.split for one in ones if one.fixed}, {one.group for one in ones if not one.fixed}) for ones in labels
    ]
    groups.sort(key=lambda one: len(one[1]))
    if all(len(fixed) + len(names) >= len(Split) for fixed, names in groups):
        for seed in range(_SEEDS_TRIED):
            if all(_fills(fixed, names, seed, fractions) for fixed, names in groups):
                return (
                    f"--set training.seed={seed} fills all three splits, as would more {kind} or a splits table"
                    " (paths.splits)"
                )
        return f"record more {kind}, or give a splits table (paths.splits)"
    return f"give at least three {kind}, or a splits table (paths.splits)"


def _fills(fixed: set[Split], groups: Iterable[str], seed: int, fractions: Fractions) -> bool:
    filled = set(fixed)
    for group in groups:
        if len(filled) == len(Split):
            break
        filled.add(split_of(group, seed, fractions))
    return len(filled) == len(Split)


def read_splits(table: Path) -> SplitTable:
    """Read a CSV with the columns path, group and split; paths count from the CSV's folder, further columns are
    ignored.

    In the table that a run made (by its columns) a group may stand in train beside another split, since generated
    speech and mined clips train whoever speaks; the other split is then the group's. One that stands in val and in test
    is a person split by session or a recording split by stretches: the group has no split of its own then.

    Raises `ConfigError` when it cannot be read, misses a column, names an unknown split, lists a file or a second of
    one twice, or has a group in two splits.
    """
    files: dict[Path, tuple[str, Split]] = {}
    groups: dict[str, Split] = {}
    read = read_csv(table, _COLUMNS, f"a splits table is a CSV with {','.join(_COLUMNS)}")
    of_a_run = set(read.columns) >= _COLUMNS_OF_A_RUN
    rows = [(row.line, row["path"], row["group"], row["split"]) for row in read.rows]
    divided: set[str] = set()
    lines: dict[Path, int] = {}
    for line, name, group, split_name in rows:
        where = f"{table}, line {line}"
        if not name or not group or split_name not in set(Split):
            raise ConfigError(
                f"{where}: path and group must not be empty, split must be {', '.join(Split)}; correct the line"
            )
        split = Split(split_name)
        path = resolved(table.parent / name)
        if path in files:
            raise ConfigError(f"{where}: {name} is listed twice; remove one line")
        known = groups.get(group, split)
        if known is not split and not of_a_run:
            raise ConfigError(f"{where}: group {group!r} stands in {known} and in {split}; a group must be on one side")
        if known is not split and Split.TRAIN not in (known, split):
            divided.add(group)
        groups[group] = known if split is Split.TRAIN else split
        files[path], lines[path] = (group, split), line
    _refuse_shared_sound(table, lines)
    return SplitTable(files, {group: split for group, split in groups.items() if group not in divided})


def refuse_repeated(paths: Iterable[Path]) -> None:
    """Raise `ConfigError` when two paths lead to the same recording."""
    seen: dict[Path, Path] = {}
    for path in paths:
        real = path.resolve()
        if real in seen:
            where = "two of the given folders hold it" if seen[real] == path else f"is the same as {seen[real]}"
            raise ConfigError(f"{path}: {where}; a recording has one label and one split, so give it once")
        seen[real] = path


def _refuse_shared_sound(table: Path, lines: Mapping[Path, int]) -> None:
    """Raise `ConfigError` when two lines list the same second of a file, as parts that overlap or as the file and a
    part of it.
    """
    spans: dict[Path, list[tuple[float, float, int]]] = {}
    for path, line in lines.items():
        part = part_of(path)
        file, start, end = (path, 0.0, math.inf) if part is None else (part.file, part.start, part.end)
        spans.setdefault(file, []).append((start, end, line))
    for ones in spans.values():
        for (_, end, line), (start, _, other) in pairwise(sorted(ones)):
            if start < end:
                first, second = sorted((line, other))
                raise ConfigError(
                    f"{table}, line {second}: shares sound with line {first}; a second of a recording has one split, so"
                    " correct the times"
                )
