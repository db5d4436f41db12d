"""Records: what is measured and kept as JSON.

One base for all of them, one way to write a file of them and to read it.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from wakeword.complaints import first_fault
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.reading import read_json

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Of every record, also of those that are pydantic dataclasses: every number finite, an unknown key is an error."""


class Record(BaseModel):
    """Base of every record, and of every part of one: frozen."""

    model_config = STRICT | ConfigDict(frozen=True)


def write_record(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all. Raises `OSError` when the disk is full."""
    write_atomically(path, record.model_dump_json(indent=1) + "\n")


def read_record[R: Record](
    path: Path, kind: type[R], name: str, give: str, remedy: str, version: str = "schema_version"
) -> R:
    """Read a file of one record.

    Args:
        path: The file.
        kind: The record's class. Its field `version` has a default, the one version that can be read.
        name: What the record is, for messages.
        give: What to do where there is no such file, or it is no JSON.
        remedy: What to do where the file is of another version, or damaged.
        version: Name of the field that tells the version of the file.

    Returns the record. Raises `ConfigError`: unreadable, another version, an unknown key, a wrong value.
    """
    values = read_json(path, give)
    found, read = values.get(version) if isinstance(values, dict) else None, kind.model_fields[version].default
    if found != read:
        raise ConfigError(f"{path}: {name} of version {found}, this program reads version {read}; {remedy}")
    try:
        return kind.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error)}; {remedy}") from error
