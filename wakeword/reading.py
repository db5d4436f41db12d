"""Files that people write: text, YAML, JSON and tables, whatever editor or spreadsheet they come from.

A byte order mark is passed over (Excel and Notepad write one, in UTF-8 or UTF-16), and line ends are those of any
system. In YAML a key that stands twice in one mapping is an error: YAML's readers take the last one and say nothing. In
a table the columns are parted by commas, or as spreadsheets of many countries write it by semicolons or tabs.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wakeword.errors import ConfigError

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SEPARATORS = ",;\t"
_MERGE = "<<"


@dataclass(frozen=True)
class TableRow:
    """A row of a table: the number of its last line in the file, from 1, and its values by column, without those for
    which it is too short.
    """

    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")


@dataclass(frozen=True)
class Table:
    """A table with a first line of column names."""

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def decoded(content: bytes, errors: str = "strict") -> str:
    """Bytes as text with "\\n" at the end of each line: UTF-8, or what a byte order mark says. Raises
    `UnicodeDecodeError`.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    return content.decode(encoding, errors).replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path, remedy: str) -> str:
    """A text file.

    `remedy` says in the message what to do. Raises `ConfigError` when it cannot be read or is no text.
    """
    try:
        return decoded(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is no text in UTF-8 ({error.reason} at byte {error.start}), so save it in UTF-8; {remedy}"
        ) from error


def read_yaml(path: Path, remedy: str) -> Any:
    """What a YAML file holds. Raises `ConfigError` as `read_text` and `parse_yaml` do."""
    return parse_yaml(read_text(path, remedy), str(path))


def parse_yaml(text: str, origin: str) -> Any:
    """What YAML text holds. Raises `ConfigError` when it is no YAML or a key stands twice; `origin` names the file in
    the message.
    """
    try:
        return load_yaml(text)
    except RepeatedKey as error:
        raise ConfigError(f"{origin}: {error.problem}; remove one of them") from error
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        raise ConfigError(
            f"{origin}{f', line {mark.line + 1}' if mark else ''}: not YAML ({yaml_fault(error)}); correct the file"
        ) from error


def load_yaml(text: str) -> Any:
    """What YAML text holds. Raises `yaml.YAMLError`, and `RepeatedKey` of its kind."""
    return yaml.load(text, UniqueKeys)  # noqa: S506 - a safe loader: it makes plain values only


def yaml_fault(error: yaml.YAMLError) -> str:
    """What a YAML reader complains of, without where, in one line."""
    return str(error.problem if isinstance(error, yaml.MarkedYAMLError) else error).splitlines()[0]


class RepeatedKey(yaml.MarkedYAMLError):
    """A key that stands twice in one mapping; `lines` of both, from 1."""

    def __init__(self, key: str, first: yaml.Mark, second: yaml.Mark) -> None:
        self.key, self.lines = key, (first.line + 1, second.line + 1)
        super().__init__(
            problem=f"the key {key} stands there twice, in line {self.lines[0]} and in line {self.lines[1]}",
            problem_mark=second,
        )


class UniqueKeys(yaml.SafeLoader):
    """YAML's safe loader, but for repeated keys."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """See `yaml.composer.Composer`. Raises `RepeatedKey`."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == _MERGE:
                continue
            first = seen.setdefault((key.tag, key.value), key.start_mark)
            if first is not key.start_mark:
                raise RepeatedKey(key.value, first, key.start_mark)
        return node


def read_json(path: Path, remedy: str) -> Any:
    """What a JSON file holds. Raises `ConfigError` when it cannot be read or is no JSON; `remedy` says what to do."""
    text = read_text(path, remedy)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON ({error}); {remedy}") from error


def read_csv(path: Path, columns: Sequence[str], remedy: str) -> Table:
    """A CSV with at least these columns. Raises `ConfigError` when it cannot be read, is no table or misses a column;
    `remedy` says what to do.
    """
    text = read_text(path, remedy)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text, columns), strict=True)
    try:
        names = tuple(name.strip() for name in next(reader, []))
        rows = tuple(_rows(reader, names))
    except csv.Error as error:
        raise ConfigError(f"{path}: not a CSV table (line {reader.line_num}: {error}); {remedy}") from error
    missing = [column for column in columns if column not in names]
    if missing:
        raise ConfigError(
            f"{path}: has no column {missing[0]!r}; its first line must name {', '.join(columns)}; {remedy}"
        )
    return Table(names, rows)


def _rows(reader: Any, names: Sequence[str]) -> Iterator[TableRow]:
    for cells in reader:
        if cells:
            yield TableRow(reader.line_num, dict(zip(names, cells, strict=False)))


def _separator(text: str, columns: Sequence[str]) -> str:
    """The one by which the first line has most of the columns; the comma where that says nothing."""
    first = text.partition("\n")[0]
    return max(_SEPARATORS, key=lambda one: len({name.strip(' "') for name in first.split(one)} & set(columns)))


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table as text, as `read_csv` reads it: the names of the columns, then the rows; lines end with "\\n"."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
