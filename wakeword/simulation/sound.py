"""The sound that a simulated board hears in a stream, and stretches of it: what its features were computed from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword.audio import BLOCK_SAMPLES, stream_samples
from wakeword.errors import ConfigError
from wakeword.noise_floor import microphone
from wakeword.presentation import Presentation
from wakeword.simulation.streams import Recording
from wakeword.stored_features import is_stored


@dataclass(frozen=True)
class _Segment:
    """A recording, or silence, at its place in a stream (samples)."""

    start: int
    stop: int
    names: tuple[str, ...]
    """Of the microphone's noise in it."""
    recording: Recording | None = None

    def blocks(self) -> Iterable[NDArray[np.int16]]:
        """Its sound without that noise."""
        if self.recording is not None:
            return stream_samples(self.recording.path)
        lengths = (min(BLOCK_SAMPLES, self.stop - first) for first in range(self.start, self.stop, BLOCK_SAMPLES))
        return (np.zeros(length, np.int16) for length in lengths)


def stream_excerpts(
    recordings: Sequence[Recording], presentation: Presentation, spans: Sequence[tuple[int, int]]
) -> Iterator[NDArray[np.int16]]:
    """The sound of spans of one stream, with its silence and its microphone's noise, int16 each.

    Spans are samples `(start, stop)` of the stream from 0 on, none is empty, and both rise; they may overlap. Behind
    the stream's end its last silence goes on. Recordings that no span touches are not read.

    Raises `ConfigError` for one that cannot be read, and for a folder of features, which has no sound.
    """
    waiting = deque(spans)
    open_spans: deque[tuple[int, NDArray[np.int16]]] = deque()
    last = max((stop for _, stop in spans), default=0)
    for segment in _segments(recordings, presentation, last):
        if not open_spans and (not waiting or waiting[0][0] >= segment.stop):
            continue
        hear, position = microphone(presentation.noise_floor_dbfs, *segment.names), segment.start
        for block in segment.blocks():
            heard = hear(block)
            while waiting and waiting[0][0] < position + len(heard):
                start, stop = waiting.popleft()
                open_spans.append((start, np.zeros(stop - start, np.int16)))
            for start, sound in open_spans:
                first, end = max(start, position), min(start + len(sound), position + len(heard))
                if first < end:
                    sound[first - start : end - start] = heard[first - position : end - position]
            position += len(heard)
            while open_spans and open_spans[0][0] + len(open_spans[0][1]) <= position:
                yield open_spans.popleft()[1]
            if not open_spans and (not waiting or waiting[0][0] >= segment.stop):
                break
    assert not open_spans
    assert not waiting


def _segments(recordings: Sequence[Recording], presentation: Presentation, last: int) -> Iterator[_Segment]:
    """A stream in order, its last silence long enough to hold the sample before `last`. The names are those of
    `simulation.features`, so the noise is the same.
    """
    if presentation.lead_in:
        yield _Segment(0, presentation.lead_in, ("before", recordings[0].sha256))
    for recording, following in zip(recordings, [*recordings[1:], None], strict=True):
        if is_stored(recording.path):
            raise ConfigError(
                f"{recording.path}: holds features, and a judge hears sound; give recordings, or leave the judge out"
            )
        end = recording.start + recording.samples
        yield _Segment(recording.start, end, ("recording", recording.sha256), recording)
        silent_until = max(end + presentation.tail, last) if following is None else following.start
        yield _Segment(end, silent_until, ("after", recording.sha256))
