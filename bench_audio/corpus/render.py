"""A description becomes recordings: each source in each condition, at its level, over its noise, as 16 kHz mono WAV.

What is rendered is a function of the description, the recordings and the level of full scale: the same input gives the
same bytes. A file is named by the hash of what it was made from and is not made twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench_audio.corpus.description import CorpusDescription, PlaybackCondition, Source
from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.provenance import Provenance, provenance_of
from wakeword.corpus.recordings import find_recordings, hash_file
from wakeword.corpus.utterances import known_utterance_end
from wakeword.errors import ConfigError
from wakeword.files import partial_file

BED_SECONDS = 1.0
"""The noise begins so long before the word's recording and ends so long after it."""
BED_FADE_SECONDS = 0.05
VERSION = 1
"""Part of every name: a change of the rendering makes other files."""
LARGEST = 32767


@dataclass(frozen=True)
class RenderedFile:
    """A rendered recording, with what is known of it only before it was mixed."""

    path: Path
    word_end: int | None
    """One past the last sample of the word in the rendered file; None without a word, or where the recording itself
    does not tell."""
    provenance: Provenance
    speaker: str | None
    """The folder of the recording, where its source has several."""


@dataclass(frozen=True)
class RenderedSection:
    """One source in one condition."""

    label: str
    truth: Literal["wake", "none"]
    files: tuple[RenderedFile, ...]
    licence: str


def render(
    corpus: CorpusDescription, full_scale_spl: float, folder: Path, progress: Callable[[str], None] = lambda _: None
) -> tuple[RenderedSection, ...]:
    """Render all that the conditions ask for into a folder. `full_scale_spl`: dB SPL at the board for an rms of 1.0.

    Raises `ConfigError` for a recording that cannot be read or that would clip at its level, with what to do.
    """
    beds = _Beds(corpus)
    sections = []
    hours_left = corpus.hours
    for source in corpus.sources:
        for condition in (one for one in corpus.conditions if corpus.heard(source, one)):
            label = f"{source.label}, {condition.name}"
            progress(label)
            made: list[RenderedFile] = []
            paths = find_recordings([source.path])
            speakers_known = source.kind == "wake" and len({path.parent for path in paths}) > 1
            for path in paths:
                for repetition in range(source.repetitions):
                    if source.kind != "wake" and hours_left is not None and hours_left <= 0:
                        break
                    target, seconds = _render_one(source, condition, path, repetition, beds, full_scale_spl, folder)
                    speaker = path.parent.name if speakers_known else None
                    made.append(
                        RenderedFile(
                            target,
                            _word_end(source, condition, path),
                            provenance_of([path], source.provenance),
                            speaker,
                        )
                    )
                    if source.kind != "wake" and hours_left is not None:
                        hours_left -= seconds / 3600
            if made:
                sections.append(
                    RenderedSection(label, "wake" if source.kind == "wake" else "none", tuple(made), source.licence)
                )
    return tuple(sections)


def _render_one(
    source: Source,
    condition: PlaybackCondition,
    path: Path,
    repetition: int,
    beds: _Beds,
    full_scale_spl: float,
    folder: Path,
) -> tuple[Path, float]:
    noise, offset, bed_hash = beds.choose(condition, path, repetition)
    made_of = [
        VERSION,
        hash_file(path),
        source.kind,
        condition.model_dump(mode="json"),
        full_scale_spl,
        bed_hash,
        offset,
    ]
    target = (
        folder
        / source.label
        / condition.name
        / f"{path.stem}-{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:12]}.wav"
    )
    if target.is_file():
        return target, soundfile.info(target).duration
    samples = _read(path)
    voice = source.kind == "wake"
    spl = condition.voice_spl if voice else condition.background_spl
    assert spl is not None
    sound = samples * np.float32(10 ** ((spl - full_scale_spl - _level(samples, condition, path, voice=voice)) / 20))
    if noise is not None:
        assert condition.snr_db is not None
        wanted = spl - condition.snr_db - full_scale_spl
        sound = _over(sound, noise, offset, wanted - _level(noise, condition, path, voice=False))
    peak = float(np.abs(sound).max(initial=0))
    if peak > 1:
        what = (
            f"its peak{' with the noise' if noise is not None else ''} is {20 * np.log10(peak):.1f} dB beyond full"
            " scale"
        )
        raise ConfigError(f"{path}: at {spl:g} dB SPL {what}; raise the amplifier and calibrate, or lower the level")
    with partial_file(target) as temporary:
        soundfile.write(
            temporary,
            np.clip(np.rint(sound * 32768), -LARGEST - 1, LARGEST).astype(np.int16),
            SAMPLE_RATE_HZ,
            "PCM_16",
            format="WAV",
        )
    return target, len(sound) / SAMPLE_RATE_HZ


def _word_end(source: Source, condition: PlaybackCondition, path: Path) -> int | None:
    """Where the word ends in the rendered file: known from the recording before noise is laid under it."""
    if source.kind != "wake":
        return None
    end = known_utterance_end(read_samples(path))
    before = 0 if condition.snr_db is None else round(BED_SECONDS * SAMPLE_RATE_HZ)
    return None if end is None else before + end


class _Beds:
    """The noise recordings, read once, and which stretch of which one lies below a recording: drawn by the seed and the
    names alone.
    """

    def __init__(self, corpus: CorpusDescription) -> None:
        self._seed = corpus.seed
        needed = any(condition.snr_db is not None for condition in corpus.conditions)
        self._paths: Sequence[Path] = find_recordings([bed.path for bed in corpus.noise]) if needed else []
        self._kept: dict[Path, tuple[NDArray[np.float32], str]] = {}

    def choose(
        self, condition: PlaybackCondition, path: Path, repetition: int
    ) -> tuple[NDArray[np.float32] | None, int, str]:
        """Noise, first sample and hash of its file; no noise where the condition has none."""
        if condition.snr_db is None:
            return None, 0, ""
        digest = hashlib.sha256(f"{self._seed}:{condition.name}:{path.name}:{repetition}".encode()).digest()
        chosen = self._paths[int.from_bytes(digest[:4], "big") % len(self._paths)]
        if chosen not in self._kept:
            self._kept[chosen] = _read(chosen), hash_file(chosen)
        noise, hashed = self._kept[chosen]
        return noise, int.from_bytes(digest[4:12], "big") % len(noise), hashed


def _read(path: Path) -> NDArray[np.float32]:
    """Samples of full scale 1."""
    samples: NDArray[np.float32] = (read_samples(path) / np.float64(32768)).astype(np.float32)
    return samples


def _over(voice: NDArray[np.float32], noise: NDArray[np.float32], offset: int, gain_db: float) -> NDArray[np.float32]:
    """Voice over noise that begins before it, ends after it, and begins anew where its recording ends."""
    margin = round(BED_SECONDS * SAMPLE_RATE_HZ)
    length = len(voice) + 2 * margin
    bed = noise[(offset + np.arange(length)) % len(noise)] * np.float32(10 ** (gain_db / 20))
    fade = round(BED_FADE_SECONDS * SAMPLE_RATE_HZ)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    bed[:fade] *= ramp
    bed[-fade:] *= ramp[::-1]
    bed[margin : margin + len(voice)] += voice
    return bed


def _level(samples: NDArray[np.float32], condition: PlaybackCondition, path: Path, *, voice: bool) -> float:
    """dBFS with the condition's weighting: active speech level of a voice, equivalent level of everything else."""
    from bench_audio.calibration.levels import equivalent_level, weighted
    from bench_audio.calibration.speech_level import active_speech_level

    if not np.any(samples):
        raise ConfigError(f"{path}: is silent and can have no level; remove it")
    if voice:
        return active_speech_level(weighted(samples, SAMPLE_RATE_HZ, condition.weighting), SAMPLE_RATE_HZ).active_dbfs
    return equivalent_level(samples, SAMPLE_RATE_HZ, condition.weighting)
