"""A model over the recordings of one split, exactly those that the run wrote down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.data.dataset import TABLE_NAME, chosen, refuse_changed
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.evaluation.models import WordModel
from wakeword.contract import SAMPLE_RATE_HZ, cutoff_to_uint8
from wakeword.errors import ConfigError
from wakeword.scoring.det import DetCurve, Stream, det_curve
from wakeword.scoring.operating_point import choose_cutoff
from wakeword.simulation.features import Progress
from wakeword.simulation.streams import SimulatedStream

CHANGED_SECONDS = 1e-3
"""A recording whose length differs by more from what its table says is another one; tables of older runs have no hashes that would tell."""


@dataclass(frozen=True)
class SplitRecords:
    """The recordings of a split: utterances in the table's order, negatives sorted by path, as validation and `mww-simulate` join them."""

    split: Split
    positives: tuple[SampleRecord, ...]
    negatives: tuple[SampleRecord, ...]

    @property
    def seconds(self) -> float:
        """Length of all."""
        return sum(record.duration for record in (*self.positives, *self.negatives))


@dataclass(frozen=True)
class HeardSplit:
    """What a model gave: a stream an utterance, and one of all negatives."""

    records: SplitRecords
    clips: tuple[SimulatedStream, ...]
    joined: SimulatedStream

    @property
    def hours(self) -> float:
        """Recorded time without the wake word, silence between recordings left out."""
        return sum(recording.samples for recording in self.joined.recordings) / SAMPLE_RATE_HZ / 3600


@dataclass(frozen=True)
class OperatingPoint:
    """Where the device decides. `origin` says who chose it, in words."""

    probability_cutoff: float
    cutoff: int
    window: int
    origin: str


def split_records(records: Sequence[SampleRecord], split: Split, run: Path) -> SplitRecords:
    """The recordings of a split. Raises `ConfigError` when one kind is missing from it or files are gone or changed; `run` is named in messages."""
    positives = tuple(chosen(records, split, Label.POSITIVE))
    negatives = tuple(sorted(chosen(records, split, Label.NEGATIVE), key=lambda record: record.path.as_posix()))
    table = run / TABLE_NAME
    for kind, found in (("positive", positives), ("negative", negatives)):
        if not found:
            raise ConfigError(f"{table}: the {split} split holds no {kind} recordings, so there is nothing to measure; choose another --split, or train anew")
    refuse_changed((*positives, *negatives), run)
    return SplitRecords(split, positives, negatives)


def hear_split(model: WordModel, records: SplitRecords, progress: Progress = lambda _: None) -> HeardSplit:
    """Run a model over a split. Raises `ConfigError` when a recording cannot be read or has another length than when the run was trained."""
    clips = model.alone([record.path for record in records.positives], progress)
    joined = model.joined([record.path for record in records.negatives], progress)
    heard = [*(clip.recordings[0] for clip in clips), *joined.recordings]
    for record, recording in zip((*records.positives, *records.negatives), heard, strict=True):
        if abs(record.duration - recording.seconds) > CHANGED_SECONDS:
            raise ConfigError(
                f"{record.path}: {recording.seconds:.3f} s long, but {record.duration:.3f} s when the run was trained; it has changed, so bring the old file "
                "back, or train anew"
            )
    return HeardSplit(records, tuple(clips), joined)


def curve_of(heard: HeardSplit, window: int) -> DetCurve:
    """Utterances found and false accepts of a split at every cutoff."""
    return det_curve([_stream(clip) for clip in heard.clips], [_stream(heard.joined)], window, heard.hours)


def given_point(probability_cutoff: float, window: int, origin: str) -> OperatingPoint:
    """The point that a manifest or configuration states."""
    return OperatingPoint(probability_cutoff, cutoff_to_uint8(probability_cutoff), window, origin)


def chosen_point(validation: HeardSplit, window: int, target: float) -> OperatingPoint:
    """The cutoff that the export would choose, of validation data alone. Raises `ValueError` for any other split: it must not choose."""
    if validation.records.split is not Split.VAL:
        raise ValueError(f"{validation.records.split} data must not choose")
    choice = choose_cutoff(curve_of(validation, window), target)
    return OperatingPoint(choice.probability_cutoff, choice.cutoff, window, f"chosen on validation data for {target:g} false accepts/h")


def _stream(simulated: SimulatedStream) -> Stream:
    return Stream(simulated.probabilities, simulated.stride, simulated.slices)
