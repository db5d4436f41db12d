"""Names for groups of voices: the folder that a group already is, else the next free number."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from trainer.data.ingest import Label
from wakeword.errors import ConfigError

MAX_NAME_BYTES = 100


def present_folder(dataset: Label, relative: str) -> str | None:
    """The speaker's folder that a file lies in, by the rule of `find_files`: the first one for positives, the last one
    else.
    """
    folders = PurePosixPath(relative).parts[:-1]
    if not folders:
        return None
    return folders[0] if dataset is Label.POSITIVE else folders[-1]


def check_speaker_name(name: str, where: str) -> None:
    """Raise `ConfigError` unless a name can be a folder of a dataset: one visible part of a path."""
    plain = name.isprintable() and not set(name) & {"/", "\\"} and name == name.strip()
    if not name or name.startswith(".") or not plain or len(name.encode()) > MAX_NAME_BYTES:
        raise ConfigError(
            f"{where}: {name!r} cannot be a speaker's folder; use letters, digits, - and _, without / and without a"
            " leading dot"
        )


def folded(name: str) -> str:
    """What a file system that minds neither case nor the form of accents takes a name for."""
    return unicodedata.normalize("NFC", name).casefold()


def existing_folders(roots: Sequence[Path]) -> set[str]:
    """Names, folded, of everything that lies directly in the roots and so cannot be a new folder."""
    return {folded(entry.name) for root in roots for entry in root.iterdir()}


def name_groups(labels: Sequence[int], folders: Sequence[str | None], taken: Collection[str], prefix: str) -> list[str]:
    """A name for each group 0, 1, ...: `labels` and `folders` have one entry a file, `taken` holds folded names that a
    new one must avoid.

    A group keeps the name of the folder that gives it the most files, of those with more than half of their files in
    the group, so a dataset that is sorted already stays as it is. All others are `prefix_001` and so on, in order.
    """
    shares = Counter((label, folder) for label, folder in zip(labels, folders, strict=True) if folder is not None)
    totals = Counter(folder for folder in folders if folder is not None)
    kept: dict[int, str] = {}
    used: set[str] = set()
    for (label, folder), count in sorted(shares.items(), key=lambda share: (share[0][0], -share[1], share[0][1])):
        if label not in kept and 2 * count > totals[folder] and folded(folder) not in used:
            kept[label] = folder
            used.add(folded(folder))
    names = []
    number = 0
    for label in range(max(labels, default=-1) + 1):
        name = kept.get(label)
        while name is None:
            number += 1
            candidate = f"{prefix}_{number:03d}"
            if folded(candidate) not in used and folded(candidate) not in taken:
                name = candidate
        names.append(name)
    return names
