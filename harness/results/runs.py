"""The streams behind a run: which probabilities, slices and files belong together, and what the cutoff sweep makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.results.schema import DetectionRecord, FileRecord, RunRecord, VoidRecord, unpack_probabilities
from harness.results.wording import to_hours
from wakeword.contract import SAMPLE_RATE_HZ, STEP_SAMPLES, WINDOW_SAMPLES, slice_count, slice_end_seconds
from wakeword.detector import detect
from wakeword.errors import ConfigError
from wakeword.scoring.det import CUTOFFS, DetCurve, Stream, det_curve
from wakeword.scoring.matching import TOLERANCE_SECONDS, Span, merge_spans, overlap_seconds


@dataclass(frozen=True, eq=False)
class RunStream:
    """One stream since boot: a clip with its padding in `clips` mode, the whole run in `stream` mode."""

    run: RunRecord
    stream: Stream
    first_file: int
    """Index in the run's `files` of the stream's first file."""
    files: tuple[FileRecord, ...]
    detections: tuple[DetectionRecord, ...]
    voids: tuple[Span, ...] = ()

    @property
    def has_trace(self) -> bool:
        """False where the board did not tell its probabilities."""
        return len(self.stream.probabilities) > 0

    def inference_seconds(self) -> NDArray[np.float64]:
        """Audio heard at each inference, in seconds of the stream: float64 `[inferences]`."""
        last_slices = np.arange(1, len(self.stream.probabilities) + 1, dtype=np.float64) * self.stream.stride - 1
        seconds: NDArray[np.float64] = (WINDOW_SAMPLES + last_slices * STEP_SAMPLES) / SAMPLE_RATE_HZ
        return seconds


def run_streams(run: RunRecord, stride: int) -> tuple[RunStream, ...]:
    """Cut a run into its streams.

    A run without any probability, as a real board gives it, has streams without a trace.
    Raises `ConfigError` when the record contradicts itself: inferences without probabilities, detections outside the files.
    """
    probabilities = unpack_probabilities(run.probabilities)
    expected = len(run.files) if run.protocol.mode == "clips" else 1
    inferences = run.inferences_per_file or (0,) * expected
    if len(inferences) != expected or sum(inferences) != len(probabilities) or min(inferences, default=0) < 0:
        raise ConfigError(f"result, run {run.label!r}: inferences and probabilities do not belong together; measure again")
    for detection in run.detections:
        if not 0 <= detection.file_index < len(run.files):
            raise ConfigError(f"result, run {run.label!r}: a detection names file {detection.file_index} of {len(run.files)}; measure again")
    if run.protocol.mode == "stream":
        return (_stream(run, probabilities, stride, 0, run.files, run.detections, run.voids),)
    streams: list[RunStream] = []
    offset = 0
    by_file: dict[int, list[DetectionRecord]] = {}
    for detection in run.detections:
        by_file.setdefault(detection.file_index, []).append(detection)
    for index, (file, count) in enumerate(zip(run.files, inferences, strict=True)):
        voids = [void for void in run.voids if void.file_index == index]
        streams.append(_stream(run, probabilities[offset : offset + count], stride, index, (file,), by_file.get(index, ()), voids))
        offset += count
    return tuple(streams)


def sweep_cutoffs(streams: Sequence[RunStream], window: int) -> DetCurve:
    """Utterances detected and false accepts at every cutoff over all streams of a result, with one sliding window. Void time is in neither."""
    clips: list[Stream] = []
    negatives: list[Stream] = []
    others: list[RunStream] = []
    for stream in streams:
        if stream.voids or (stream.run.protocol.truth == "wake" and stream.run.protocol.mode == "stream"):
            others.append(stream)
        else:
            (clips if stream.run.protocol.truth == "wake" else negatives).append(stream.stream)
    hours = to_hours(sum(_scored_seconds(stream) for stream in streams if stream.run.protocol.truth == "none"))
    curve = det_curve(clips, negatives, window, hours)
    detected, false_accepts, utterances = curve.detected.copy(), curve.false_accepts.copy(), curve.utterances
    for stream in others:
        counter = _Counter(stream, window)
        counts = np.array([counter.at(cutoff) for cutoff in CUTOFFS])
        if stream.run.protocol.truth == "wake":
            detected += counts
            utterances += len(counter.windows)
        else:
            false_accepts += counts
    return DetCurve(curve.cutoffs, detected, false_accepts, utterances, hours)


class _Counter:
    """Counts of one stream at any cutoff, by the matcher's rules: utterances found, or detections where there is no wake word.

    The recordings of a stream follow one another, so their windows begin and end in order and one pass finds what the matcher finds.
    """

    def __init__(self, stream: RunStream, window: int) -> None:
        self._stream = stream.stream
        self._wake = stream.run.protocol.truth == "wake"
        self._window = window
        self._voids = stream.voids
        windows = [Span(file.stream_start, file.stream_start + file.seconds + TOLERANCE_SECONDS) for file in stream.files]
        self.windows = [one for one in windows if not any(one.start <= void.end and void.start <= one.end for void in stream.voids)]

    def at(self, cutoff: int) -> int:
        found = detect(self._stream.probabilities, self._stream.stride, self._stream.slices, cutoff, self._window)
        moments = [slice_end_seconds(detection.slice_index) for detection in found]
        moments = [moment for moment in moments if not any(void.start <= moment <= void.end for void in self._voids)]
        return self._utterances(moments) if self._wake else len(moments)

    def _utterances(self, moments: Sequence[float]) -> int:
        count = position = 0
        for moment in moments:
            while position < len(self.windows) and self.windows[position].end < moment:
                position += 1
            if position < len(self.windows) and self.windows[position].start <= moment:
                count += 1
                position += 1
        return count


def _scored_seconds(stream: RunStream) -> float:
    recorded = [Span(file.stream_start, file.stream_start + file.seconds) for file in stream.files]
    last = max((span.end for span in recorded), default=0.0)
    return sum(file.seconds for file in stream.files) - overlap_seconds(recorded, merge_spans(stream.voids, last))


def _stream(
    run: RunRecord,
    probabilities: NDArray[np.uint8],
    stride: int,
    first_file: int,
    files: tuple[FileRecord, ...],
    detections: Sequence[DetectionRecord],
    voids: Sequence[VoidRecord],
) -> RunStream:
    slices = _slices(run, files, len(probabilities), stride)
    spans = tuple(Span(void.start, void.end) for void in voids)
    return RunStream(run, Stream(probabilities, stride, slices), first_file, files, tuple(detections), spans)


def _slices(run: RunRecord, files: tuple[FileRecord, ...], inferences: int, stride: int) -> int:
    """Slices of the stream. A result keeps inferences; the slices after the last one follow from the recordings' lengths."""
    if files:
        end = files[-1].stream_start + files[-1].seconds
        slices = slice_count(round((end + run.protocol.tail_seconds) * SAMPLE_RATE_HZ))
        if slices // stride == inferences:
            return slices
    return inferences * stride
