"""microWakeWord's published feature sets as negatives: trained on, validated on and tested on without audio.

A set is a folder with one folder a split, and in each of those, at any depth, folders that `mmap_ninja` wrote
(`wakeword.stored_features`). What is in `validation_ambient` and `testing_ambient` are long recordings, elsewhere
clips; both validate and test, and count by their length. None holds the wake word.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.clip_rows import ClipRows
from trainer.data.ingest import Label, SampleRecord, set_command
from trainer.data.parallel import Progress, map_in_processes
from trainer.data.split import Split, refuse_repeated
from trainer.data.store import FeatureStore
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.stored_features import folders_below, is_stored, stored_clips, stored_seconds, stored_slices

SPLITS = {
    "training": Split.TRAIN,
    "validation": Split.VAL,
    "validation_ambient": Split.VAL,
    "testing": Split.TEST,
    "testing_ambient": Split.TEST,
}
CLIPS_AT_ONCE = 64
"""Of at most ten minutes each, 150 MB, are in memory while they are stored."""
REPRESENTATIVE_SLICES = 60_000
"""Ten minutes of a set are enough to measure a model's ranges on."""


def feature_set_records(
    folders: Sequence[Path], *, jobs: int | None = None, progress: Progress | None = None
) -> list[SampleRecord]:
    """A record for each folder of features in the sets that `folders` are, or hold. Every value is looked at.

    Raises `ConfigError` for a folder that is no set, one that is given twice, and for features that are not the
    device's.
    """
    found = [one for folder in folders for root in _sets(folder.absolute()) for one in _places(root)]
    refuse_repeated(place for *_, place in found)
    checked = map_in_processes(_checked, [place for *_, place in found], jobs=jobs, progress=progress)
    records = []
    for (name, split, place), (seconds, sha256) in zip(found, checked, strict=True):
        records.append(SampleRecord(place, Label.NEGATIVE, split, f"feature_sets/{name}", seconds, 0, sha256=sha256))
    return records


def refuse_feature_sets(folder: Path, key: str) -> None:
    """Raise `ConfigError` where a folder that should hold recordings holds feature sets, with the setting that takes
    them.
    """
    given = _set_around(folder.absolute()) or (
        folder if any(_is_set(one) for one in (folder, *_subfolders(folder))) else None
    )
    if given is not None:
        nothing = "" if key == "paths.hard_negative_dir" else f" --set {shlex.quote(f'{key}=[]')}"
        raise ConfigError(
            f"{folder}: holds feature sets, not recordings; give it so:"
            f" {set_command('paths.feature_sets', [given])}{nothing}"
        )


def stored_sets(store: FeatureStore, records: Iterable[SampleRecord]) -> dict[str, ClipRows]:
    """The clips of feature sets as the device's features, by the name of their set, from the store. Raises as
    `stored_clips` does.
    """
    by_name: dict[str, list[SampleRecord]] = {}
    for record in records:
        by_name.setdefault(record.speaker, []).append(record)
    sets: dict[str, ClipRows] = {}
    for name, ones in by_name.items():
        key = store.key_of([record.sha256 for record in ones], name)
        sets |= {name: store.sets(key, ("features",), partial(_all_clips, ones), CLIPS_AT_ONCE)["features"]}
    return sets


def representative_clips(records: Iterable[SampleRecord]) -> list[NDArray[np.int8]]:
    """Some clips of each record, for measuring ranges: every so many, ten minutes in all."""
    chosen = []
    for record in records:
        every = max(1, -(-stored_slices(record.path) // REPRESENTATIVE_SLICES))
        chosen += [clip[: max(1, len(clip) // every)] for clip in stored_clips(record.path)]
    return chosen


def _all_clips(records: Sequence[SampleRecord]) -> tuple[Iterator[NDArray[np.int8]]]:
    return (chain.from_iterable(stored_clips(record.path) for record in records),)


def _sets(folder: Path) -> list[Path]:
    sets = [folder] if _is_set(folder) else [one for one in _subfolders(folder) if _is_set(one)]
    if not sets and (around := _set_around(folder)) is not None:
        raise ConfigError(
            f"{folder}: is a part of a feature set; give it whole: {set_command('paths.feature_sets', [around])}"
        )
    if not sets:
        raise ConfigError(
            f"{folder}: holds no feature set; name a folder with {', '.join(SPLITS)} (any of them) in it, each with"
            " folders that mmap_ninja wrote"
        )
    return sets


def _subfolders(folder: Path) -> list[Path]:
    return (
        sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        if folder.is_dir()
        else []
    )


def _is_set(folder: Path) -> bool:
    return any((folder / name).is_dir() and folders_below(folder / name) for name in SPLITS)


def _set_around(folder: Path) -> Path | None:
    """The set of which an absolute path is a part: one of its splits, or one of their folders of features."""
    split = folder.parent if is_stored(folder) else folder
    return split.parent if split.name in SPLITS and _is_set(split.parent) and folders_below(folder) else None


def _places(root: Path) -> Iterator[tuple[str, Split, Path]]:
    for name, split in SPLITS.items():
        if (root / name).is_dir():
            yield from ((root.name, split, place) for place in folders_below(root / name))


def _checked(place: Path) -> tuple[float, str]:
    """Length and hash of a folder whose values are all the frontend's."""
    for _ in stored_clips(place):
        pass
    return stored_seconds(place), hash_file(place)
