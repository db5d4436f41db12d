"""The streams behind a run: which probabilities, slices and files belong together, and what the cutoff sweep makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.results.schema import DetectionRecord, FileRecord, RunRecord, VoidRecord, unpack_probabilities
from wakeword.contract import SAMPLE_RATE_HZ, STEP_MS, WINDOW_SAMPLES, slice_count, step_samples
from wakeword.detector import first_decisive, sliding_averages
from wakeword.errors import ConfigError
from wakeword.scoring.det import DetCurve, Stream, det_curve
from wakeword.scoring.matching import Truth


@dataclass(frozen=True, eq=False)
class RunStream:
    """One stream since boot: a clip with its padding in `clips` mode, else the whole run."""

    run: RunRecord
    stream: Stream
    first_file: int
    """Index in the run's `files` of the stream's first file."""
    files: tuple[FileRecord, ...]
    detections: tuple[DetectionRecord, ...]
    voids: tuple[VoidRecord, ...] = ()

    @property
    def truth(self) -> Truth:
        """What is true of it."""
        return self.run.protocol.truth_of(self.files, self.voids)

    @property
    def has_trace(self) -> bool:
        """False where the board did not tell its probabilities."""
        return len(self.stream.probabilities) > 0

    def averages(self, window: int) -> NDArray[np.float64]:
        """The average that the device compares with the cutoff at each inference, 0-1: float64 `[inferences]`."""
        return sliding_averages(self.stream.probabilities, self.stream.stride, window, [detection.slice for detection in self.detections])

    def decisive(self, begin: float, end: float, window: int) -> NDArray[np.int64]:
        """Inferences between two moments that can take part in a detection of this sliding `window`; those of the first second after boot cannot."""
        seconds = self.inference_seconds()
        seconds[: first_decisive(self.stream.stride, window)] = -1.0
        return np.flatnonzero((seconds >= begin) & (seconds <= end))

    def inference_seconds(self) -> NDArray[np.float64]:
        """Audio heard at each inference, in seconds of the stream: float64 `[inferences]`."""
        last_slices = np.arange(1, len(self.stream.probabilities) + 1, dtype=np.float64) * self.stream.stride - 1
        seconds: NDArray[np.float64] = (WINDOW_SAMPLES + last_slices * step_samples(self.stream.step_ms)) / SAMPLE_RATE_HZ
        return seconds


def run_streams(run: RunRecord, stride: int, step_ms: int = STEP_MS) -> tuple[RunStream, ...]:
    """Cut a run into its streams; stride and step are the model's.

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
    if run.protocol.mode != "clips":
        return (_stream(run, probabilities, stride, step_ms, 0, run.files, run.detections, run.voids),)
    streams: list[RunStream] = []
    offset = 0
    by_file: dict[int, list[DetectionRecord]] = {}
    for detection in run.detections:
        by_file.setdefault(detection.file_index, []).append(detection)
    for index, (file, count) in enumerate(zip(run.files, inferences, strict=True)):
        voids = [void for void in run.voids if void.file_index == index]
        streams.append(_stream(run, probabilities[offset : offset + count], stride, step_ms, index, (file,), by_file.get(index, ()), voids))
        offset += count
    return tuple(streams)


def sweep_cutoffs(streams: Sequence[RunStream], window: int) -> DetCurve:
    """Utterances found and false accepts at every cutoff over all streams of a result, with one sliding window. Void time is in neither."""
    return det_curve(((one.stream, one.truth) for one in streams), window)


def _stream(
    run: RunRecord,
    probabilities: NDArray[np.uint8],
    stride: int,
    step_ms: int,
    first_file: int,
    files: tuple[FileRecord, ...],
    detections: Sequence[DetectionRecord],
    voids: Sequence[VoidRecord],
) -> RunStream:
    slices = _slices(run, files, len(probabilities), stride, step_ms)
    return RunStream(run, Stream(probabilities, stride, slices, step_ms), first_file, files, tuple(detections), tuple(voids))


def _slices(run: RunRecord, files: tuple[FileRecord, ...], inferences: int, stride: int, step_ms: int) -> int:
    """Slices of the stream. A result keeps inferences; the slices after the last one follow from the recordings' lengths."""
    if files:
        end = files[-1].stream_start + files[-1].seconds
        slices = slice_count(round((end + run.protocol.tail_seconds) * SAMPLE_RATE_HZ), step_ms)
        if slices // stride == inferences:
            return slices
    return inferences * stride
