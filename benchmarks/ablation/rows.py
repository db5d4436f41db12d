"""What is kept of a row, one JSON line each, and how often each word's people were listened to.

Rows are only added. A row holds counts beside rates, what it cost, and how it can be made again.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmarks.ablation.steps import Cost
from harness.results.schema import IntervalRecord
from wakeword.errors import ConfigError
from wakeword.files import write_atomically

ROWS, LOOKS = "rows.jsonl", "looks.jsonl"


class Exploratory(BaseModel):
    """Recall where the cutoff was read off the test itself: it shows what a model could do, not what it would."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    detected: int
    of: int
    false_accepts: int
    hours: float
    cutoff: int
    """uint8."""


class OverNoise(BaseModel):
    """What it did with a microphone's noise under all that it heard: no board hears the digital silence of a
    recording.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    noise_floor_dbfs: float
    people: IntervalRecord
    false_accepts: IntervalRecord
    at_one_false_accept: Exploratory | None


class Figures(BaseModel):
    """What a model did on people, and on hours without the word, at the cutoff of its manifest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cutoff: float
    window: int
    people: IntervalRecord
    """Recordings of the wake word that were found, each from a fresh start."""
    people_of: str
    """Which recordings those are: `all`, or `test split` where others were heard in training."""
    false_accepts_test: IntervalRecord
    """In the speech and noise of the corpus's test split."""
    false_accepts: IntervalRecord
    """In all speech and noise of the corpus that the model did not hear in training."""
    streams: dict[str, IntervalRecord]
    """The same, stream by stream: kind and split."""
    other_words: IntervalRecord
    """Recordings of the other wake words that were accepted."""
    at_one_false_accept: Exploratory | None
    """The best cutoff with at most one false accept in all of `streams`."""
    over_noise: OverNoise | None = None
    """None in rows that were made before there was such noise."""


class Row(BaseModel):
    """A recipe, a word and a seed, measured."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    """Of its folder: no two rows have the same."""
    recipe: str
    says: str
    word: str
    seed: int
    digest: str
    """Of what was asked for; empty for a published model."""
    steps: tuple[int, ...] | None
    """None where they are the preset's or the cycle's."""
    commit: str
    """Of the program; with `+` where files differed from it."""
    created: str
    """ISO 8601, UTC."""
    command: str
    """Makes the row again."""
    model_sha256: str
    validation: dict[str, float]
    """What validation said of the model: the columns of `validation.csv` for the weights that were kept, and
    `export_...` of the choice of the cutoff."""
    figures: Figures
    costs: dict[str, Cost]

    @property
    def published(self) -> bool:
        """Whether it is a model that others trained."""
        return not self.digest


def read_rows(folder: Path) -> list[Row]:
    """All rows of a folder. Raises `ConfigError` for a line that is none."""
    return [_parsed(folder / ROWS, number, line) for number, line in _lines(folder / ROWS)]


def add_row(folder: Path, row: Row) -> None:
    """Add a row: the file holds all rows or those before, whatever ends the process."""
    _add(folder / ROWS, row.model_dump_json())


def note_look(folder: Path, word: str, recipe: str, seed: int, digest: str) -> None:
    """Write down that a word's people are about to be listened to. Before it is done: a look that was interrupted is a
    look.
    """
    look = {"word": word, "recipe": recipe, "seed": seed, "digest": digest, "time": now()}
    _add(folder / LOOKS, json.dumps(look))


def looks(folder: Path) -> Counter[str]:
    """How often each word's people were listened to."""
    found: Counter[str] = Counter()
    for number, line in _lines(folder / LOOKS):
        try:
            found[json.loads(line)["word"]] += 1
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{folder / LOOKS}, line {number}: no look ({error}); correct or remove the line"
            ) from error
    return found


def now() -> str:
    """This moment, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _parsed(path: Path, number: int, line: str) -> Row:
    try:
        values: Any = json.loads(line)
        return Row.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{path}, line {number}: no row ({'.'.join(map(str, first['loc']))}: {first['msg']}); remove the line"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path}, line {number}: no JSON ({error}); remove the line") from error


def _lines(path: Path) -> list[tuple[int, str]]:
    if not path.is_file():
        return []
    return [
        (number, line) for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if line.strip()
    ]


def _add(path: Path, line: str) -> None:
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    write_atomically(path, f"{before}{line}\n")
