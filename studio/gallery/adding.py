"""Clips that come in through the browser: takes of a microphone, moments of a live one, files. All are checked as the
trainer checks them, and each comes with its origin.
"""

from __future__ import annotations

import datetime
import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.gallery.places import checked_speaker, free_path, plain_stem
from studio.gallery.provenance import Origin, note_origin
from trainer.data.clips import wav_bytes
from trainer.data.ingest import Label
from trainer.data.listening import check_file
from wakeword.audio import AUDIO_SUFFIXES
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.utterances import utterance_bounds
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError
from wakeword.files import write_atomically

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
    return _add(root, folder, name, ".wav", content, label, origin)


def add_file(root: Path, name: str, content: bytes, label: Label, speaker: str) -> Added:
    """Import a file as it is. Raises as `add_samples` does."""
    suffix = Path(name.replace("\\", "/")).suffix.lower()
    if suffix not in AUDIO_SUFFIXES:
        return Added(name, f"{suffix or 'no ending'} is not a known kind of audio file")
    return _add(
        root, folder_of(root, label, speaker), plain_stem(name), suffix, content, label, Origin("import", source=name)
    )


def trimmed(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """A take without most of the silence around its word; all of it where the word cannot be told."""
    first, end = utterance_bounds(samples)
    around = round(AROUND_SECONDS * SAMPLE_RATE_HZ)
    return samples[max(0, first - around) : end + around] if end > first else samples


def _add(root: Path, folder: Path, stem: str, suffix: str, content: bytes, label: Label, origin: Origin) -> Added:
    """A file has its final name only once it was found to be a usable recording."""
    with tempfile.TemporaryDirectory(prefix="mww-import-") as place:
        checked = Path(place) / f"clip{suffix}"
        checked.write_bytes(content)
        sound = check_file(checked, one_word=label is Label.POSITIVE)
    if isinstance(sound, Rejection):
        return Added(origin.source or f"{stem}{suffix}", sound.reason)
    if (twin := _same_content(root, content)) is not None:
        return Added(origin.source or f"{stem}{suffix}", f"is there already, as {twin}")
    path = free_path(folder, stem, suffix)
    write_atomically(path, content)
    note_origin(root, path, origin if origin.source_rate_hz else replace(origin, source_rate_hz=sound.sample_rate))
    return Added(path.relative_to(root).as_posix())


def _same_content(root: Path, content: bytes) -> str | None:
    """The clip with these very bytes, if there is one, rejected ones too."""
    for path in _files(root):
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            return path.relative_to(root).as_posix()
    return None


def _files(root: Path) -> Iterable[Path]:
    return (path for path in root.glob("*/**/*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
