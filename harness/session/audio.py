"""The sound of a leg, block by block: the very same samples for the board and for the simulation."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench_audio.markers import marker
from harness.session.schedule import PlannedLeg, PlannedRecording, PlannedSection
from wakeword.audio import BLOCK_SAMPLES, probe, stream_samples
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.provenance import Provenance, Stated, provenance_of
from wakeword.corpus.recordings import find_recordings, hash_file, list_notes
from wakeword.errors import ConfigError


def leg_audio(
    leg: PlannedLeg, start: int = 0, stop: int | None = None, block_samples: int = BLOCK_SAMPLES
) -> Iterator[NDArray[np.int16]]:
    """Samples `start` to `stop` (default: the end) of a leg, as int16 blocks of at most `block_samples`, in bounded
    memory.

    Raises `ConfigError` when a recording cannot be read or is not as long as it was planned.
    """
    stop = leg.samples if stop is None else stop
    position = 0
    for block in _whole(leg):
        inside = block[max(start - position, 0) : max(stop - position, 0)]
        position += len(block)
        for begin in range(0, len(inside), block_samples):
            yield inside[begin : begin + block_samples]
        if position >= stop:
            return


def _whole(leg: PlannedLeg) -> Iterator[NDArray[np.int16]]:
    for section in leg.sections:
        position = section.start
        for start, item in sorted(
            [*((one.start, one) for one in section.items), *((one, None) for one in section.markers)], key=itemgetter(0)
        ):
            yield from _silence(start - position)
            yield from [marker()] if item is None else _recording(item.item.recording)
            position = start + len(marker()) if item is None else item.stop
        yield from _silence(section.stop - position)


def _silence(samples: int) -> Iterator[NDArray[np.int16]]:
    for start in range(0, samples, BLOCK_SAMPLES):
        yield np.zeros(min(BLOCK_SAMPLES, samples - start), np.int16)


def _recording(recording: PlannedRecording) -> Iterator[NDArray[np.int16]]:
    heard = 0
    for block in stream_samples(recording.path):
        heard += len(block)
        yield block
    if heard != recording.samples:
        raise ConfigError(
            f"{recording.path}: holds {heard} samples, but {recording.samples} when the session was planned; put the"
            " file back, or begin a new session"
        )


def plan_sections(wake: list[Path], none: list[Path], stated: Stated | None = None) -> tuple[PlannedSection, ...]:
    """A section for each file, folder or list: recordings found, hashed and counted. `stated` is what the user says of
    their origin.

    Raises `ConfigError` for a recording that is missing, cannot be read, or is not 16 kHz mono: what the board hears is
    part of the measurement.
    """
    sources = [(path, True) for path in wake] + [(path, False) for path in none]
    labels = _labels([path for path, _ in sources])
    return tuple(
        PlannedSection(
            label,
            "wake" if spoken else "none",
            tuple(plan_recording(path, provenance_of([path], stated)) for path in find_recordings([source])),
            list_notes([source]),
        )
        for label, (source, spoken) in zip(labels, sources, strict=True)
    )


def plan_recording(
    path: Path, provenance: Provenance, word_end: int | None = None, speaker: str | None = None
) -> PlannedRecording:
    """One recording by content, with what is known of it. Raises `ConfigError` as `plan_sections` does."""
    info = probe(path)
    if (info.sample_rate, info.channels) != (SAMPLE_RATE_HZ, 1):
        what = f"{info.sample_rate} Hz, {info.channels} channel{'s' if info.channels != 1 else ''}"
        raise ConfigError(f"{path}: {what}, but a board hears 16000 Hz mono; convert the recording")
    # Only libsndfile's headers state the length to the sample, where they state it.
    samples = (
        round(info.seconds * SAMPLE_RATE_HZ)
        if info.decoder == "libsndfile" and info.seconds
        else sum(len(block) for block in stream_samples(path))
    )
    return PlannedRecording(path.absolute(), hash_file(path), samples, provenance, word_end, speaker)


def _labels(sources: list[Path]) -> list[str]:
    """The last part of each path, with as many folders before it as it takes to tell them apart."""
    parts = [path.resolve().with_suffix("").parts if path.is_file() else path.resolve().parts for path in sources]
    labels = [own[-1] for own in parts]
    for depth in range(2, max(map(len, parts), default=0) + 1):
        if len(set(labels)) == len(labels):
            break
        labels = [
            label if labels.count(label) == 1 else "/".join(own[-depth:]).lstrip("/")
            for label, own in zip(labels, parts, strict=True)
        ]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ConfigError(f"{twice} is given twice; give each recording, folder or list once")
    return labels
