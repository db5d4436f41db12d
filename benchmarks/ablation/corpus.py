"""The corpus that the recipes are tested on: people who say the words, and hours of other speech and noise, each
recording in a split.

The folder is named by `MWW_TEST_CORPUS`, else it lies beside the checkout. `manifest.csv` has path, kind (wake, speech,
noise) and word of each recording, `splits.csv` its group and split.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.reading import read_csv

VARIABLE = "MWW_TEST_CORPUS"
BESIDE = Path(__file__).parents[3] / "shared" / "corpus"


@dataclass(frozen=True)
class CorpusRecording:
    """A recording of the corpus."""

    path: Path
    kind: str
    """wake, speech or noise."""
    word: str
    """What is said, of kind wake; else empty."""
    group: str
    split: str


@dataclass(frozen=True)
class EvaluationCorpus:
    """Its folder and the recordings that have a split."""

    folder: Path
    recordings: tuple[CorpusRecording, ...]

    @property
    def splits(self) -> Path:
        """The table that `paths.splits` takes."""
        return self.folder / "splits.csv"

    def people(self, word: str, *splits: str) -> list[Path]:
        """Recordings of people who say a word, of some splits or of all. Raises `ConfigError` where there are none."""
        found = [one.path for one in self.recordings if one.word == word and (not splits or one.split in splits)]
        if not found:
            raise ConfigError(
                f"{self.folder}: no recordings of {word!r}; words are"
                f" {', '.join(sorted({one.word for one in self.recordings} - {''}))}"
            )
        return found

    def of_one_person(self, word: str, count: int) -> list[Path]:
        """So many training recordings of the first person who has as many. Raises `ConfigError` where nobody has."""
        mine = [one for one in self.recordings if one.word == word and one.split == "train"]
        groups = Counter(one.group for one in mine)
        who = min((group for group, size in groups.items() if size >= count), default=None)
        if who is None:
            raise ConfigError(f"{self.folder}: nobody has {count} training recordings of {word!r}; ask for fewer")
        return [one.path for one in mine if one.group == who][:count]

    def sounds(self, kind: str, *splits: str) -> list[Path]:
        """Recordings without a wake word: speech or noise."""
        return [one.path for one in self.recordings if one.kind == kind and one.split in splits]

    def folders(self, kind: str) -> list[Path]:
        """The folders that hold a kind of sound."""
        return sorted({one.path.parent for one in self.recordings if one.kind == kind})


def open_corpus() -> EvaluationCorpus:
    """The corpus of this machine. Raises `ConfigError` where there is none, or its tables cannot be read."""
    folder = Path(os.environ.get(VARIABLE) or BESIDE).absolute()
    if not (folder / "manifest.csv").is_file():
        raise ConfigError(
            f"{folder}: no corpus of real recordings is here; name its folder in {VARIABLE} (it holds manifest.csv and"
            " splits.csv)"
        )
    kinds = {
        row["path"]: row
        for row in read_csv(folder / "manifest.csv", ("path", "kind", "word"), "it lists the corpus's recordings").rows
    }
    found = []
    for row in read_csv(
        folder / "splits.csv", ("path", "group", "split"), "it says what trains, validates and tests"
    ).rows:
        if row["path"] not in kinds:
            raise ConfigError(
                f"{folder / 'splits.csv'}, line {row.line}: {row['path']} does not stand in manifest.csv; add it there"
            )
        told = kinds[row["path"]]
        found.append(CorpusRecording(folder / row["path"], told["kind"], told["word"], row["group"], row["split"]))
    return EvaluationCorpus(folder, tuple(found))


def write_list(path: Path, recordings: Iterable[Path]) -> Path:
    """A list that every command takes; the order of a stream is that of the paths."""
    write_atomically(path, "".join(f"{one}\n" for one in sorted(recordings)))
    return path
