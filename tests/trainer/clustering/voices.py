"""Speakers made of numbers: directions on the unit sphere, and recordings whose voices the cache knows already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainer.clustering.voices import VoiceCache
from trainer.config.sections import SpeakerClusteringSection
from wakeword.corpus.recordings import hash_file

DIMENSIONS = 32


def speaker_direction(name: str) -> NDArray[np.float64]:
    """A random direction; two of them are nearly at right angles (a cosine of 0 +- 0.18)."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    direction = np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return np.asarray(direction / np.linalg.norm(direction))


def utterance(speaker: str, take: object, spread: float = 0.3) -> NDArray[np.float32]:
    """A voice near its speaker's direction: two takes have a cosine of about 1 / (1 + spread^2), 0.92."""
    noise = speaker_direction(f"{speaker}, take {take}") * spread
    vector = speaker_direction(speaker) + noise
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def record(path: Path, seconds: float = 0.5, amplitude: float = 8000) -> Path:
    """A recording whose content is its own: its pitch comes from its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pitch = 100 + int.from_bytes(hashlib.sha256(path.as_posix().encode()).digest()[:4]) / 2**32 * 2000
    wave = amplitude * np.sin(2 * np.pi * pitch * np.arange(int(seconds * 16_000)) / 16_000)
    soundfile.write(path, wave.astype(np.int16), 16_000)
    return path


def record_speakers(
    root: Path, cache: Path, speakers: Mapping[str, str], model: str = SpeakerClusteringSection().embedding_model
) -> None:
    """Write a recording for each relative path, and put its speaker's voice into the cache, as if the model had heard
    it.
    """
    store = VoiceCache(cache / "voices", model)
    for relative, speaker in speakers.items():
        store.keep(hash_file(record(root / relative)), utterance(speaker, relative), 1.0)
