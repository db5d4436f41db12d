"""Who spoke a clip: the row of `generated.csv` above it, or a person, where `recorded.json` is nearer. Tables of older
versions lack columns, and clips of other generators lack a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainer.data.speech.languages import primary
from wakeword.corpus.recordings import GENERATED_TABLE, RECORDED_TABLE, origin_table
from wakeword.reading import read_csv


@dataclass(frozen=True)
class SpokenTables:
    """The tables that lie above clips, each read once."""

    _tables: dict[Path, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    _roots: dict[Path, tuple[Path, str] | None] = field(default_factory=dict)

    def root_of(self, path: Path) -> Path | None:
        """The folder of generated speech that a clip belongs to, by its name or where its links lead; None where it is
        a recording.
        """
        for place in dict.fromkeys((path.absolute().parent, path.resolve().parent)):
            if (root := self._root(place)) is not None and root[1] == GENERATED_TABLE:
                return root[0]
        return None

    def speakers_folder(self, path: Path) -> Path | None:
        """The folder of recorded speakers in which a clip lies, each speaker a folder; None where it lies in none."""
        root = self._root(path.absolute().parent)
        return root[0] if root is not None and root[1] == RECORDED_TABLE else None

    def row(self, path: Path) -> Mapping[str, str] | None:
        """The row of a clip by column; None where no table above it lists it. Raises `ConfigError` for a table that
        cannot be read.
        """
        root = self.root_of(path)
        if root is None:
            return None
        if root not in self._tables:
            rows = read_csv(
                root / GENERATED_TABLE, ("path",), "it is the table that mww-generate leaves; make the corpus anew"
            ).rows
            self._tables[root] = {row["path"]: row.values for row in rows}
        for name in (path.absolute(), path.resolve()):
            if (
                name.is_relative_to(root)
                and (row := self._tables[root].get(name.relative_to(root).as_posix())) is not None
            ):
                return row
        return None

    def languages(self, paths: Iterable[Path]) -> tuple[str, ...]:
        """The language of each generated corpus that has some of these recordings, as primary tags of BCP 47 ("de"),
        sorted.

        It is that of most clips: some are said with a foreign accent. Raises as `row` does.
        """
        counted: dict[Path | None, Counter[str]] = {}
        for path in paths:
            if tag := (self.row(path) or {}).get("language"):
                counted.setdefault(self.root_of(path), Counter())[primary(tag)] += 1
        return tuple(sorted({tags.most_common(1)[0][0] for tags in counted.values()}))

    def _root(self, folder: Path) -> tuple[Path, str] | None:
        """The nearest folder that holds a table, and which one."""
        if folder not in self._roots:
            above, table = folder.parent, origin_table(folder)
            self._roots[folder] = (folder, table) if table else None if above == folder else self._root(above)
        return self._roots[folder]
