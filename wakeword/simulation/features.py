"""The features of a stream, from the cache or computed in one pass of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakeword.audio import BLOCK_SAMPLES, read_samples, stream_samples
from wakeword.contract import SAMPLE_RATE_HZ, STEP_MS, STEP_SAMPLES, WINDOW_SAMPLES, quantise
from wakeword.corpus.feature_cache import CachedStream, FeatureCache, StreamWriter, stream_key
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.frontend import AnyFrontend, open_recording_frontend
from wakeword.noise_floor import microphone, noise_key
from wakeword.presentation import Presentation
from wakeword.read_ahead import read_ahead
from wakeword.simulation.streams import PresentedStream
from wakeword.stored_features import is_stored, stored_clips

_LATE_SLICES = WINDOW_SAMPLES // STEP_SAMPLES - 1

_SAMPLES_AT_ONCE = 16 * BLOCK_SAMPLES
"""A minute: what the frontend is given at once."""

Progress = Callable[[float], None]
"""Called with the seconds of recorded audio that were finished since the last call."""


@dataclass(frozen=True)
class Change:
    """What a whole stream goes through before it is heard, such as a room: int16 `[n]` to int16 `[n]`. `key` names it:
    the same key gives the same samples.

    Recordings begin at the given samples of the stream.
    """

    key: str
    apply: Callable[[NDArray[np.int16], Sequence[int]], NDArray[np.int16]]


def present_changed(
    cache: FeatureCache, paths: Sequence[Path], presentation: Presentation, change: Change
) -> PresentedStream:
    """As `present`, with the whole stream changed first; it is held in memory. Raises as `present` does."""
    assert presentation.noise_floor_dbfs is None, "a change brings its own noise"
    hashes = [hash_file(path) for path in paths]
    key = stream_key([change.key, *hashes], presentation.lead_in, presentation.gap, presentation.tail)
    features = cache.find(key, len(paths), presentation.silence(len(paths)))
    if features is None:
        recordings = [read_samples(path) for path in paths]
        starts = presentation.starts([len(samples) for samples in recordings])
        stream = np.zeros(starts[-1] + len(recordings[-1]) + presentation.tail, np.int16)
        for start, samples in zip(starts, recordings, strict=True):
            stream[start : start + len(samples)] = samples
        frontend, stream = open_recording_frontend(), change.apply(stream, starts)
        with cache.write(key) as writer:
            for first in range(0, len(stream), _SAMPLES_AT_ONCE):
                writer.add_slices(quantise(frontend.process(stream[first : first + _SAMPLES_AT_ONCE])))
            for samples in recordings:
                writer.end_recording(len(samples))
        features = writer.stream
    return PresentedStream.of(paths, hashes, presentation, features)


class _Ear:
    """What the device hears, block by block, to the slices of a stream; the frontend is given many blocks at once."""

    def __init__(self, writer: StreamWriter, frontend: AnyFrontend) -> None:
        self._writer, self._frontend = writer, frontend
        self._heard: list[NDArray[np.int16]] = []
        self._samples = 0

    def hear(self, block: NDArray[np.int16]) -> None:
        self._heard.append(block)
        self._samples += len(block)
        if self._samples >= _SAMPLES_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """All that was heard becomes slices now: the stream ends, or slices follow that are there already."""
        heard = np.concatenate([np.zeros(0, np.int16), *self._heard])
        self._heard, self._samples = [], 0
        self._writer.add_slices(quantise(self._frontend.process(heard)))


def present(
    cache: FeatureCache,
    paths: Sequence[Path],
    presentation: Presentation,
    progress: Progress,
    step_ms: int = STEP_MS,
    threads: int = 1,
) -> PresentedStream:
    """The given recordings as one stream, with a feature slice every `step_ms`; its features are computed if the cache
    does not hold them.

    Args:
        cache: Where features are kept.
        paths: Recordings, in their order.
        presentation: Their layout in time.
        progress: Called with the seconds of recordings that were finished since its last call.
        step_ms: From slice to slice.
        threads: How many compute.

    Returns the stream. Raises `ConfigError` for a recording that cannot be read and `OSError` when the cache's disk is
    full.
    """
    hashes = [hash_file(path) for path in paths]
    frontend = open_recording_frontend(step_ms, threads)
    features = _features(cache, paths, hashes, presentation, progress, step_ms, frontend)
    return PresentedStream.of(paths, hashes, presentation, features)


def _features(
    cache: FeatureCache,
    paths: Sequence[Path],
    hashes: Sequence[str],
    presentation: Presentation,
    progress: Progress,
    step_ms: int,
    frontend: AnyFrontend,
) -> CachedStream:
    if step_ms != STEP_MS and (stored := next(filter(is_stored, paths), None)) is not None:
        raise ConfigError(
            f"{stored}: holds features of every {STEP_MS} ms, and this model takes one every {step_ms} ms; give"
            " recordings"
        )
    dbfs = presentation.noise_floor_dbfs
    if dbfs is not None and (stored := next(filter(is_stored, paths), None)) is not None:
        raise ConfigError(f"{stored}: holds features, and noise can be added to sound alone; give recordings")
    key = stream_key(
        [*noise_key(dbfs), *hashes], presentation.lead_in, presentation.gap, presentation.tail, step_ms=step_ms
    )
    found = cache.find(key, len(paths), presentation.silence(len(paths)), step_ms)
    if found is not None:
        progress(sum(found.samples) / SAMPLE_RATE_HZ)
        return found
    # Clips run in processes of their own on all cores; a thread would only get in their way.
    ahead = nullcontext(_blocks(paths)) if presentation.mode == "clips" else read_ahead(_blocks(paths))
    with cache.write(key, step_ms) as writer, ahead as blocks:
        ear = _Ear(writer, frontend)

        def silence(samples: int, *names: str) -> None:
            hear = microphone(dbfs, *names)
            for start in range(0, samples, BLOCK_SAMPLES):
                zeros = np.zeros(min(BLOCK_SAMPLES, samples - start), np.int16)
                ear.hear(hear(zeros))

        silence(presentation.lead_in, "before", hashes[0])
        samples, recording, hear = 0, 0, microphone(dbfs, "recording", hashes[0])
        # A stream's first slice has heard 30 ms, a later one 10 ms more than the one before: features that begin a
        # stream lose their first two slices, and the frontend gets as many samples of silence, so that slices and
        # samples agree whatever follows.
        late = 0 if presentation.lead_in or not is_stored(paths[0]) else _LATE_SLICES
        if late:
            frontend.process(np.zeros(late * STEP_SAMPLES, np.int16))
        for index, block in blocks:
            if index != recording:
                writer.end_recording(samples)
                silence(presentation.gap, "after", hashes[recording])
                samples, recording, hear = 0, index, microphone(dbfs, "recording", hashes[index])
            if block.ndim == 2:
                ear.finish()
                writer.add_slices(block[late:])
                late, length = max(0, late - len(block)), len(block) * STEP_SAMPLES
            else:
                ear.hear(hear(block))
                length = len(block)
            samples += length
            progress(length / SAMPLE_RATE_HZ)
        writer.end_recording(samples)
        silence(presentation.tail, "after", hashes[recording])
        ear.finish()
    return writer.stream


def _blocks(paths: Sequence[Path]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Sound, int16 `[samples]`, or features where a path names a folder of them, int8 `[slices, 40]`."""
    for index, path in enumerate(paths):
        for block in stored_clips(path) if is_stored(path) else stream_samples(path):
            yield index, block
