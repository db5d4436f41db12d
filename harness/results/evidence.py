"""The evidence behind the figures: each miss and each false accept with its timeline and its sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.results import wording
from harness.results.clips import Clip, ClipReader
from harness.results.runs import RunStream
from harness.results.schema import DetectionRecord, FileRecord, ModelRecord
from harness.results.scores import found_utterances
from harness.results.timeline import Timeline, draw, sliding_averages

CONTEXT_SECONDS = 2.0
"""Shown and heard before and after a detection in a long recording."""
WHOLE_CLIP_SECONDS = 6.0
"""A recording up to this length is shown whole."""
TAIL_SHOWN_SECONDS = 1.0
"""Of the silence after a clip: the model answers late, often after the word's end."""
_PAST_DETECTION_SECONDS = 0.2
"""Shown past a detection that falls into silence, so that its mark does not stand on the edge."""


@dataclass(frozen=True)
class Exhibit:
    """One miss or one false accept."""

    path: str
    speaker: str | None
    run: str
    facts: tuple[str, ...]
    timeline: Timeline | None
    clip: Clip


@dataclass(frozen=True)
class Evidence:
    """Exhibits, at most as many as asked for, and how many there were."""

    exhibits: tuple[Exhibit, ...]
    total: int

    @property
    def left_out(self) -> int:
        """Exhibits that the limit left out."""
        return self.total - len(self.exhibits)


def misses(streams: Iterable[RunStream], model: ModelRecord, limit: int, reader: ClipReader) -> Evidence:
    """Utterances without a detection, the nearest misses first."""
    found: list[tuple[RunStream, int, FileRecord]] = []
    for stream in streams:
        if stream.run.protocol.truth == "wake":
            hit = {stream.first_file + index for index in found_utterances(stream.files, stream.detections)}
            found += [(stream, index, file) for index, file in enumerate(stream.files, stream.first_file) if index not in hit]
    found.sort(key=lambda miss: -miss[2].max_probability)
    averages = _Averages(model)
    return Evidence(tuple(_miss(stream, file, model, averages, reader) for stream, _, file in found[:limit]), len(found))


def false_accepts(streams: Iterable[RunStream], model: ModelRecord, limit: int, reader: ClipReader) -> Evidence:
    """Detections where there is no wake word, the most confident first."""
    found = [(stream, detection) for stream in streams if stream.run.protocol.truth == "none" for detection in stream.detections]
    found.sort(key=lambda accept: -accept[1].average)
    averages = _Averages(model)
    return Evidence(tuple(_false_accept(stream, detection, model, averages, reader) for stream, detection in found[:limit]), len(found))


class _Averages:
    """Sliding averages of whole streams, computed once for all exhibits of a long one."""

    def __init__(self, model: ModelRecord) -> None:
        self._model = model
        self._kept: tuple[RunStream, NDArray[np.float64]] | None = None

    def of(self, stream: RunStream) -> NDArray[np.float64]:
        if self._kept is None or self._kept[0] is not stream:
            self._kept = (stream, sliding_averages(stream.stream.probabilities, stream.stream.stride, self._model.window, stream.detections))
        return self._kept[1]


def _miss(stream: RunStream, file: FileRecord, model: ModelRecord, averages: _Averages, reader: ClipReader) -> Exhibit:
    begin, end = file.stream_start, file.stream_start + file.seconds
    if file.seconds > WHOLE_CLIP_SECONDS:
        begin, end = _around(_loudest_answer(stream, begin, end), begin, end)
    facts = [f"highest probability {wording.probability(file.max_probability)}", f"{file.seconds:.2f} s long"]
    return _exhibit(stream, file, facts, (begin, end), model, averages, reader)


def _false_accept(stream: RunStream, detection: DetectionRecord, model: ModelRecord, averages: _Averages, reader: ClipReader) -> Exhibit:
    file = stream.run.files[detection.file_index]
    facts = [f"average {wording.probability(detection.average)}", f"max {wording.probability(detection.max)}"]
    where = detection.seconds - file.stream_start
    if stream.run.protocol.mode == "stream":
        facts.append(f"at {wording.clock(detection.seconds)} of the stream, {wording.clock(where)} of the file")
        view = _around(detection.seconds, stream.files[0].stream_start, stream.files[-1].stream_start + stream.files[-1].seconds)
    else:
        facts.append(f"at {where:.2f} s")
        view = (file.stream_start, file.stream_start + file.seconds)
        if file.seconds > WHOLE_CLIP_SECONDS:
            view = _around(detection.seconds, *view)
    return _exhibit(stream, file, facts, view, model, averages, reader)


def _exhibit(
    stream: RunStream,
    file: FileRecord,
    facts: Sequence[str],
    view: tuple[float, float],
    model: ModelRecord,
    averages: _Averages,
    reader: ClipReader,
) -> Exhibit:
    """The timeline begins with the audio; it goes on into the silence after a clip, where the answer often falls."""
    begin, end = view
    shown_to = end
    if stream.run.protocol.mode == "clips" and end >= file.stream_start + file.seconds:
        last = max((detection.seconds + _PAST_DETECTION_SECONDS for detection in stream.detections), default=0.0)
        shown_to = end + min(stream.run.protocol.tail_seconds, max(TAIL_SHOWN_SECONDS, last - end))
    timeline = draw(stream, model, begin, shown_to, averages.of(stream)) if shown_to > begin else None
    return Exhibit(file.path, file.speaker, stream.run.label, tuple(facts), timeline, reader.read(stream.files, begin, end))


def _around(seconds: float, earliest: float, latest: float) -> tuple[float, float]:
    """The context of a moment, cut at the limits; a moment past them, in the silence that follows, is still inside."""
    end = min(seconds + CONTEXT_SECONDS, max(latest, seconds + _PAST_DETECTION_SECONDS))
    return max(seconds - CONTEXT_SECONDS, earliest), end


def _loudest_answer(stream: RunStream, begin: float, end: float) -> float:
    """The moment of the highest probability between two moments of the stream."""
    seconds = stream.inference_seconds()
    inside = np.flatnonzero((seconds >= begin) & (seconds <= end))
    if not len(inside):
        return begin
    return float(seconds[inside[int(np.argmax(stream.stream.probabilities[inside]))]])
