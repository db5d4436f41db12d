"""Clips that come in through the browser: takes of a microphone, moments of a live one, files. All are checked as the
trainer checks them, and each comes with its origin.
"""

from __future__ import annotations

import datetime
import filecmp
import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from studio.gallery.places import LABELS, REJECTED, checked_speaker, clips_held, free_path, plain_stem
from studio.gallery.provenance import Noted, Origin, note_origins
from trainer.data.clips import wav_bytes
from trainer.data.ingest import Label
from trainer.data.listening import check_file
from wakeword.audio import AUDIO_SUFFIXES
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.utterances import utterance_bounds
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError

AROUND_SECONDS = 0.3
"""Kept before and after the word of a take."""


@dataclass(frozen=True)
class Added:
    """A clip that is in the dataset now, or the reason why it is not."""

    name: str
    """Below the dataset's folder; of a refused one what it was called."""
    refused: str = ""


def folder_of(root: Path, label: Label, speaker: str) -> Path:
    """Where clips of a label and speaker lie. Raises `ConfigError` for a wake word of nobody, and a name that is no
    folder's.
    """
    if speaker.strip():
        return root / label.value / checked_speaker(speaker)
    if label is Label.POSITIVE:
        raise ConfigError("say who speaks: a wake word lies in its speaker's folder")
    return root / label.value


def add_samples(root: Path, samples: NDArray[np.int16], label: Label, speaker: str, stem: str, origin: Origin) -> Added:
    """Save what a microphone heard, 16 kHz int16 `[n]`, as a clip.

    Args:
        root: The dataset's folder.
        samples: What was heard.
        label: What it is to the training.
        speaker: Whose folder; may be empty where it is no wake word.
        stem: How its name begins.
        origin: What the table keeps of it.

    Returns the clip, or why it was refused. Raises `ConfigError` for a speaker that cannot be a folder, `OSError` when
    the disk is full.
    """
    folder = folder_of(root, label, speaker)
    content = wav_bytes(samples)
    digest = hashlib.sha256(content).hexdigest()
    time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    name = f"{plain_stem(stem)}_{time}_{digest[:6]}"
    with _coming_in(root, label, folder) as incoming:
        return incoming.add(io.BytesIO(content), name, ".wav", origin)


def add_files(root: Path, files: Iterable[tuple[str, IO[bytes]]], label: Label, speaker: str) -> list[Added]:
    """Import files with their names as they are, one after the other, each in or refused with its reason. What the
    dataset holds already is looked through once for all of them, and the table written once. Raises as `add_samples`
    does; files that came before are in then.
    """
    added: list[Added] = []
    with _coming_in(root, label, folder_of(root, label, speaker)) as incoming:
        for name, file in files:
            suffix = Path(name.replace("\\", "/")).suffix.lower()
            if suffix in AUDIO_SUFFIXES:
                added.append(incoming.add(file, plain_stem(name), suffix, Origin("import", source=name)))
            else:
                added.append(Added(name, f"{suffix or 'no ending'} is not a known kind of audio file"))
    return added


def trimmed(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """A take without most of the silence around its word; all of it where the word cannot be told."""
    first, end = utterance_bounds(samples)
    around = round(AROUND_SECONDS * SAMPLE_RATE_HZ)
    return samples[max(0, first - around) : end + around] if end > first else samples


@contextmanager
def _coming_in(root: Path, label: Label, folder: Path) -> Iterator[_Incoming]:
    """Clips on their way into a folder of a dataset; the table knows them when the block ends, however it does."""
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=root) as place:
        incoming = _Incoming(root, label, folder, Path(place))
        try:
            yield incoming
        finally:
            note_origins(root, incoming.noted)
    with suppress(OSError):
        root.rmdir()  # where nothing came in


class _Incoming:
    """A file has its final name only once it was found to be a usable recording that is not there yet."""

    def __init__(self, root: Path, label: Label, folder: Path, place: Path) -> None:
        self.noted: list[Noted] = []
        self._root, self._label, self._folder, self._place = root, label, folder, place
        self._by_size: dict[int, list[Path]] | None = None

    def add(self, file: IO[bytes], stem: str, suffix: str, origin: Origin) -> Added:
        """Take a file from where it is read to its end. Raises `OSError`."""
        called = origin.source or f"{stem}{suffix}"
        path = self._place / f"clip{suffix}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        sound = check_file(path, one_word=self._label is Label.POSITIVE)
        if isinstance(sound, Rejection):
            return Added(called, sound.reason)
        with clips_held(self._root):
            if (twin := self._twin(path)) is not None:
                return Added(called, f"is there already, as {twin}")
            self._folder.mkdir(parents=True, exist_ok=True)
            final = free_path(self._folder, stem, suffix)
            path.rename(final)
        self._known().setdefault(final.stat().st_size, []).append(final)
        told = origin if origin.source_rate_hz else replace(origin, source_rate_hz=sound.sample_rate)
        self.noted.append(Noted(sound.sha256, final, told))
        return Added(final.relative_to(self._root).as_posix())

    def _twin(self, path: Path) -> str | None:
        """The clip with these very bytes, if there is one, rejected ones too."""
        for other in self._known().get(path.stat().st_size, ()):
            with suppress(OSError):  # moved since
                if filecmp.cmp(path, other, shallow=False):
                    return other.relative_to(self._root).as_posix()
        return None

    def _known(self) -> dict[int, list[Path]]:
        """All clips of the dataset by their size in bytes."""
        if self._by_size is None:
            self._by_size = {}
            for label in (*LABELS, REJECTED):
                for path in (self._root / label).rglob("*"):
                    if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
                        self._by_size.setdefault(path.stat().st_size, []).append(path)
        return self._by_size
