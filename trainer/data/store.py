"""Features on disk, built once: clips of different lengths in one file each set, mapped into memory when they are drawn
from.

A set is a `mmap_ninja.RaggedMmap` in a folder that is named by a hash of everything that its features were computed
from: the content of the recordings, the settings, the seed, the frontend. So a changed recording or setting is another
set, and nothing in a store is ever wrong, only unused; one that nobody has used for a month goes when another is made.
A folder is filled under a temporary name and renamed: it is whole or not there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.clip_rows import ClipRows
from trainer.data.ingest import SampleRecord
from wakeword import contract
from wakeword.audio import conversion_id
from wakeword.corpus.recordings import hash_file
from wakeword.errors import InfrastructureError
from wakeword.files import PARTIAL_SUFFIX
from wakeword.frontend import FRONTEND_ID

Features = NDArray[np.int8]

_FORMAT = 2
"""Raise it when features change their meaning: how clips are set into context, how words are found in them."""
_CLIPS_AT_ONCE = 1024
_READERS = 8
_UNUSED_AFTER_S = 30 * 24 * 3600


class FeatureStore:
    """Sets of features in a folder. `hits` sets were there, `misses` had to be computed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hits = self.misses = 0
        self._hashes: dict[Path, str] = {}

    def key(self, records: Sequence[SampleRecord], *settings: object) -> str:
        """The name of what is computed from recordings with settings, whose `repr` must tell them apart.

        Raises `OSError` for a file that cannot be read.
        """
        new = [record.path for record in records if record.path not in self._hashes]
        with ThreadPoolExecutor(_READERS) as pool:
            self._hashes.update(zip(new, pool.map(hash_file, new), strict=True))
        digest = hashlib.sha256(repr((_FORMAT, FRONTEND_ID, conversion_id(), settings)).encode())
        for record in records:
            # Random numbers come from the label, the speaker and the name, the rest from the content.
            digest.update(f"{self._hashes[record.path]} {record.label} {record.speaker} {record.path.name}\n".encode())
        return digest.hexdigest()

    def key_of(self, contents: Sequence[str], name: str) -> str:
        """The name of what is made of contents with these hashes and nothing else."""
        return hashlib.sha256(repr((_FORMAT, contents, name)).encode()).hexdigest()

    def sets(
        self,
        key: str,
        names: Sequence[str],
        make: Callable[[], Sequence[Iterable[Features]]],
        clips_at_once: int = _CLIPS_AT_ONCE,
    ) -> dict[str, ClipRows]:
        """The sets `names` that belong to a key, mapped; where one is missing, `make` computes all, in order.

        A set without clips has no rows. `clips_at_once` are in memory while they are written. Raises
        `InfrastructureError` for a damaged set, `OSError` when the disk is full, and what `make` raises.
        """
        places = {name: self._folder / f"{key}_{name}" for name in names}
        if all(place.is_dir() for place in places.values()):
            self.hits += len(places)
        else:
            self.misses += len(places)
            for place, clips in zip(places.values(), make(), strict=True):
                _write(clips, place, clips_at_once)
            self._remove_unused()
        for place in places.values():
            os.utime(place)
        return {name: _read(place) for name, place in places.items()}

    def _remove_unused(self) -> None:
        for place in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another process removes and renames too
                if time.time() - place.stat().st_mtime > _UNUSED_AFTER_S:
                    shutil.rmtree(place, ignore_errors=True)


def _write(clips: Iterable[Features], place: Path, clips_at_once: int) -> None:
    from mmap_ninja import RaggedMmap

    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.", suffix=PARTIAL_SUFFIX) as scratch:
        partial = Path(scratch) / "set"
        partial.mkdir()
        # The library finds a clip by flattened values, so a shape that is none marks the set without clips.
        RaggedMmap.from_generator(partial, _or_marker(clips), clips_at_once)
        # Another process that made the same set meanwhile may be reading it: a full folder is never replaced.
        if not place.is_dir():
            partial.rename(place)


def _or_marker(clips: Iterable[Features]) -> Iterator[Features]:
    count = 0
    for clip in clips:
        count += 1
        yield clip
    if not count:
        yield np.zeros((1, 1), np.int8)


def _read(place: Path) -> ClipRows:
    from mmap_ninja import RaggedMmap

    try:
        stored = RaggedMmap(place)
        values, ends, starts = stored.memmap, np.asarray(stored.ends), np.asarray(stored.starts)
        lengths = (ends - starts) // contract.FEATURE_CHANNELS
        if values.size == 1:
            return ClipRows(np.zeros((0, contract.FEATURE_CHANNELS), np.int8), np.zeros(0, np.int64))
        rows = values.reshape(-1, contract.FEATURE_CHANNELS)
    except (AttributeError, OSError, TypeError, ValueError, struct.error) as error:
        raise InfrastructureError(
            f"{place}: a damaged set of features ({error}); remove this folder, then run again"
        ) from error
    if len(rows) != lengths.sum():
        raise InfrastructureError(
            f"{place}: a damaged set of features ({len(rows)} slices, not {lengths.sum()}); remove this folder, then"
            " run again"
        )
    return ClipRows(rows, lengths.astype(np.int64))
