from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.ablation.rows import LOOKS, ROWS, add_row, looks, note_look, read_rows
from tests.benchmarks.ablation_rows import row
from wakeword.errors import ConfigError


def test_rows_are_read_as_they_were_added(tmp_path: Path) -> None:
    assert read_rows(tmp_path) == []
    first, second = row("one"), row("two", found=12)
    add_row(tmp_path, first)
    add_row(tmp_path, second)
    assert read_rows(tmp_path) == [first, second]
    assert [path.name for path in tmp_path.iterdir()] == [ROWS]


def test_a_row_of_an_older_program_is_read(tmp_path: Path) -> None:
    values = row("one").model_dump(mode="json")
    del values["figures"]["over_noise"]
    (tmp_path / ROWS).write_text(f"{json.dumps(values)}\n")
    assert read_rows(tmp_path) == [row("one")]


def test_a_row_that_cannot_be_written_leaves_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_row(tmp_path, row("one"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            add_row(tmp_path, row("two"))
    assert [one.name for one in read_rows(tmp_path)] == ["one"]


@pytest.mark.parametrize(("line", "told"), [("{", "line 2: no JSON"), ('{"name": "x"}', "line 2: no row")])
def test_a_damaged_line_is_named(line: str, told: str, tmp_path: Path) -> None:
    add_row(tmp_path, row("one"))
    with (tmp_path / ROWS).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ConfigError, match=told):
        read_rows(tmp_path)


def test_looks_are_counted_by_word(tmp_path: Path) -> None:
    assert not looks(tmp_path)
    for word in ("alexa", "alexa", "computer"):
        note_look(tmp_path, word, "plain", 0, "abc")
    assert looks(tmp_path) == {"alexa": 2, "computer": 1}
    (tmp_path / LOOKS).write_text("{}\n")
    with pytest.raises(ConfigError, match=r"looks\.jsonl, line 1"):
        looks(tmp_path)
