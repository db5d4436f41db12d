"""Features on disk, keyed by what they were computed from, so that a second model over the same audio starts at its
engine.

A cache file holds one stream: its int8 slices `[n, 40]`, then the length of each of its recordings in samples as int64.
It is written under a temporary name and renamed, so an entry is whole or not there; when the cache grows over its limit
the entries used longest ago go first.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wakeword.audio import conversion_id
from wakeword.contract import FEATURE_CHANNELS, STEP_MS, slice_count
from wakeword.errors import ConfigError
from wakeword.files import PARTIAL_SUFFIX, cache_folder, partial_file
from wakeword.frontend import frontend_id

CACHE_VARIABLE = "MWW_CACHE_DIR"
LIMIT_VARIABLE = "MWW_CACHE_GB"
DEFAULT_LIMIT_GB = 8.0
SUFFIX = ".features"
LENGTH_BYTES = 8
SLICES_HELD = 60_000
"""Ten minutes of features, 2.4 MB, are kept in memory while they are computed."""
ABANDONED_AFTER_S = 24 * 3600
"""A half-written entry that nobody has touched for so long belongs to no living process."""


def default_cache_folder() -> Path:
    """`$MWW_CACHE_DIR`, else `mww/features` in the user's cache folder."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else cache_folder("features")


def cache_limit_bytes(gigabytes: float | None = None) -> int:
    """What a cache may hold: `gigabytes` (GiB), else `$MWW_CACHE_GB`, else 8. Raises `ConfigError` for a variable that
    is no size.
    """
    given = os.environ.get(LIMIT_VARIABLE)
    if gigabytes is None and given:
        try:
            gigabytes = float(given)
        except ValueError:
            gigabytes = -1.0
        if not 0 < gigabytes < float("inf"):
            raise ConfigError(f"{LIMIT_VARIABLE} is {given!r}; give GiB above 0, for example {DEFAULT_LIMIT_GB:g}")
    return int((DEFAULT_LIMIT_GB if gigabytes is None else gigabytes) * (1 << 30))


def folder_beside_features(name: str) -> Path:
    """`NAME` in `$MWW_CACHE_DIR`, else `mww/NAME` in the user's cache folder."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) / name if given else cache_folder(name)


@dataclass(frozen=True)
class CachedStream:
    """The features of one stream, on disk or, when they are few and were computed just now, in memory."""

    path: Path
    slices: int
    samples: tuple[int, ...]
    """Length of each recording of the stream."""
    held: NDArray[np.int8] | None = field(default=None, compare=False, repr=False)
    step_ms: int = STEP_MS
    """Milliseconds from slice to slice."""

    @classmethod
    def in_memory(cls, features: NDArray[np.int8], samples: Sequence[int] = ()) -> CachedStream:
        """Features `[slices, 40]` that are there already, of recordings of such lengths."""
        return cls(Path(), len(features), tuple(samples), held=features)

    def mapped(self) -> CachedStream:
        """The same, its file mapped for this process: what another command removes from a full cache is still read.

        Another process would get a copy of all of it. Raises `OSError` when the file is gone already.
        """
        if self.held is not None or not self.slices:
            return self
        return replace(self, held=np.memmap(self.path, np.int8, "r", shape=(self.slices, FEATURE_CHANNELS)))

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[np.int8]:
        """Slices `start` to `stop`, int8 `[n, 40]`."""
        if self.held is not None:
            return self.held[start:stop]
        count = ((self.slices if stop is None else min(stop, self.slices)) - start) * FEATURE_CHANNELS
        return np.fromfile(self.path, np.int8, count=count, offset=start * FEATURE_CHANNELS).reshape(
            -1, FEATURE_CHANNELS
        )


class StreamWriter:
    """Takes the slices of one stream in order, and the lengths of its recordings. The first minutes stay in memory."""

    def __init__(self, path: Path, open_file: Callable[[], BinaryIO], step_ms: int) -> None:
        self._path, self._step_ms = path, step_ms
        self._open_file = open_file
        self._file: BinaryIO | None = None
        self._held: list[NDArray[np.int8]] = []
        self._slices = 0
        self._samples: list[int] = []

    def add_slices(self, slices: NDArray[np.int8]) -> None:
        """Append slices `[n, 40]`. Raises `OSError` when the disk is full."""
        self._slices += len(slices)
        self._held.append(slices)
        if self._file is not None or self._slices > SLICES_HELD:
            self._spill()

    def end_recording(self, samples: int) -> None:
        """Note that a recording has ended, and its length."""
        self._samples.append(samples)

    def finish(self, keep: bool) -> None:
        """Write what has to be on disk: all with `keep`, else what was too much for memory."""
        held = None if self._file else np.concatenate([np.zeros((0, FEATURE_CHANNELS), np.int8), *self._held])
        self.stream = CachedStream(self._path, self._slices, tuple(self._samples), held, self._step_ms)
        if keep or self._file is not None:
            self._spill().write(np.array(self._samples, np.int64).tobytes())

    def _spill(self) -> BinaryIO:
        self._file = self._file or self._open_file()
        for slices in self._held:
            self._file.write(np.ascontiguousarray(slices, np.int8).tobytes())
        self._held = []
        return self._file


class FeatureCache:
    """Features of streams by key. `hits` streams were found, `misses` were not."""

    def __init__(self, folder: Path, limit_bytes: int | None = None, *, keep: bool = True) -> None:
        """`limit_bytes` None: `cache_limit_bytes`. `keep` False only puts on disk what is too long for memory; the
        folder is then the caller's to remove.
        """
        self.folder = folder
        self.keep = keep
        self.hits = self.misses = 0
        self._limit_bytes = cache_limit_bytes() if limit_bytes is None else limit_bytes
        self._own: set[Path] = set()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"

    def find(self, key: str, recordings: int, silence: int, step_ms: int = STEP_MS) -> CachedStream | None:
        """The features of a stream of so many recordings and samples of silence at a step if they are there and whole;
        marks them as used.

        A machine that loses power can leave a file short or full of zeros: then the lengths do not give the slices.
        """
        found = self._whole(key, recordings, silence, step_ms)
        self.hits, self.misses = self.hits + (found is not None), self.misses + (found is None)
        return found

    def _whole(self, key: str, recordings: int, silence: int, step_ms: int) -> CachedStream | None:
        path = self._path(key)
        try:
            size = path.stat().st_size
            lengths = np.fromfile(path, np.int64, offset=max(size - LENGTH_BYTES * recordings, 0))
        except OSError:
            return None
        samples = int(lengths.sum())
        slices = slice_count(samples + silence, step_ms)
        if len(lengths) != recordings or samples <= 0 or size != slices * FEATURE_CHANNELS + lengths.nbytes:
            return None
        with suppress(OSError):  # a cache that is only read may belong to someone else
            os.utime(path)
        self._own.add(path)
        return CachedStream(path, slices, tuple(map(int, lengths)), step_ms=step_ms)

    @contextmanager
    def write(self, key: str, step_ms: int = STEP_MS) -> Iterator[StreamWriter]:
        """Write the features of a stream; when the block has ended without an error they are there, and the writer's
        `stream`.
        """
        path = self._path(key)
        self._own.add(path)
        with ExitStack() as stack:

            def open_file() -> BinaryIO:
                return stack.enter_context(stack.enter_context(partial_file(path)).open("wb"))

            writer = StreamWriter(path, open_file, step_ms)
            yield writer
            writer.finish(self.keep)

    def prune(self, *, in_use: bool = False) -> int:
        """Remove the entries used longest ago until the cache is within its limit, and what killed processes left
        half-written. Returns the bytes of what is there afterwards. With `in_use` the streams that this object has
        found or written are still read, and stay.
        """
        entries = []
        for path in self.folder.glob("*/*"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process prunes too
                continue
            if path.suffix == SUFFIX:
                entries.append((status.st_mtime, status.st_size, path))
            elif path.suffix == PARTIAL_SUFFIX and time.time() - status.st_mtime > ABANDONED_AFTER_S:
                path.unlink(missing_ok=True)
        held = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if held <= self._limit_bytes:
                break
            if not (in_use and path in self._own):
                path.unlink(missing_ok=True)
                held -= size
        return held

    def summary(self, held: int) -> str:
        """A line on what was found and what had to be computed, and of the `held` bytes."""
        over = ", all of it in use" if held > self._limit_bytes else ""
        return (
            f"{self.hits} of {self.hits + self.misses} streams found in the feature cache, {self.misses} computed;"
            f" {self.folder} holds {held / (1 << 30):.2f} GiB of at most {self._limit_bytes / (1 << 30):g}{over}"
        )


def stream_key(file_hashes: Sequence[str], *paddings: int, step_ms: int = STEP_MS) -> str:
    """Key of a stream: its recordings in order, its paddings in samples, and the arithmetic of decoding and of the
    frontend at its step.
    """
    parts = [frontend_id(step_ms), conversion_id(), *map(str, paddings), *file_hashes]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
