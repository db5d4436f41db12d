"""A model over the recordings of one split, exactly those that the run wrote down: the positives as a session, the
negatives as a stream.

Training validates so, the export chooses its cutoff so, evaluation and tuning measure so: one presentation, one curve,
one choice. Positives of a validation that nobody but a synthesiser has said are also presented in hard conditions
(`conditions.py`), and the negatives with them; both take part in the choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.dataset import TABLE_NAME, refuse_changed, select_records, validation_negatives
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Progress as CountProgress
from trainer.data.split import Split
from trainer.inference.conditions import hard_streams
from trainer.inference.models import WordModel
from wakeword.contract import cutoff_to_uint8
from wakeword.corpus.feature_cache import FeatureCache, default_cache_folder
from wakeword.corpus.provenance import provenance_of
from wakeword.corpus.recordings import is_generated
from wakeword.detector import Detection
from wakeword.errors import ConfigError
from wakeword.presentation import SESSION, STREAM
from wakeword.scoring.det import DetCurve, det_curve
from wakeword.scoring.matching import Components
from wakeword.scoring.operating_point import CutoffChoice, choose_by_people, choose_cutoff
from wakeword.simulation.features import Progress, present
from wakeword.simulation.streams import PresentedStream, Recording, SimulatedStream

CHANGED_SECONDS = 1e-3
"""A recording whose length differs by more from what its table says is another one; tables of older runs have no hashes
that would tell.
"""

PEOPLE_SECONDS = 600.0
"""Of people's negatives in validation, with which they choose the cutoff alone. With generated sentences in five
conditions beside a quarter of an hour of people, one sentence ("the cucumber was fresh") decided it: "computer" found
272, 273 and 245 of 411 people instead of 332, 317 and 294 (docs/quality.md).
"""


@dataclass(frozen=True)
class SplitRecords:
    """The recordings of a split, each kind sorted by path, as `mww-simulate` sorts them."""

    split: Split
    positives: tuple[SampleRecord, ...]
    negatives: tuple[SampleRecord, ...]

    @classmethod
    def of(cls, records: Sequence[SampleRecord], split: Split) -> SplitRecords:
        """Those of a run; of a kind that is not in the split there are none.

        A validation has no generated near misses (`validation_negatives`).
        """
        positives, negatives = (select_records(records, split, label) for label in (Label.POSITIVE, Label.NEGATIVE))
        if split is Split.VAL:
            negatives = validation_negatives(records)
        return cls(split, _by_path(positives), _by_path(negatives))

    @property
    def seconds(self) -> float:
        """Length of all."""
        return self.word_seconds + sum(record.duration for record in self.negatives)

    @property
    def word_seconds(self) -> float:
        """Length of the positives."""
        return sum(record.duration for record in self.positives)


def _by_path(records: Iterable[SampleRecord]) -> tuple[SampleRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.path.as_posix()))


@dataclass(frozen=True, eq=False)
class SplitStreams[Stream]:
    """The two streams of a split, and those of its hard conditions."""

    split: Split
    positives: Stream
    negatives: Stream
    hard_positives: tuple[Stream, ...] = ()
    """The positives in hard conditions, a stream each; they tell recall alone."""
    hard_negatives: tuple[Stream, ...] = ()
    """The negatives in hard conditions, a stream each."""
    people: tuple[Stream, ...] = ()
    """One stream of the negatives that people said or made, where those of synthetic words hold `PEOPLE_SECONDS` of
    them: it alone says how often a cutoff wakes by mistake.
    """


@dataclass(frozen=True, eq=False)
class PresentedSplit(SplitStreams[PresentedStream]):
    """The features of a split, for any number of models."""

    def mapped(self) -> PresentedSplit:
        """The same for what reads it for hours, while other commands may remove files of the cache."""

        def kept(stream: PresentedStream) -> PresentedStream:
            return replace(stream, features=stream.features.mapped())

        return PresentedSplit(
            self.split,
            kept(self.positives),
            kept(self.negatives),
            tuple(map(kept, self.hard_positives)),
            tuple(map(kept, self.hard_negatives)),
            tuple(map(kept, self.people)),
        )

    def simulated(self, run: Callable[[PresentedStream], SimulatedStream]) -> SimulatedSplit:
        """What a model gives, where `run` is its `WordModel.run`; it is called for the streams in the order of the
        fields.
        """
        positives, negatives = run(self.positives), run(self.negatives)
        return SimulatedSplit(
            self.split,
            positives,
            negatives,
            tuple(map(run, self.hard_positives)),
            tuple(map(run, self.hard_negatives)),
            tuple(map(run, self.people)),
        )


@dataclass(frozen=True, eq=False)
class SimulatedSplit(SplitStreams[SimulatedStream]):
    """What a model gave."""

    _curves: dict[tuple[int, str], DetCurve] = field(default_factory=dict, init=False, repr=False)
    """By window, and what is in it: one takes seconds, and is asked for by whoever chooses and by
    whoever tells of it.
    """

    @property
    def streams(self) -> tuple[tuple[SimulatedStream, bool], ...]:
        """Both, and whether the wake word is in them."""
        return (self.positives, True), (self.negatives, False)

    def decided(self, cutoff: int, window: int) -> list[tuple[list[Detection], Components]]:
        """The detections of both streams at a uint8 cutoff and a sliding window, and what they are: positives found, or
        false accepts.
        """
        detections = [stream.detections(cutoff, window) for stream, _ in self.streams]
        return [
            (found, stream.outcome(found, wake=wake))
            for (stream, wake), found in zip(self.streams, detections, strict=True)
        ]

    def curve(self, window: int) -> DetCurve:
        """Utterances found and false accepts at every cutoff; those in hard conditions and their hours count too."""
        return self._curve(window, (*self.streams, *((stream, False) for stream in self.hard_negatives)), "all")

    def hard_recall(self, window: int) -> NDArray[np.float64] | None:
        """Share of utterances found in hard conditions at each cutoff, float64 `[256]`; None where there are none."""
        if not self.hard_positives:
            return None
        return self._curve(window, tuple((stream, True) for stream in self.hard_positives), "hard").recall

    def choice(self, window: int, target_false_accepts_per_hour: float, target_recall: float = 0.0) -> CutoffChoice:
        """The cutoff that everybody chooses, of validation data alone.

        Raises `ValueError` for any other split: it must not choose.
        """
        if self.split is not Split.VAL:
            raise ValueError(f"{self.split} data must not choose")
        if not self.people:
            hard = self.hard_recall(window)
            return choose_cutoff(self.curve(window), target_false_accepts_per_hour, target_recall, hard)
        streams = ((self.positives, True), *((stream, False) for stream in self.people))
        return choose_by_people(self._curve(window, streams, "people"), target_false_accepts_per_hour, target_recall)

    def _curve(self, window: int, streams: Sequence[tuple[SimulatedStream, bool]], what: str) -> DetCurve:
        if (window, what) not in self._curves:
            self._curves[window, what] = det_curve(
                ((stream, stream.truth(wake=wake)) for stream, wake in streams), window
            )
        return self._curves[window, what]


@dataclass(frozen=True)
class EvaluationPoint:
    """Where the device decides. `origin` says who chose it, in words."""

    probability_cutoff: float
    cutoff: int
    window: int
    origin: str


def split_records(records: Sequence[SampleRecord], split: Split, run: Path) -> SplitRecords:
    """The recordings of a split.

    Raises `ConfigError` when one kind is missing from it or files are gone or changed; `run` is named in messages.
    """
    found = SplitRecords.of(records, split)
    for kind, recordings in (("positive", found.positives), ("negative", found.negatives)):
        if not recordings:
            table = run / TABLE_NAME
            raise ConfigError(
                f"{table}: the {split} split holds no {kind} recordings, so there is nothing to measure; choose another"
                " --split, or train anew"
            )
    refuse_changed((*found.positives, *found.negatives), run)
    return found


def present_split(cache: FeatureCache, records: SplitRecords, progress: Progress) -> PresentedSplit:
    """Compute or find the features of a split.

    Raises `ConfigError` when a recording cannot be read or has another length than when the run was trained,
    `InfrastructureError` where hard conditions are to be computed and the package for that is missing.
    """
    positives, negatives = (
        present(cache, [record.path for record in kind], presentation, progress)
        for kind, presentation in ((records.positives, SESSION), (records.negatives, STREAM))
    )
    _refuse_other_lengths(records, positives.recordings, negatives.recordings)
    if not are_synthetic_words(records):
        return PresentedSplit(records.split, positives, negatives)
    hard, by_people = hard_streams(cache, records.positives, records.negatives), people_among(records.negatives)
    people = (present(cache, [record.path for record in by_people], STREAM, lambda _: None),) if by_people else ()
    return PresentedSplit(records.split, positives, negatives, hard.positives, hard.negatives, people)


def people_among(negatives: Sequence[SampleRecord]) -> list[SampleRecord]:
    """The negatives that no synthesiser made, where they are `PEOPLE_SECONDS` or more; else none."""
    found = [record for record in negatives if not is_generated(record.path)]
    return found if sum(record.duration for record in found) >= PEOPLE_SECONDS else []


def simulate_split(model: WordModel, records: SplitRecords, progress: Progress = lambda _: None) -> SimulatedSplit:
    """Run a model over a split, whose features are kept in the user's cache. Raises as `present_split` does."""
    cache = FeatureCache(default_cache_folder())
    simulated = present_split(cache, records, progress).simulated(model.run)
    cache.prune()
    return simulated


def seconds_counted(count: CountProgress, total: float) -> Progress:
    """Whole seconds of recordings for a counter; the last one is counted once all is done."""
    done, whole = 0.0, max(1, math.ceil(total))

    def finished(seconds: float) -> None:
        nonlocal done
        done += seconds
        count(whole if done >= total - CHANGED_SECONDS else min(int(done), whole - 1), whole)

    return finished


def given_point(probability_cutoff: float, window: int, origin: str) -> EvaluationPoint:
    """The point that a manifest or configuration states."""
    return EvaluationPoint(probability_cutoff, cutoff_to_uint8(probability_cutoff), window, origin)


def validation_point(validation: SimulatedSplit, window: int, target: float) -> EvaluationPoint:
    """The cutoff that the export would choose, of validation data alone.

    Raises `ValueError` for any other split: it must not choose.
    """
    choice = validation.choice(window, target)
    return EvaluationPoint(
        choice.probability_cutoff, choice.cutoff, window, f"chosen on validation data for {target:g} false accepts/h"
    )


def are_synthetic_words(records: SplitRecords) -> bool:
    """Whether the words of a split choose, and a synthesiser said all of them: then they are heard in hard conditions
    too. People have rooms of their own.
    """
    return records.split is Split.VAL and provenance_of(record.path for record in records.positives) == "synthetic"


def _refuse_other_lengths(records: SplitRecords, *streams: Sequence[Recording]) -> None:
    for record, recording in zip((*records.positives, *records.negatives), chain(*streams), strict=True):
        if abs(record.duration - recording.seconds) > CHANGED_SECONDS:
            raise ConfigError(
                f"{record.path}: {recording.seconds:.3f} s long, but {record.duration:.3f} s when the run was trained;"
                " it has changed, so bring the old file back, or train anew"
            )
