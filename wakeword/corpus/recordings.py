"""Finding recordings: files, folders and lists."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from wakeword.audio import AUDIO_SUFFIXES
from wakeword.corpus.walk import Walked, walk
from wakeword.errors import ConfigError, tell
from wakeword.part import Part, file_of, part_of, resolved
from wakeword.reading import read_csv, read_text
from wakeword.stored_features import is_stored

LIST_SUFFIXES = frozenset({".csv", ".m3u", ".m3u8", ".txt"})
GENERATED_TABLE = "generated.csv"
"""`mww-generate` leaves this table at the root of what it made."""
RECORDED_TABLE = "recorded.json"
"""At the root of a folder of speakers that were recorded, also where that lies within what `mww-generate` made: who
they are, whose work that is and under which licence."""
NOTE = "# note: "
"""Begins a line of a list that says what figures of its recordings are worth; whoever reports them says it too."""
HASH_BLOCK_BYTES = 1 << 20


def find_recordings(sources: Sequence[Path], told: Callable[[str], None] = tell) -> list[Path]:
    """All recordings that files, folders (by the rule of `wakeword.corpus.walk`) and lists name, each once, sorted by
    path.

    A file that is reached by several ways counts once, under the name by which it was found first. A list is a text
    file with a path a line (empty lines and `#` comments are skipped) or a CSV with a column `path`; its paths are
    relative to the list's folder. A path may name a part of a recording (`wakeword.part`) or a folder of features
    (`wakeword.stored_features`). `told` gets a line for each folder in which something is not used. Raises
    `ConfigError` when something is missing, cannot be read or has a name that no result can hold, or when a folder or
    list is empty.
    """
    found: dict[Path, Path] = {}
    for source in sources:
        for path in _expand(source, told):
            found.setdefault(resolved(path), path)
    for path in found.values():
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"{path}: the name is not UTF-8, so no result can hold it; rename the file, or set LC_ALL=C.UTF-8"
            ) from error
    return sorted(found.values(), key=Path.as_posix)


def _expand(source: Path, told: Callable[[str], None]) -> Iterable[Path]:
    if is_stored(source):
        return [source]
    if source.is_dir():
        walked = walk(source)
        unused = _unused(walked)
        if not walked.recordings:
            why = f"; {unused}" if unused else ""
            raise ConfigError(
                f"{source}: no recordings in this folder ({', '.join(sorted(AUDIO_SUFFIXES))} are looked for){why};"
                " check the path"
            )
        if unused:
            told(f"{source}: {unused}")
        return walked.recordings
    if not file_of(source).is_file():
        raise ConfigError(f"{source}: does not exist; give a recording, a folder of recordings or a list of them")
    return _read_list(source) if source.suffix.lower() in LIST_SUFFIXES else [source]


def _unused(walked: Walked) -> str:
    """What a folder holds that nobody will hear, in one line; empty where there is nothing."""
    rejections = walked.rejections
    rejected = f"not used: {len(rejections)}, first {rejections[0].path}: {rejections[0].reason}" if rejections else ""
    return "; ".join(filter(None, (str(walked.left_out), rejected)))


def _read_list(source: Path) -> list[Path]:
    if source.suffix.lower() == ".csv":
        entries = [
            row["path"]
            for row in read_csv(source, ("path",), "a CSV list names its recordings in the column 'path'").rows
        ]
    else:
        entries = _line_entries(read_text(source, "a list is a text file with one path a line"))
    paths = [source.parent / entry for entry in entries if entry]
    if not paths:
        raise ConfigError(f"{source}: the list names no recording; put one path on each line")
    for path in paths:
        if not is_recording(path):
            raise ConfigError(f"{source}: names {path}, which does not exist; paths are relative to the list's folder")
    return paths


def list_notes(sources: Sequence[Path]) -> tuple[str, ...]:
    """What lists among `sources` say of figures of their recordings, each once. Raises `ConfigError` for a list that
    cannot be read.
    """
    lists = [source for source in sources if source.is_file() and source.suffix.lower() in LIST_SUFFIXES - {".csv"}]
    lines = [
        line for source in lists for line in read_text(source, "a list is a text file with one path a line").split("\n")
    ]
    return tuple(dict.fromkeys(line.removeprefix(NOTE).strip() for line in lines if line.startswith(NOTE)))


def _line_entries(text: str) -> list[str]:
    # Not splitlines(): file names may hold signs that it takes for the end of a line.
    entries = [line.strip() for line in text.split("\n")]
    return [entry for entry in entries if not entry.startswith("#")]


def is_recording(path: Path) -> bool:
    """Whether a path names something that can be presented: a file, a part of one, a folder of features. Nothing is
    opened.
    """
    return file_of(path).is_file() or is_stored(path)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex digits; a part of a file (`wakeword.part`) has one of its own, made of the
    file's and its times, and a folder of features one of its names and contents.

    Raises `ConfigError` when it cannot be read.
    """
    part = part_of(path)
    if part is None:
        return _hash_folder(path) if is_stored(path) else _hash_bytes(path)
    try:
        status = part.file.stat()
    except OSError as error:
        raise ConfigError(
            f"{part.file}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    return hash_part(_hash_once(part.file, status.st_size, status.st_mtime_ns), part)


def hash_part(file_hash: str, part: Part) -> str:
    """The hash of a part of a file with this hash."""
    return hashlib.sha256(f"{file_hash}#t={part.start:.10g},{part.end:.10g}".encode()).hexdigest()


@lru_cache(maxsize=256)
def _hash_once(path: Path, _size: int, _mtime_ns: int) -> str:
    """A long file has many parts, and is read once for all of them while it stays as it is."""
    return _hash_bytes(path)


def _hash_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()} {_hash_bytes(file)}\n".encode())
    return digest.hexdigest()


def _hash_bytes(path: Path) -> str:
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


def is_generated(path: Path) -> bool:
    """Whether a recording lies in a folder that `mww-generate` made, and in no folder of recorded speakers within that:
    its voice is a synthesiser's.
    """
    ways = (path.absolute().parents, path.resolve().parents)
    return any(next(filter(None, map(origin_table, folders)), "") == GENERATED_TABLE for folders in ways)


def origin_table(folder: Path) -> str:
    """Which table in a folder says where what lies below comes from: `RECORDED_TABLE`, `GENERATED_TABLE`, or empty."""
    return next((name for name in (RECORDED_TABLE, GENERATED_TABLE) if (folder / name).is_file()), "")
