"""The record of a measurement: `result.json`, versioned, raw events kept so that everything can be scored again.

A result holds one or more runs of one model: a run is one protocol over one set of audio. Rates are never stored
without the counts they come from; merging results adds runs and scores them again.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from harness.results.device_records import AgreementRecord as AgreementRecord
from harness.results.device_records import BoardRecord as BoardRecord
from harness.results.device_records import ClockRecord as ClockRecord
from harness.results.device_records import IntegrityRecord as IntegrityRecord
from harness.results.device_records import SessionRecord as SessionRecord
from harness.results.judge_records import JudgedRecord as JudgedRecord
from harness.results.judge_records import JudgeRecord as JudgeRecord
from wakeword.contract import MAX_WINDOW, PROBABILITY_MAX, STEP_MS
from wakeword.corpus.provenance import Provenance
from wakeword.engines.litert import engine_words
from wakeword.errors import ConfigError
from wakeword.noise_floor import HIGHEST_DBFS, LOWEST_DBFS, noise_words
from wakeword.presentation import Mode, Presentation
from wakeword.records import Record, read_record, write_record
from wakeword.scoring.matching import Span, Truth

SCHEMA_VERSION: Literal[1] = 1

Source = Literal["simulated", "virtual board", "on-device", "on-device, digital"]
"""Where the detections of a run come from. The words have a meaning and are never mixed. `on-device, digital`: a board
that was played samples instead of sound."""


class ModelRecord(Record):
    """The model that was measured, by content."""

    wake_word: str
    manifest_path: str
    manifest_sha256: str
    tflite_sha256: str
    tflite_bytes: int
    stride: int = Field(ge=1)
    feature_step_ms: int = Field(default=STEP_MS, ge=1)
    """From feature slice to slice, as the manifest has it; older results are all of 10 ms."""
    cutoff: float
    """The probability cutoff in use, 0-1 (the manifest's unless overridden)."""
    cutoff_uint8: int = Field(ge=0, le=PROBABILITY_MAX)
    window: int = Field(ge=1, le=MAX_WINDOW)


class ArenaRecord(Record):
    """Tensor arena sizes in bytes. `probed` is what a device reported; None where no device was asked."""

    manifest: int
    host_used: int | None
    host_minimum: int | None
    esp32s3_estimate: int | None
    probed: int | None = None


class DetectionRecord(Record):
    """One detection. Times are in the stream, or in the clip's own stream (with its lead-in) in `clips` mode."""

    slice: int
    """0-based index of the feature slice since the stream began."""
    seconds: float
    """Audio heard when the device decided: the end of the slice's window."""
    average: float
    max: float
    file_index: int
    """Index into the run's `files`: the file in which the detection fell."""


class FileRecord(Record):
    """One audio file of a run."""

    path: str
    sha256: str
    seconds: float = Field(ge=0)
    """Length of the recording itself, without lead-in, tail or gap."""
    stream_start: float = Field(ge=0)
    """Where the recording's first sample lies in its stream, in seconds: behind the lead-in of a clip or session, then
    cumulative."""
    max_probability: float | None
    """None where the board does not tell its probabilities."""
    speaker: str | None = None
    word_end: float | None = Field(default=None, ge=0)
    """Seconds of the recording at which its utterance ends, by loudness; None where noise hides it, or nobody
    looked."""
    word_end_hidden: bool = False
    """True where somebody looked, and noise hides it; results of older versions do not tell."""

    @property
    def span(self) -> Span:
        """Where it lies in its stream, seconds."""
        return Span(self.stream_start, self.stream_start + self.seconds)


class PresentationRecord(Record):
    """How the audio was presented."""

    mode: Mode
    truth: Literal["wake", "none"]
    """`wake`: every file is one utterance of the wake word. `none`: no file contains it."""
    lead_in_seconds: float = Field(default=0.0, ge=0)
    tail_seconds: float = Field(default=0.0, ge=0)
    gap_seconds: float = Field(default=0.0, ge=0)
    noise_floor_dbfs: float | None = Field(default=None, ge=LOWEST_DBFS, le=HIGHEST_DBFS)
    """White noise that the simulation added to all that the device heard, as a microphone does; None added none, and
    neither did older versions."""

    @classmethod
    def of(cls, presentation: Presentation, truth: Literal["wake", "none"]) -> PresentationRecord:
        """As it is written."""
        return cls(**asdict(presentation), truth=truth)

    @property
    def wake(self) -> bool:
        """Whether the wake word is in each file."""
        return self.truth == "wake"

    @property
    def tells_rate(self) -> bool:
        """Whether false accepts and hours are part of the rate."""
        return self.truth_of((), ()).rated

    def truth_of(self, files: Sequence[FileRecord], voids: Iterable[VoidRecord]) -> Truth:
        """What is true of a stream with these files and void times."""
        presentation = Presentation(self.mode, self.lead_in_seconds, self.tail_seconds, self.gap_seconds)
        return presentation.truth(
            [file.span for file in files], wake=self.wake, voids=[Span(void.start, void.end) for void in voids]
        )


class VoidRecord(Record):
    """Time that is in no figure: a reboot, a ring overflow, an API gap, a playback fault. A simulation has none."""

    start: float
    """Seconds of the stream, in `clips` mode of the clip's own."""
    end: float
    reason: str
    file_index: int | None = None
    """The clip in whose stream it lies; None outside `clips` mode."""


class RunRecord(Record):
    """One protocol over one set of audio."""

    label: str
    """What the reader calls it, e.g. `test speech`."""
    protocol: PresentationRecord
    corpus_sha256: str
    """Hash of the sorted file hashes."""
    provenance: Provenance
    """Who spoke: people, a synthesiser, or nobody knows. Older results only say whether all was synthetic; what was not
    is of unknown origin."""
    source: Source
    engine: str
    """`unrolled` and `reference` are exact; `litert` has other kernels than a device."""
    files: tuple[FileRecord, ...]
    detections: tuple[DetectionRecord, ...]
    probabilities: str
    """All inferences of the run in order, see `pack_probabilities`. In `clips` mode the clips follow one another. None
    at all where a real board was measured: it does not tell them."""
    voids: tuple[VoidRecord, ...] = ()
    notes: tuple[str, ...] = ()
    """What the list of recordings says of figures of them, e.g. that training knew the speaker."""
    inferences_per_file: tuple[int, ...]
    """Inferences of each file's own stream in `clips` mode; one entry, the whole stream, otherwise."""
    judged: tuple[JudgedRecord, ...] = ()
    """What the result's judge says of each of `detections`; empty where there is no judge."""

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, values: Any) -> Any:
        if isinstance(values, dict) and "synthetic" in values and "provenance" not in values:
            kept = {name: value for name, value in values.items() if name != "synthetic"}
            return kept | {"provenance": "synthetic" if values["synthetic"] is True else "unknown"}
        return values

    @property
    def seconds(self) -> float:
        """Recorded seconds, without lead-in, tail or gap."""
        return sum(file.seconds for file in self.files)

    @property
    def with_judge(self) -> RunRecord:
        """The run with those detections alone that the judge says yes to."""
        kept = (one for one, judged in zip(self.detections, self.judged, strict=True) if judged.yes)
        return self.model_copy(update={"detections": tuple(kept), "judged": ()})

    @property
    def way(self) -> str:
        """How it was measured, in words: the source, and whose kernels and what noise of a microphone were in a
        simulation.
        """
        return ", ".join(filter(None, (self.source, self.kernels, noise_words(self.protocol.noise_floor_dbfs))))

    @property
    def kernels(self) -> str:
        """Whose kernels computed a simulation, in words; empty for TFLM's."""
        return engine_words(self.engine)


SHARE_METHOD = "Clopper-Pearson, 95 %"
RATE_METHOD = "Garwood, 95 %"


class IntervalRecord(Record):
    """A rate with the counts it comes from and its 95 % interval."""

    count: int
    of: float
    """Trials (recall) or hours (false accepts)."""
    rate: float | None
    """None when there is nothing to divide by."""
    low: float | None
    high: float | None
    method: str

    @property
    def hourly(self) -> bool:
        """Whether it is a rate per hour; else it is a share."""
        return self.method == RATE_METHOD


@dataclass(frozen=True)
class FigureName:
    """How a figure of the scores is called wherever it is shown. Who adds one to `ScoresRecord` says it there, and
    tables and pages show it.
    """

    title: str
    counted: str
    """What is counted, of what."""


class ScoresRecord(Record):
    """Scores over all runs of a result. Its figures stand in the order in which they are shown."""

    false_accepts_per_hour: Annotated[IntervalRecord | None, FigureName("False accepts per hour", "events in hours")]
    """Detections without an utterance, where there is no wake word and in sessions of it, Garwood. None when no run
    tells a rate."""
    recall: Annotated[IntervalRecord | None, FigureName("Recall", "recognised of utterances")]
    """Utterances detected, Clopper-Pearson. None when no run holds the wake word."""
    false_accept_clips: Annotated[IntervalRecord | None, FigureName("Clips accepted falsely", "accepted of clips")] = (
        None
    )
    """Clips without the wake word that were detected in `clips` mode, Clopper-Pearson."""
    extra_detections: int = 0
    """Detections in clips of the wake word that find no utterance: second ones, and ones before it. Not in the hourly
    rate."""
    void_seconds: float = 0.0
    """Time that was left out of all figures."""
    void_utterances: int = 0

    @classmethod
    def figures(cls) -> dict[str, FigureName]:
        """All figures by the name of their field."""
        names = {
            field: next((one for one in info.metadata if isinstance(one, FigureName)), None)
            for field, info in cls.model_fields.items()
        }
        return {field: name for field, name in names.items() if name is not None}

    def figure(self, field: str) -> IntervalRecord | None:
        """The figure of a field."""
        record: IntervalRecord | None = getattr(self, field)
        return record


class Result(Record):
    """`result.json`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    created: str
    """ISO 8601, UTC."""
    command: str
    seed: int | None
    versions: dict[str, str]
    model: ModelRecord
    arena: ArenaRecord
    runs: Annotated[tuple[RunRecord, ...], Field(min_length=1)]
    scores: ScoresRecord
    simulation: tuple[RunRecord, ...] = ()
    """The simulation of the same audio: empty, or one run for each of `runs`, in their order, with source
    `simulated`."""
    agreement: AgreementRecord | None = None
    """`runs` against `simulation`."""
    session: SessionRecord | None = None
    """How the board was measured; None for a simulation."""
    judge: JudgeRecord | None = None
    """The second stage that was asked about each detection of `runs`; None where there was none."""
    measured_cutoff: float | None = None
    """Where its detections were decided anew at another cutoff: the one that it was measured at, which `command` and
    the manifest have."""
    judged_scores: ScoresRecord | None = None
    """Scores of the detections that the judge says yes to; `scores` are those of the device alone."""

    @model_validator(mode="after")
    def _paired(self) -> Result:
        if self.simulation and len(self.simulation) != len(self.runs):
            raise ValueError(f"{len(self.runs)} runs have a simulation of {len(self.simulation)}")
        if any(run.source != "simulated" for run in self.simulation):
            raise ValueError("a run of the simulation has another source")
        if self.agreement is not None and not self.simulation:
            raise ValueError("an agreement without the simulation it is about")
        if self.agreement is not None and any(one.run >= len(self.runs) for one in self.agreement.disagreements):
            raise ValueError("a disagreement names a run that is not there")
        if (self.judge is None) != (self.judged_scores is None):
            raise ValueError("a judge without its scores, or scores without their judge")
        if any(len(run.judged) != (len(run.detections) if self.judge else 0) for run in self.runs):
            raise ValueError("a run with other answers of a judge than it has detections")
        return self

    @property
    def way(self) -> str:
        """How it was measured, in words: that of its runs, and of a virtual board how the sound came to it. What was
        measured in two ways is never in one figure.
        """
        return ", ".join(filter(None, (self.runs[0].way, self.sound)))

    @property
    def sound(self) -> str:
        """How the sound came to a virtual board, in words; empty for a simulation and for a board with an ESP32."""
        return self.session.sound if self.session is not None and self.runs[0].way == "virtual board" else ""

    @property
    def runs_another_model(self) -> bool:
        """True when the board ran other bytes than the model file's: no figure is about this model."""
        return self.session is not None and self.session.model_sha256_on_board != self.model.tflite_sha256


def pack_probabilities(probabilities: NDArray[np.uint8]) -> str:
    """Compress uint8 probabilities into text: zlib, then base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(probabilities, np.uint8).tobytes(), 9)).decode("ascii")


def unpack_probabilities(packed: str) -> NDArray[np.uint8]:
    """The inverse of `pack_probabilities`. Raises `ConfigError` when the text is damaged."""
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(packed, validate=True)), np.uint8)
    except (ValueError, zlib.error) as error:
        raise ConfigError(f"result: damaged probabilities ({error}); measure again") from error


def read_result(path: Path) -> Result:
    """Read a `result.json`. Raises `ConfigError` when it cannot be read or is of another schema version."""
    return read_record(
        path, Result, "result", "give a result.json written by mww-simulate --result or mww-bench", "measure again"
    )


def write_result(result: Result, path: Path) -> None:
    """Write a result whole or not at all."""
    write_record(result, path)
