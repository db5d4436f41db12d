"""Finding recordings: files, folders and lists."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from wakeword.audio import AUDIO_SUFFIXES
from wakeword.errors import ConfigError

LIST_SUFFIXES = frozenset({".csv", ".m3u", ".m3u8", ".txt"})
HASH_BLOCK_BYTES = 1 << 20


def find_recordings(sources: Sequence[Path]) -> list[Path]:
    """All recordings that files, folders (searched to the bottom) and lists name, each once, sorted by path.

    A list is a text file with a path a line (empty lines and `#` comments are skipped) or a CSV with a column `path`; its
    paths are relative to the list's folder. Raises `ConfigError` when something is missing or a folder or list is empty.
    """
    found: dict[str, Path] = {}
    for source in sources:
        for path in _expand(source):
            found[path.as_posix()] = path
    return [found[name] for name in sorted(found)]


def _expand(source: Path) -> Iterable[Path]:
    if source.is_dir():
        paths = [path for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()]
        if not paths:
            raise ConfigError(f"{source}: no recordings in this folder ({', '.join(sorted(AUDIO_SUFFIXES))} are looked for); check the path")
        return paths
    if not source.is_file():
        raise ConfigError(f"{source}: does not exist; give a recording, a folder of recordings or a list of them")
    return _read_list(source) if source.suffix.lower() in LIST_SUFFIXES else [source]


def _read_list(source: Path) -> list[Path]:
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: not a text file ({error.reason}); a list has one path a line") from error
    if source.suffix.lower() == ".csv":
        reader = csv.DictReader(lines)
        if "path" not in (reader.fieldnames or ()):
            raise ConfigError(f"{source}: no column 'path'; a CSV list names its recordings in that column")
        entries = [row["path"] or "" for row in reader]
    else:
        entries = [line.strip() for line in lines]
    paths = [source.parent / entry for entry in entries if entry and not entry.startswith("#")]
    if not paths:
        raise ConfigError(f"{source}: the list names no recording; put one path on each line")
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"{source}: names {path}, which does not exist; paths are relative to the list's folder")
    return paths


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex digits. Raises `ConfigError` when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(HASH_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    return digest.hexdigest()


def hash_corpus(file_hashes: Iterable[str]) -> str:
    """One hash for a set of files, whatever their order and names."""
    return hashlib.sha256("\n".join(sorted(file_hashes)).encode()).hexdigest()
