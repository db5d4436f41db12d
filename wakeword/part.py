"""A part of a recording, named like a file: `evening.flac#t=600,1200` is what `evening.flac` holds from second 600 to
second 1200.

The form is that of W3C's Media Fragments URI 1.0, section 4.2.1. Whatever reads recordings by path (`wakeword.audio`,
lists, caches, tables of a run) takes such a name as it takes a file's. A file that really has this name goes first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"(?P<file>.+)#t=(?P<start>\d+(?:\.\d{1,3})?),(?P<end>\d+(?:\.\d{1,3})?)", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """Seconds `start` to `end` of a file, `end` above `start`; to the millisecond."""

    file: Path
    start: float
    end: float

    @property
    def path(self) -> Path:
        """Its name."""
        return self.file.with_name(f"{self.file.name}#t={self.start:.10g},{self.end:.10g}")

    def overlaps(self, start: float, end: float) -> bool:
        """Whether it shares sound with seconds `start` to `end` of its file."""
        return self.start < end and start < self.end


def part_of(path: Path) -> Part | None:
    """The part that a path names; None where it names a whole file."""
    named = _NAME.fullmatch(path.name)
    if named is None or path.exists() or float(named["start"]) >= float(named["end"]):
        return None
    return Part(path.with_name(named["file"]), float(named["start"]), float(named["end"]))


def file_of(path: Path) -> Path:
    """The file that a path names, or names a part of."""
    part = part_of(path)
    return path if part is None else part.file


def resolved(path: Path) -> Path:
    """The path without links and `..`; of a part, that of its file with the part's times."""
    part = part_of(path)
    return path.resolve() if part is None else Part(part.file.resolve(), part.start, part.end).path
