"""The voice of each recording as a vector, kept by the recording's content, so that a second analysis computes nothing.

A recording longer than ten seconds is heard in at most `MAX_WINDOWS` windows that lie evenly over it; its vector is the
mean of theirs. How alike the windows are tells whether one person speaks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.clustering.embedder import Embedder, EmbedderLoader, model_identity
from trainer.clustering.linkage import unit_rows
from trainer.data.listening import unusable
from trainer.data.parallel import Progress
from wakeword import contract
from wakeword.audio import conversion_id, stream_samples
from wakeword.corpus.feature_cache import folder_beside_features
from wakeword.corpus.recordings import hash_file
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError
from wakeword.files import partial_file

CACHE_SUFFIX = ".voice.npy"
WINDOW_SECONDS = 10
MAX_WINDOWS = 8
_LEAST_OF_WINDOW = 0.2
"""A shorter rest of a recording is not heard: it would weigh as much as a whole window."""
_RULE = "windows of 10 s, at most 8, mean of unit vectors; 1"
"""Part of every cache key: a change of how recordings are heard makes new entries."""


@dataclass(frozen=True)
class RecordedVoice:
    """A recording's content and its voice."""

    path: Path
    sha256: str
    embedding: NDArray[np.float32]
    """Of length 1."""
    agreement: float
    """Cosine similarity of the two least similar windows; 1 for one window."""


@dataclass(frozen=True)
class Voices:
    """All recordings that have a voice, in the order given, and all others with their reasons."""

    recordings: tuple[RecordedVoice, ...]
    left_out: tuple[Rejection, ...]


def embed_recordings(
    paths: Sequence[Path], model: str, load: EmbedderLoader, cache: Path | None = None, progress: Progress | None = None
) -> Voices:
    """Embed every recording that the cache does not know. Each is kept at once, so an interrupted analysis goes on
    where it was.

    `load` is called when the first recording has to be embedded, and not at all when the cache knows them all. Raises
    what `load` and the embedder raise; a recording that cannot be used is left out with its reason.
    """
    store = VoiceCache(cache or folder_beside_features("voices"), model_identity(model))
    report: Callable[[int, int], None] = progress or (lambda _done, _total: None)
    report(0, len(paths))
    embedder: Embedder | None = None
    recordings: list[RecordedVoice] = []
    left_out: list[Rejection] = []
    for done, path in enumerate(paths, 1):
        try:
            sha256 = hash_file(path)
            known = store.find(sha256)
            windows = _windows(path) if known is None else []
        except ConfigError as error:
            left_out.append(Rejection(path, str(error).removeprefix(f"{path}: ")))
            report(done, len(paths))
            continue
        if known is None:
            embedder = embedder or load(model)
            known = _joined([embedder.embed(window) for window in windows])
            if known is not None:
                store.keep(sha256, *known)
        if known is None:
            left_out.append(Rejection(path, "the model finds no voice in it: its vector is zero or not a number"))
        else:
            recordings.append(RecordedVoice(path, sha256, *known))
        report(done, len(paths))
    return Voices(tuple(recordings), tuple(left_out))


class VoiceCache:
    """Vectors on disk, a file each, named by the recording's content and the model.

    A damaged entry counts as missing.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._folder = folder
        self._model = model

    def path(self, sha256: str) -> Path:
        """Where the vector of a recording lies."""
        key = hashlib.sha256("\n".join((sha256, self._model, conversion_id(), _RULE)).encode()).hexdigest()
        return self._folder / key[:2] / f"{key}{CACHE_SUFFIX}"

    def find(self, sha256: str) -> tuple[NDArray[np.float32], float] | None:
        """The vector and agreement of a recording, None when they are not kept."""
        try:
            row = np.load(self.path(sha256), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if row.dtype != np.float32 or row.ndim != 1 or len(row) < 2 or not np.isfinite(row).all():
            return None
        return row[:-1], float(row[-1])

    def keep(self, sha256: str, embedding: NDArray[np.float32], agreement: float) -> None:
        """Write a vector, whole or not at all. Raises `OSError` when the disk is full."""
        with partial_file(self.path(sha256)) as temporary, temporary.open("wb") as file:
            np.save(file, np.append(embedding, np.float32(agreement)).astype(np.float32))


def _windows(path: Path) -> list[NDArray[np.int16]]:
    """Windows of a recording, evenly spread; when there are too many, every second one goes and only every second one
    still comes.
    """
    kept: list[NDArray[np.int16]] = []
    every, samples, peak = 1, 0, 0
    for number, block in enumerate(stream_samples(path, WINDOW_SECONDS * contract.SAMPLE_RATE_HZ)):
        samples += len(block)
        peak = max(peak, int(np.abs(block.astype(np.int32)).max()))
        if number % every or (kept and len(block) < _LEAST_OF_WINDOW * WINDOW_SECONDS * contract.SAMPLE_RATE_HZ):
            continue
        if len(kept) == MAX_WINDOWS:
            kept, every = kept[::2], every * 2
            if number % every:
                continue
        kept.append(block)
    seconds = samples / contract.SAMPLE_RATE_HZ
    if reason := unusable(seconds, peak):
        raise ConfigError(f"{path}: {reason}")
    return [window for window in kept if window.any()] or [kept[0]]


def _joined(vectors: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float32], float] | None:
    try:
        unit = unit_rows(np.stack(list(vectors)))
        return unit_rows(unit.mean(axis=0))[0].astype(np.float32), float(np.clip((unit @ unit.T).min(), -1, 1))
    except ValueError:
        return None
