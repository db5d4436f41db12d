"""The streams behind a run: which probabilities, slices and files belong together, and what the cutoff sweep makes of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.results.schema import DetectionRecord, FileRecord, RunRecord, unpack_probabilities
from harness.results.wording import to_hours
from wakeword.contract import SAMPLE_RATE_HZ, STEP_SAMPLES, WINDOW_SAMPLES, slice_count, slice_end_seconds
from wakeword.detector import detect
from wakeword.errors import ConfigError
from wakeword.scoring.det import CUTOFFS, DetCurve, Stream, det_curve


@dataclass(frozen=True, eq=False)
class RunStream:
    """One stream since boot: a clip with its padding in `clips` mode, the whole run in `stream` mode."""

    run: RunRecord
    stream: Stream
    first_file: int
    """Index in the run's `files` of the stream's first file."""
    files: tuple[FileRecord, ...]
    detections: tuple[DetectionRecord, ...]

    def inference_seconds(self) -> NDArray[np.float64]:
        """Audio heard at each inference, in seconds of the stream: float64 `[inferences]`."""
        last_slices = np.arange(1, len(self.stream.probabilities) + 1, dtype=np.float64) * self.stream.stride - 1
        seconds: NDArray[np.float64] = (WINDOW_SAMPLES + last_slices * STEP_SAMPLES) / SAMPLE_RATE_HZ
        return seconds

    def file_at(self, seconds: float) -> int:
        """Index in the run's `files` of the file that was heard last at this moment of the stream."""
        last_heard = round(seconds * SAMPLE_RATE_HZ) - 1
        return self.first_file + max(bisect_right(self._starts, last_heard) - 1, 0)

    @cached_property
    def _starts(self) -> list[int]:
        """First sample of each file in the stream."""
        return [round(file.stream_start * SAMPLE_RATE_HZ) for file in self.files]


def run_streams(run: RunRecord, stride: int) -> tuple[RunStream, ...]:
    """Cut a run into its streams.

    Raises `ConfigError` when the record contradicts itself: inferences without probabilities, detections outside the files.
    """
    probabilities = unpack_probabilities(run.probabilities)
    expected = len(run.files) if run.protocol.mode == "clips" else 1
    if len(run.inferences_per_file) != expected or sum(run.inferences_per_file) != len(probabilities) or min(run.inferences_per_file, default=0) < 0:
        raise ConfigError(f"result, run {run.label!r}: inferences and probabilities do not belong together; measure again")
    for detection in run.detections:
        if not 0 <= detection.file_index < len(run.files):
            raise ConfigError(f"result, run {run.label!r}: a detection names file {detection.file_index} of {len(run.files)}; measure again")
    if run.protocol.mode == "stream":
        return (_stream(run, probabilities, stride, 0, run.files, run.detections),)
    streams: list[RunStream] = []
    offset = 0
    by_file: dict[int, list[DetectionRecord]] = {}
    for detection in run.detections:
        by_file.setdefault(detection.file_index, []).append(detection)
    for index, (file, inferences) in enumerate(zip(run.files, run.inferences_per_file, strict=True)):
        streams.append(_stream(run, probabilities[offset : offset + inferences], stride, index, (file,), tuple(by_file.get(index, ()))))
        offset += inferences
    return tuple(streams)


def sweep_cutoffs(streams: Sequence[RunStream], window: int) -> DetCurve:
    """Utterances detected and false accepts at every cutoff over all streams of a result, with one sliding window."""
    clips = [stream.stream for stream in streams if stream.run.protocol.truth == "wake" and stream.run.protocol.mode == "clips"]
    negatives = [stream.stream for stream in streams if stream.run.protocol.truth == "none"]
    hours = to_hours(sum(file.seconds for stream in streams if stream.run.protocol.truth == "none" for file in stream.files))
    curve = det_curve(clips, negatives, window, hours)
    detected, utterances = curve.detected.copy(), curve.utterances
    for stream in streams:
        if stream.run.protocol.truth == "wake" and stream.run.protocol.mode == "stream":
            detected += np.array([_utterances_hit(stream, cutoff, window) for cutoff in CUTOFFS])
            utterances += len(stream.files)
    return DetCurve(curve.cutoffs, detected, curve.false_accepts, utterances, hours)


def _utterances_hit(stream: RunStream, cutoff: int, window: int) -> int:
    detections = detect(stream.stream.probabilities, stream.stream.stride, stream.stream.slices, cutoff, window)
    return len({stream.file_at(slice_end_seconds(detection.slice_index)) for detection in detections})


def _stream(
    run: RunRecord,
    probabilities: NDArray[np.uint8],
    stride: int,
    first_file: int,
    files: tuple[FileRecord, ...],
    detections: Sequence[DetectionRecord],
) -> RunStream:
    slices = _slices(run, files, len(probabilities), stride)
    return RunStream(run, Stream(probabilities, stride, slices), first_file, files, tuple(detections))


def _slices(run: RunRecord, files: tuple[FileRecord, ...], inferences: int, stride: int) -> int:
    """Slices of the stream. A result keeps inferences; the slices after the last one follow from the recordings' lengths."""
    if files:
        end = files[-1].stream_start + files[-1].seconds
        slices = slice_count(round((end + run.protocol.tail_seconds) * SAMPLE_RATE_HZ))
        if slices // stride == inferences:
            return slices
    return inferences * stride
