"""Training features: recordings as the device hears them, through its own frontend, as int8 slices.

Conventions: features are int8 `[slices, 40]`, a slice every 10 ms; slice i has heard the samples up to `160 * i + 480`
of its stream. Every stream begins with a fresh frontend. What is drawn at random for a clip comes from the seed and the
clip's own name, so that neither the order of clips, nor the number of processes, nor a clip added elsewhere changes it.

A device never hears a word out of nothing, so each clip stands in a context: digital zeros in some (as in evaluations),
low noise under the whole clip in the others (as in rooms). False accepts of models trained on lone clips sit at the
onset of speech after silence; hence negatives are also joined, with gaps, into long streams through one running
frontend.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trainer.data.ingest import SampleRecord
from trainer.data.parallel import Progress, map_in_processes
from trainer.data.words import word_place
from wakeword import contract
from wakeword.audio import read_samples, stream_samples
from wakeword.frontend import device_features, open_recording_frontend

Features = NDArray[np.int8]

_MAX_LOW_PASS = 0.97
"""Pole of the noise's low-pass filter: 0 is white noise, this is a deep hum."""


@dataclass(frozen=True)
class FeatureSettings:
    """How clips are set into context. Times in seconds, levels in dB below full scale (RMS)."""

    lead_s: float = 1.5
    positive_tail_s: float = 3.25
    """Of which the recording's own sound after the word is the first `kept_tail_s`, where it has any: a truer tail than
    any that could be made."""
    kept_tail_s: float = 0.25
    negative_tail_s: float = 0.75
    gap_s: float = 0.5
    stream_s: float = 300.0
    """A joined stream is closed once it is this long; a longer recording is a stream of its own."""
    zeros_share: float = 0.4
    """Share of clips and streams in digital silence; the others get low noise."""
    noise_dbfs: tuple[float, float] = (-80.0, -50.0)
    alone_share: float = 0.25
    """Share of the negative clips that are also given alone."""
    max_alone_s: float = 10.0


@dataclass(frozen=True)
class PositiveFeatures:
    """One utterance in its context. Slice `word_end` is the first that has heard all of the word; three seconds and a
    quarter follow.
    """

    features: Features
    word_end: int


@dataclass(frozen=True)
class NegativeFeatures:
    """Negatives as lone clips after a lead-in, and all of them as joined streams."""

    alone: list[Features]
    joined: list[Features]


def positive_features(
    records: Sequence[SampleRecord],
    *,
    seed: int = 0,
    settings: FeatureSettings | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> list[PositiveFeatures]:
    """Lead-in, clip and tail of each utterance, in the order of `records`.

    Raises `ConfigError` for an unreadable file.
    """
    return list(
        map_in_processes(partial(_positive, settings or FeatureSettings(), seed), records, jobs=jobs, progress=progress)
    )


def negative_features(
    records: Sequence[SampleRecord],
    *,
    seed: int = 0,
    settings: FeatureSettings | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> NegativeFeatures:
    """Some negatives alone and all of them joined, in an order drawn from the seed. Raises `ConfigError` for an
    unreadable file.
    """
    chosen = settings or FeatureSettings()
    shuffled = _shuffled(records, seed)
    alone = [
        (record,)
        for record in shuffled
        if record.duration <= chosen.max_alone_s and _unit("alone", seed, record) < chosen.alone_share
    ]
    streams = list(_streams(shuffled, chosen))
    # Streams first: they take longest, and the short clips then fill the cores evenly.
    features = list(map_in_processes(partial(_stream, chosen, seed), [*streams, *alone], jobs=jobs, progress=progress))
    return NegativeFeatures(alone=features[len(streams) :], joined=features[: len(streams)])


def joined_recordings(
    records: Sequence[SampleRecord], *, seed: int = 0, settings: FeatureSettings | None = None
) -> list[tuple[SampleRecord, ...]]:
    """Which recordings each of the joined streams of `negative_features` holds, in order."""
    return list(_streams(_shuffled(records, seed), settings or FeatureSettings()))


def _shuffled(records: Sequence[SampleRecord], seed: int) -> list[SampleRecord]:
    return sorted(records, key=lambda record: (_key("order", seed, record), record.path))


def _positive(settings: FeatureSettings, seed: int, record: SampleRecord) -> PositiveFeatures:
    clip = read_samples(record.path)
    word_end = word_place(record.path, clip).end
    lead, tail = _samples(settings.lead_s), _samples(settings.positive_tail_s)
    stream = np.zeros(lead + word_end + tail, np.int16)
    kept = clip[: word_end + _samples(settings.kept_tail_s)]
    stream[lead : lead + len(kept)] = kept
    stream = _Context(settings, _generator("context", seed, record)).add_to(stream)
    return PositiveFeatures(device_features(stream), first_slice_after(lead + word_end))


def first_slice_after(samples: int) -> int:
    """The first slice whose window reaches to the end of so many samples of a stream."""
    return max(0, -(-(samples - contract.WINDOW_SAMPLES) // contract.STEP_SAMPLES))


def _streams(records: Sequence[SampleRecord], settings: FeatureSettings) -> Iterator[tuple[SampleRecord, ...]]:
    current: list[SampleRecord] = []
    seconds = 0.0
    for record in records:
        current.append(record)
        seconds += record.duration + settings.gap_s
        if seconds >= settings.stream_s:
            yield tuple(current)
            current, seconds = [], 0.0
    if current:
        yield tuple(current)


def _stream(settings: FeatureSettings, seed: int, records: tuple[SampleRecord, ...]) -> Features:
    """One running frontend over lead-in, recordings with gaps between them, and tail."""
    context = _Context(settings, _generator("context", seed, *records))
    frontend = open_recording_frontend()
    parts = [frontend.process(context.add_to(block)) for block in _joined_samples(settings, records)]
    return contract.quantise(np.concatenate(parts))


def _joined_samples(settings: FeatureSettings, records: Sequence[SampleRecord]) -> Iterator[NDArray[np.int16]]:
    silence = _samples(settings.lead_s)
    for record in records:
        yield np.zeros(silence, np.int16)
        yield from stream_samples(record.path)
        silence = _samples(settings.gap_s)
    yield np.zeros(_samples(settings.negative_tail_s), np.int16)


class _Context:
    """The background of one stream: digital silence, or low noise of some colour and level, running on from block to
    block.
    """

    def __init__(self, settings: FeatureSettings, generator: np.random.Generator) -> None:
        self._generator = generator
        self._silent = bool(generator.random() < settings.zeros_share)
        self._pole = float(generator.uniform(0, _MAX_LOW_PASS))
        level = 10 ** (float(generator.uniform(*settings.noise_dbfs)) / 20) * 32768
        self._gain = level * (1 - self._pole**2) ** 0.5
        """The filter's output then has the RMS that was drawn, whatever its colour."""
        self._state = np.zeros(1)

    def add_to(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """The next samples of the stream with the background under them, int16 `[n]`."""
        if self._silent or not len(samples):
            return samples
        from scipy.signal import lfilter

        white = self._generator.standard_normal(len(samples))
        noise, self._state = lfilter([self._gain], [1.0, -self._pole], white, zi=self._state)
        mixed: NDArray[np.int16] = np.clip(np.rint(samples + noise), -32768, 32767).astype(np.int16)
        return mixed


def _samples(seconds: float) -> int:
    return round(seconds * contract.SAMPLE_RATE_HZ)


def _key(purpose: str, seed: int, *records: SampleRecord) -> bytes:
    """A hash of what stays the same when the dataset's folder is moved or a clip is added."""
    names = "\n".join(f"{record.label}/{record.speaker}/{record.path.name}" for record in records)
    return hashlib.sha256(f"{purpose}:{seed}:{names}".encode()).digest()


def _unit(purpose: str, seed: int, *records: SampleRecord) -> float:
    return int.from_bytes(_key(purpose, seed, *records)[:8]) / 2**64


def _generator(purpose: str, seed: int, *records: SampleRecord) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(_key(purpose, seed, *records)[:16]))
