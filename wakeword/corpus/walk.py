"""What a folder of recordings holds. One rule for every command, so that none of them hears a file that another one
does not know.

- A recording is a regular file with one of the endings of `AUDIO_SUFFIXES`, in upper or lower case.
- Links are followed, to files and to folders. A file that several names reach counts once: under its real name where
  that lies in the folder, since a speaker is known by the folder and must not change when somebody adds a link; else
  under the first of its names.
- Names that begin with a dot are left out and counted: hidden files, the `._` twins that macOS writes to foreign disks
  (AppleDouble: no sound, but the ending of one), and with them the folders in which macOS and network storage keep such
  files.
- Tables that corpora and commands leave beside recordings are left out and counted.
- Everything else is a rejection with its reason: a broken link, a loop of links, a folder that cannot be read, a name
  that no table can hold, another kind of file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from wakeword.audio import AUDIO_SUFFIXES
from wakeword.errors import ConfigError

TABLE_SUFFIXES = frozenset({".csv", ".html", ".json", ".jsonl", ".tsv"})
"""Of tables and pages that commands and corpora leave beside recordings (`mined.csv`, `listen.html`); nobody takes them
for recordings."""

_FOLDERS_OF_SYSTEMS = frozenset({"__MACOSX", "@eaDir"})
"""Where macOS's archives and network storage keep what belongs to a file but is no part of it, under the file's own
name."""


@dataclass(frozen=True)
class Rejection:
    """A file, folder or link that is not used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """How many names were neither taken nor rejected."""

    hidden: int = 0
    tables: int = 0
    repeated: int = 0
    """Links to a file or folder that was found without them."""

    def __add__(self, other: LeftOut) -> LeftOut:
        return LeftOut(self.hidden + other.hidden, self.tables + other.tables, self.repeated + other.repeated)

    def __str__(self) -> str:
        """A line for the user; empty where nothing was left out."""
        parts = [
            *([f"{self.hidden} hidden {_many('name', self.hidden)}"] if self.hidden else []),
            *([f"{self.tables} {_many('table', self.tables)}"] if self.tables else []),
            *([f"{self.repeated} {_many('link', self.repeated)} to what is there already"] if self.repeated else []),
        ]
        return f"left out: {', '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class Walked:
    """What lies in folders. `recordings` and `tables` are sorted by path."""

    recordings: tuple[Path, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    tables: tuple[Path, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)


def walk(folder: Path) -> Walked:
    """Everything in a folder, to the bottom. Nothing is opened but folders. Raises `ConfigError` when `folder` is none
    or cannot be read.
    """
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be read as a folder ({error.strerror}); check the path and its permissions"
        ) from error
    search = _Search()
    links = search.enter(folder, folder.resolve(), ())
    while links:
        # After everything that is there without links, so that a real name goes first.
        following, links = sorted(links, key=lambda link: link.path), []
        for link in following:
            links += search.follow(link)
    left_out = LeftOut(search.hidden, len(search.tables), search.repeated)
    rejections = tuple(sorted(search.rejections, key=lambda one: one.path))
    return Walked(
        tuple(sorted(search.recordings.values())), rejections, tuple(sorted(search.tables.values())), left_out
    )


@dataclass(frozen=True)
class _PendingLink:
    """A link that is still to be followed, and the real folders that led to it: its own one last."""

    path: Path
    parents: tuple[Path, ...]


@dataclass
class _Search:
    """What was found so far. Files are keyed by their real path."""

    recordings: dict[Path, Path] = field(default_factory=dict)
    tables: dict[Path, Path] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    hidden: int = 0
    repeated: int = 0
    _entered: set[Path] = field(default_factory=set)

    def enter(self, folder: Path, real: Path, parents: tuple[Path, ...]) -> list[_PendingLink]:
        """Take what lies in a folder and below it; returns its links, which are to be followed later."""
        links: list[_PendingLink] = []
        pending = [(folder, real)]
        while pending:
            place, real = pending.pop()
            self._entered.add(real)
            try:
                entries = list(os.scandir(place))
            except OSError as error:
                self.rejections.append(Rejection(place, f"the folder cannot be read ({error.strerror})"))
                continue
            for entry in entries:
                path = place / entry.name
                if entry.name.startswith(".") or entry.name in _FOLDERS_OF_SYSTEMS:
                    self.hidden += 1
                elif entry.is_symlink():
                    links.append(_PendingLink(path, (*parents, real)))
                elif not entry.is_dir(follow_symlinks=False):
                    self._take(path, real / entry.name, regular=entry.is_file(follow_symlinks=False))
                elif real / entry.name not in self._entered:
                    pending.append((path, real / entry.name))
        return links

    def follow(self, link: _PendingLink) -> list[_PendingLink]:
        """Take what a link leads to; returns further links."""
        try:
            mode = link.path.stat().st_mode
            real = link.path.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: what Path makes of a loop before Python 3.13
            why = error.strerror if isinstance(error, OSError) else "a loop of links"
            self.rejections.append(Rejection(link.path, f"a broken link to {link.path.readlink()} ({why})"))
        else:
            if not stat.S_ISDIR(mode):
                self._take(link.path, real, regular=stat.S_ISREG(mode))
            elif any(parent.is_relative_to(real) for parent in link.parents):
                self.rejections.append(Rejection(link.path, f"a link back to {real}, in which it lies itself"))
            elif real in self._entered:
                self.repeated += 1
            else:
                return self.enter(link.path, real, link.parents)
        return []

    def _take(self, path: Path, real: Path, *, regular: bool) -> None:
        suffix = path.suffix.lower()
        if real in self.recordings or real in self.tables:
            self.repeated += 1
        elif not regular:
            self.rejections.append(Rejection(path, "is no regular file"))
        elif suffix in TABLE_SUFFIXES:
            self.tables[real] = path
        elif suffix not in AUDIO_SUFFIXES:
            self.rejections.append(Rejection(path, f"{path.suffix or 'no ending'} is not a known kind of audio file"))
        elif not _is_utf8(path):
            self.rejections.append(
                Rejection(
                    path, "the name is not UTF-8, so no table can hold it; rename the file, or set LC_ALL=C.UTF-8"
                )
            )
        else:
            self.recordings[real] = path


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _many(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
