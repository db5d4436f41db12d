"""The streams of a run: which files, detections and void times belong together, what came of them, and the
probabilities behind them.

A stream is matched with its truth once, and everything that counts, lists or shows detections asks it: scores, figures,
evidence, agreement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.results.schema import DetectionRecord, FileRecord, Result, RunRecord, VoidRecord, unpack_probabilities
from wakeword.contract import SAMPLE_RATE_HZ, STEP_MS, WINDOW_SAMPLES, slice_count, step_samples
from wakeword.detector import first_decisive, sliding_averages
from wakeword.errors import ConfigError
from wakeword.scoring.det import DetCurve, Stream, det_curve
from wakeword.scoring.matching import Components, Truth


@dataclass(frozen=True, eq=False)
class RunPart:
    """One stream since boot: a clip with its padding in `clips` mode, else the whole run."""

    run: RunRecord
    first_file: int
    """Index in the run's `files` of the stream's first file."""
    files: tuple[FileRecord, ...]
    numbers: tuple[int, ...]
    """Indices in the run's `detections` of the stream's."""
    voids: tuple[VoidRecord, ...]

    @cached_property
    def detections(self) -> tuple[DetectionRecord, ...]:
        """Those of the stream."""
        return tuple(self.run.detections[number] for number in self.numbers)

    @cached_property
    def truth(self) -> Truth:
        """What is true of it."""
        return self.run.protocol.truth_of(self.files, self.voids)

    @cached_property
    def counts(self) -> Components:
        """Its detections matched with its truth. Indices are the stream's own."""
        return self.truth.outcome([detection.seconds for detection in self.detections])

    @property
    def found(self) -> dict[int, int]:
        """Index of the detection that found it, by the file index of the utterance; indices are the run's, as of the
        next two. Void ones are in none.
        """
        return {self.first_file + utterance: self.numbers[number] for utterance, number in sorted(self.counts.matches)}

    @property
    def missed(self) -> tuple[int, ...]:
        """File indices of utterances."""
        return tuple(self.first_file + utterance for utterance in self.counts.missed)

    @property
    def false(self) -> tuple[int, ...]:
        """Indices of detections that find no utterance."""
        return tuple(self.numbers[number] for number in self.counts.false)


@dataclass(frozen=True, eq=False)
class RunStream(RunPart):
    """A stream with its probabilities."""

    stream: Stream
    _averages: dict[int, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @property
    def has_trace(self) -> bool:
        """False where the board did not tell its probabilities."""
        return len(self.stream.probabilities) > 0

    def averages(self, window: int) -> NDArray[np.float64]:
        """The average that the device compares with the cutoff at each inference, 0-1: float64 `[inferences]`, computed
        once.
        """
        if window not in self._averages:
            resets = [detection.slice for detection in self.detections]
            self._averages[window] = sliding_averages(self.stream.probabilities, self.stream.stride, window, resets)
        return self._averages[window]

    def decisive(self, begin: float, end: float, window: int) -> NDArray[np.int64]:
        """Inferences between two moments that can take part in a detection of this sliding `window`; those of the first
        second after boot cannot.
        """
        seconds = self.inference_seconds()
        seconds[: first_decisive(self.stream.stride, window)] = -1.0
        return np.flatnonzero((seconds >= begin) & (seconds <= end))

    def inference_seconds(self) -> NDArray[np.float64]:
        """Audio heard at each inference, in seconds of the stream: float64 `[inferences]`."""
        last_slices = np.arange(1, len(self.stream.probabilities) + 1, dtype=np.float64) * self.stream.stride - 1
        seconds: NDArray[np.float64] = (
            WINDOW_SAMPLES + last_slices * step_samples(self.stream.step_ms)
        ) / SAMPLE_RATE_HZ
        return seconds


@dataclass(frozen=True, eq=False)
class ScoredRun[P: RunPart]:
    """A run with what came of each utterance and each detection."""

    run: RunRecord
    parts: tuple[P, ...]

    @cached_property
    def counts(self) -> Components:
        """Those of its streams, added."""
        return sum((part.counts for part in self.parts), Components())

    @cached_property
    def found(self) -> dict[int, int]:
        """Index of the detection that found it, by the file index of the utterance. Ascending; void ones are in
        neither.
        """
        return {file: number for part in self.parts for file, number in part.found.items()}

    @cached_property
    def missed(self) -> tuple[int, ...]:
        """File indices of utterances that no detection found. Ascending."""
        return tuple(file for part in self.parts for file in part.missed)

    @cached_property
    def false(self) -> tuple[int, ...]:
        """Indices of detections that find no utterance. Ascending."""
        return tuple(sorted(number for part in self.parts for number in part.false))

    @cached_property
    def live(self) -> frozenset[int]:
        """Indices of the detections that are not void."""
        return frozenset(self.found.values()) | frozenset(self.false)

    @property
    def tells_rate(self) -> bool:
        """Whether its false accepts and hours are part of the rate."""
        return self.run.protocol.tells_rate


def score_run(run: RunRecord) -> ScoredRun[RunPart]:
    """Match the streams of a run."""
    return ScoredRun(run, run_parts(run))


def with_voids_of(simulated: RunRecord, device: RunRecord) -> RunRecord:
    """The simulated run over the time that the device was measured in: with the device's voids for its own."""
    return simulated.model_copy(update={"voids": device.voids})


def simulated_runs(result: Result) -> tuple[RunRecord, ...]:
    """The simulation of a result over the same time as the result's own runs; empty where there is none."""
    return tuple(map(with_voids_of, result.simulation, result.runs))


def run_parts(run: RunRecord) -> tuple[RunPart, ...]:
    """Cut a run into its streams."""
    if run.protocol.mode != "clips":
        return (RunPart(run, 0, run.files, tuple(range(len(run.detections))), run.voids),)
    numbers: dict[int, list[int]] = {}
    for number, detection in enumerate(run.detections):
        numbers.setdefault(detection.file_index, []).append(number)
    voids: dict[int | None, list[VoidRecord]] = {}
    for void in run.voids:
        voids.setdefault(void.file_index, []).append(void)
    return tuple(
        RunPart(run, index, (file,), tuple(numbers.get(index, ())), tuple(voids.get(index, ())))
        for index, file in enumerate(run.files)
    )


def run_streams(run: RunRecord, stride: int, step_ms: int = STEP_MS) -> tuple[RunStream, ...]:
    """The streams of a run with their probabilities; stride and step are the model's.

    A run without any probability, as a real board gives it, has streams without a trace. Raises `ConfigError` when the
    record contradicts itself: inferences without probabilities, detections outside the files.
    """
    parts = run_parts(run)
    probabilities = unpack_probabilities(run.probabilities)
    inferences = run.inferences_per_file or (0,) * len(parts)
    if len(inferences) != len(parts) or sum(inferences) != len(probabilities) or min(inferences, default=0) < 0:
        raise ConfigError(
            f"result, run {run.label!r}: inferences and probabilities do not belong together; measure again"
        )
    for detection in run.detections:
        if not 0 <= detection.file_index < len(run.files):
            raise ConfigError(
                f"result, run {run.label!r}: a detection names file {detection.file_index} of {len(run.files)}; measure"
                " again"
            )
    streams: list[RunStream] = []
    offset = 0
    for part, count in zip(parts, inferences, strict=True):
        stream = Stream(probabilities[offset : offset + count], stride, _slices(part, count, stride, step_ms), step_ms)
        streams.append(RunStream(run, part.first_file, part.files, part.numbers, part.voids, stream))
        offset += count
    return tuple(streams)


def scored_runs(result: Result) -> tuple[list[ScoredRun[RunStream]], list[ScoredRun[RunStream]]]:
    """The runs of a result with their probabilities, and those of the simulation of the same audio, none where there is
    none. Raises as `run_streams` does.
    """
    model = result.model
    measured, simulation = (
        [ScoredRun(run, run_streams(run, model.stride, model.feature_step_ms)) for run in runs]
        for runs in (result.runs, simulated_runs(result))
    )
    return measured, simulation


def sweep_cutoffs(streams: Iterable[RunStream], window: int) -> DetCurve:
    """Utterances found and false accepts at every cutoff over all streams of a result, with one sliding window. Void
    time is in neither.
    """
    return det_curve(((one.stream, one.truth) for one in streams), window)


def _slices(part: RunPart, inferences: int, stride: int, step_ms: int) -> int:
    """Slices of the stream. A result keeps inferences; the slices after the last one follow from the recordings'
    lengths.
    """
    if part.files:
        slices = slice_count(
            round((part.files[-1].span.end + part.run.protocol.tail_seconds) * SAMPLE_RATE_HZ), step_ms
        )
        if slices // stride == inferences:
            return slices
    return inferences * stride
