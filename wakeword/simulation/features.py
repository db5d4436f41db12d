"""The features of a stream, from the cache or computed in one pass of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword.audio import BLOCK_SAMPLES, stream_samples
from wakeword.contract import SAMPLE_RATE_HZ, quantise
from wakeword.corpus.feature_cache import CachedStream, FeatureCache, stream_key
from wakeword.frontend import Frontend
from wakeword.read_ahead import read_ahead
from wakeword.simulation.presentation import Presentation

Progress = Callable[[float], None]
"""Called with the seconds of recorded audio that were finished since the last call."""


def stream_features(cache: FeatureCache, paths: Sequence[Path], hashes: Sequence[str], presentation: Presentation, progress: Progress) -> CachedStream:
    """Features of the given recordings as one stream, computed if the cache does not hold them.

    Raises `ConfigError` for a recording that cannot be read and `OSError` when the cache's disk is full.
    """
    key = stream_key(hashes, presentation.lead_in, presentation.gap, presentation.tail)
    silent = presentation.lead_in + presentation.gap * (len(paths) - 1) + presentation.tail
    found = cache.find(key, len(paths), silent)
    if found is not None:
        progress(sum(found.samples) / SAMPLE_RATE_HZ)
        return found
    frontend = Frontend()
    # Clips run in processes of their own on all cores; a thread would only get in their way.
    ahead = nullcontext(_blocks(paths)) if presentation.mode == "clips" else read_ahead(_blocks(paths))
    with cache.write(key) as writer, ahead as blocks:

        def silence(samples: int) -> None:
            for start in range(0, samples, BLOCK_SAMPLES):
                writer.add_slices(quantise(frontend.process(np.zeros(min(BLOCK_SAMPLES, samples - start), np.int16))))

        silence(presentation.lead_in)
        samples, recording = 0, 0
        for index, block in blocks:
            if index != recording:
                writer.end_recording(samples)
                silence(presentation.gap)
                samples, recording = 0, index
            writer.add_slices(quantise(frontend.process(block)))
            samples += len(block)
            progress(len(block) / SAMPLE_RATE_HZ)
        writer.end_recording(samples)
        silence(presentation.tail)
    return writer.stream


def _blocks(paths: Sequence[Path]) -> Iterator[tuple[int, NDArray[np.int16]]]:
    for index, path in enumerate(paths):
        for block in stream_samples(path):
            yield index, block
