"""Records are read as they were written; what is not theirs is refused in one line that says where and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, model_validator

from wakeword.errors import ConfigError
from wakeword.records import Record, read_record, write_record


class Part(Record):
    level: float


class Whole(Record):
    schema_version: Literal[2] = 2
    parts: tuple[Part, ...] = ()
    count: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _counted(self) -> Whole:
        if self.count != len(self.parts):
            raise ValueError("the count is not that of the parts")
        return self


def read(path: Path) -> Whole:
    return read_record(path, Whole, "whole", "give a whole", "make it again")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    whole = Whole(parts=(Part(level=-0.1), Part(level=3)), count=2)
    write_record(whole, tmp_path / "whole.json")
    assert read(tmp_path / "whole.json") == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON .*; give a whole"),
        ("[]", "whole of version None, this program reads version 2; make it again"),
        ('{"schema_version": 1}', "whole of version 1, this program reads version 2; make it again"),
        ('{"schema_version": 2, "colour": 1}', "colour: Extra inputs are not permitted; make it again"),
        (
            '{"schema_version": 2, "parts": [{"level": NaN}], "count": 1}',
            r"parts\.0\.level: Input should be a finite number; make it again",
        ),
        ('{"schema_version": 2, "count": 1}', "the file: the count is not that of the parts; make it again"),
    ],
)
def test_a_file_that_is_no_record_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "whole.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"^{path}: {message}$"):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .*; give a whole"):
        read(tmp_path / "none.json")
