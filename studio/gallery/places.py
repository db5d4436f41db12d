"""Where clips lie in a dataset's folder, by names that cannot leave it.

A clip's name is its path below the dataset's folder, with slashes: `positive/anna/far_1a2b.wav`. What a page sends is
such a name, and `clip_path` is the one way from it to a file.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from trainer.data.ingest import Label
from wakeword.audio import AUDIO_SUFFIXES
from wakeword.errors import ConfigError
from wakeword.locks import wait_for

REJECTED = "rejected"
"""The folder beside those of the labels in which rejected clips lie, below the names that they had. No command reads
it."""
LABELS = tuple(label.value for label in Label)
_WORDS = re.compile(r"[^\W_](?:[\w .'-]{0,58}[\w.'-])?")
LONGEST_NAME = 80
_LOCK = ".clips.lock"


def clip_path(root: Path, name: str) -> Path:
    """The file of a clip. Raises `ConfigError` for a name that leaves the folder, or that no recording has."""
    pure = PurePosixPath(name)
    outside = ConfigError(f"{name!r}: names no clip of {root}; choose one from the list")
    if name != pure.as_posix() or pure.is_absolute() or len(pure.parts) < 2 or pure.parts[0] not in (*LABELS, REJECTED):
        raise outside
    if any(part in ("..", ".") or part.startswith(".") or "\0" in part or "\\" in part for part in pure.parts):
        raise outside
    path = root / pure
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        raise outside from None
    if not inside or pure.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file():
        raise outside
    return path


def label_of(name: str) -> str:
    """`positive`, `negative`, `hard_negative`, or `rejected`."""
    return name.split("/", 1)[0]


def speaker_in(name: str) -> str:
    """The folder of a clip below its label's, as the trainer reads a speaker; empty for a loose clip."""
    parts = name.split("/")
    parts = parts[1:] if parts[0] == REJECTED else parts
    return parts[1] if len(parts) > 2 else ""


def checked_label(label: str) -> Label:
    """A label that somebody chose. Raises `ConfigError`."""
    try:
        return Label(label)
    except ValueError:
        raise ConfigError(f"label {label!r}: give {', '.join(LABELS)}") from None


def checked_speaker(speaker: str) -> str:
    """A speaker's name as it becomes a folder's. Raises `ConfigError` for what is no name of a folder everywhere."""
    name = " ".join(speaker.split())
    if not _WORDS.fullmatch(name):
        raise ConfigError(
            f"speaker {speaker!r}: give a name of at most 60 letters, digits, spaces, '-', '_' and '.', beginning with"
            " a letter or digit"
        )
    return name


def clips_held(root: Path) -> AbstractContextManager[None]:
    """A dataset's clips keep their names while the block runs: whoever adds or moves one waits. Not within another."""
    return wait_for(root / _LOCK, lambda: None)


def free_path(folder: Path, stem: str, suffix: str) -> Path:
    """A name in a folder that nothing has yet: with a number behind the stem where it is taken."""
    path, number = folder / f"{stem}{suffix}", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}{suffix}", number + 1
    return path


def plain_stem(name: str) -> str:
    """The stem of a file's name that comes from elsewhere, of letters that every system takes; `clip` where none are
    left.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = last.rsplit(".", 1)[0]
    return re.sub(r"[^\w-]+", "_", stem).strip("_-")[:LONGEST_NAME] or "clip"
