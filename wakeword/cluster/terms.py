"""What a worker must have in common with the machine that gives it work, or its results would be others."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wakeword.command_line import DISTRIBUTION
from wakeword.errors import ConfigError
from wakeword.part import file_of

_PACKAGES = ("wakeword", "trainer")
"""Of the project: what a task may run."""
_EXTRAS = ("dask", "train", "voices")
"""What of them is installed here must be there too, beside what every installation has."""
_MOST_LOOKED_AT = 20
"""Of the recordings: evenly among them."""
_TOKEN_SUFFIX = ".seen-by-workers"  # noqa: S105  # a file's name


@dataclass(frozen=True)
class Program:
    """What computes: Python's version, the project's and a hash of its sources, the packages that decide the bits."""

    python: str
    version: str
    sources: str
    packages: tuple[tuple[str, str], ...]

    def difference(self, other: Program) -> str:
        """How the `other` one, a worker's, differs from this one; empty where it does not."""
        if other.python != self.python:
            return f"has Python {other.python}, and this machine {self.python}"
        if other.version != self.version:
            return f"has {DISTRIBUTION} {other.version}, and this machine {self.version}"
        if other.sources != self.sources:
            return f"has other sources of {DISTRIBUTION} {self.version} than this machine"
        theirs = dict(other.packages)
        for name, version in self.packages:
            if theirs.get(name) != version:
                there = f"has {name} {theirs[name]}" if name in theirs else f"lacks the package {name}"
                return f"{there}, and this machine has {version}"
        return ""


@functools.cache
def this_program() -> Program:
    """Of this process."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        for root in map(Path, (spec and spec.submodule_search_locations) or ()):
            for path in sorted(root.rglob("*.py")):
                digest.update(f"{package}/{path.relative_to(root)}\n".encode() + path.read_bytes())
    major_minor = ".".join(platform.python_version_tuple()[:2])
    version = importlib.metadata.version(DISTRIBUTION)
    return Program(major_minor, version, digest.hexdigest(), tuple(_installed()))


def _installed() -> Iterator[tuple[str, str]]:
    for requirement in importlib.metadata.requires(DISTRIBUTION) or ():
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"](.+?)['\"]", requirement)
        if name is None or (extra is not None and extra[1] not in _EXTRAS):
            continue
        try:
            yield name[0], importlib.metadata.version(name[0])
        except importlib.metadata.PackageNotFoundError:
            continue


@dataclass(frozen=True)
class Terms:
    """What a worker must have: the same program, the folder in which the command was typed, files that are read with
    their sizes (folders: -1; what is not there: None), and files that this machine has written, with their content.
    """

    program: Program
    folder: Path
    read: tuple[tuple[Path, int | None], ...]
    tokens: tuple[tuple[Path, str], ...]

    def refusal(self, threads: int) -> str:
        """On a worker with so many threads: why it may not work, after its name; empty where it may."""
        if difference := self.program.difference(this_program()):
            return f"{difference}; install the same there, and start the worker again"
        if threads != 1:
            return f"runs {threads} tasks at once in one process; start it with --nthreads 1, and as many --nworkers"
        missing = [self.folder] if not self.folder.is_dir() else []
        missing += [path for path, size in self.read if _size(path) != size]
        missing += [path.parent for path, content in self.tokens if _content(path) != content]
        if missing:
            return f"does not see {missing[0]} as this machine does; mount the same folder there, under the same name"
        return ""


@contextmanager
def terms_of(read: Sequence[Path] = (), written: Sequence[Path] = ()) -> Iterator[Terms]:
    """Terms for work that reads files or folders, and folders that are written; each of these holds a small file of its
    own during the block.

    Raises `ConfigError` for a folder that cannot be made, `OSError` for one that cannot be written.
    """
    every = max(1, len(read) // _MOST_LOOKED_AT)
    looked_at = [file_of(path).absolute() for path in read[::every]]
    tokens = []
    try:
        for folder in written:
            if folder.exists() and not folder.is_dir():
                raise ConfigError(f"{folder}: is a file; name a folder")
            folder.mkdir(parents=True, exist_ok=True)
            token = secrets.token_hex(16)
            path = folder.absolute() / f".{token}{_TOKEN_SUFFIX}"
            tokens.append((path, token))
            path.write_text(token)
        sizes = tuple((path, _size(path)) for path in looked_at)
        yield Terms(this_program(), Path.cwd(), sizes, tuple(tokens))
    finally:
        for path, _ in tokens:
            path.unlink(missing_ok=True)


def _size(path: Path) -> int | None:
    """None where there is nothing."""
    try:
        return -1 if path.is_dir() else path.stat().st_size
    except OSError:
        return None


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
