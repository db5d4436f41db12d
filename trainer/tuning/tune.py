"""Bringing a trained model to its targets: choose cutoff and window, fine-tune while they are missed, measure once on
data that was not used to choose.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from trainer.config.checks import check_config
from trainer.config.sections import TrainerConfig
from trainer.config.teaching import TeachingSettings
from trainer.data.dataset import refuse_changed, select_records
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Stages
from trainer.data.spec_augment import choose_array_module
from trainer.data.split import Split
from trainer.data.training_sets import stored_clips, training_sets
from trainer.inference.runs import ModelCandidate, open_float
from trainer.inference.splits import (
    PresentedSplit,
    SimulatedSplit,
    SplitRecords,
    present_split,
    seconds_counted,
    split_records,
)
from trainer.networks.runtime import compute_dtype, start_tensorflow
from trainer.networks.weights import CHECKPOINTS
from trainer.training.checkpoints import STATE
from trainer.training.memory import feature_workers
from trainer.tuning.fine_tuning import FineTuner, first_recipe
from trainer.tuning.folder import TuningFolder, TuningRecord
from trainer.tuning.measurement import SplitMeasurement, measure
from trainer.tuning.operating_point import WINDOWS, PointChoice, Targets, choose_point
from trainer.tuning.policy import Iteration, Move, TuningLimits, best_of, ending, is_gain, next_recipe
from wakeword.corpus.feature_cache import FeatureCache, default_cache_folder
from wakeword.corpus.provenance import Provenance, provenance_of
from wakeword.corpus.recordings import hash_corpus, hash_file
from wakeword.errors import ConfigError
from wakeword.locks import hold_folder
from wakeword.processes import threads_of_workers

_FORMAT = 3
"""Raise it when what validation hears changes: points of before and after it cannot be compared."""


class TuningProgress(Stages, Protocol):
    """Receives what a tuning does."""

    def went_on(self, history: tuple[Iteration, ...]) -> None:
        """An earlier session of the same tuning is taken up."""
        ...

    def iterated(self, iteration: Iteration) -> None:
        """An iteration ended."""
        ...


@dataclass(frozen=True)
class Survey:
    """The given model on validation, before anything is trained."""

    first: Iteration
    """The given model at the cutoff and window that are chosen for it."""
    validating_s: float
    """How long it took to run the model and to choose, features not counted."""


@dataclass(frozen=True)
class Tuned:
    """A tuning that ended."""

    weights: Path
    history: tuple[Iteration, ...]
    ended: str
    given: SplitMeasurement
    """On the test split, as `best`."""
    best: SplitMeasurement
    looks: int
    """How often this tuning has measured tuned weights on the test split: once, unless it was made to go on afterwards.
    """
    positives: Provenance = "unknown"
    """Who spoke the utterances of the test split."""
    negatives: Provenance = "unknown"
    """Who spoke its other recordings."""


@dataclass(frozen=True)
class TuningTask:
    """What is tuned, toward what. `check` comes before everything else."""

    candidate: ModelCandidate
    targets: Targets
    limits: TuningLimits
    jobs: int | None = None

    @property
    def checkpoint(self) -> Path:
        """The given weights."""
        return self.candidate.path

    def records(self, split: Split) -> SplitRecords:
        """The recordings of a split. Raises `ConfigError` when one kind is missing, or files are gone or changed."""
        uses = {Split.VAL: "choose with", Split.TEST: "measure the result with: data that was not used to choose"}
        for label in (Label.POSITIVE, Label.NEGATIVE):
            if not select_records(self.candidate.records, split, label):
                raise ConfigError(
                    f"{self.candidate.run}: its {split} split holds no {label} recordings to {uses[split]}; train anew"
                    " with some"
                )
        return split_records(self.candidate.records, split, self.candidate.run)

    def check(self) -> tuple[SplitRecords, SplitRecords]:
        """The recordings of val and test.

        Raises `ConfigError` for settings that cannot be used, on this machine too, and for such recordings.
        """
        check_config(self.candidate.config)
        performance = self.candidate.config.performance
        choose_array_module(performance.gpu_only)
        compute_dtype(performance)  # both refuse what this machine cannot do
        if self.candidate.checkpoint is None:
            raise ConfigError(
                f"{self.candidate.path}: an exported model cannot be trained; give the weights of its run with"
                " --checkpoint"
            )
        splits = self.records(Split.VAL), self.records(Split.TEST)
        refuse_changed([record for record in self.candidate.records if record.split is Split.TRAIN], self.candidate.run)
        return splits


def survey(task: TuningTask, progress: TuningProgress) -> Survey:
    """Choose cutoff and window for the given model and say what the first iteration would do.

    Writes nothing but cached features.
    """
    validation, _ = task.check()
    runner = _SplitRunner(task, progress)
    runner.present(validation)
    began = time.monotonic()
    point = choose_point(
        runner.run(validation), task.targets, preferred=task.candidate.config.export.sliding_window_size
    )
    return Survey(_given(task, point), time.monotonic() - began)


def tune(task: TuningTask, output: Path, progress: TuningProgress) -> Tuned:
    """Tune into `output`; what was interrupted goes on after its last iteration. The checkpoint's run is not changed.

    Raises `ConfigError` for settings, recordings or a folder that cannot be used, `InfrastructureError` when another
    process tunes into the folder, and `KeyboardInterrupt` between two steps.
    """
    folder = TuningFolder(output, task.candidate, task.targets)
    folder.check()
    with hold_folder(output, "give another --output-dir"):
        return _Tuning(task, folder, progress).run()


class _SplitRunner:
    """The float model over splits, whose features are computed once or found in the user's cache."""

    def __init__(self, task: TuningTask, progress: TuningProgress) -> None:
        """With the given weights. Raises `ConfigError` when they are of another network, before any work."""
        start_tensorflow(settings=task.candidate.config.performance)
        self.model = open_float(task.candidate)
        self._progress = progress
        self._presented: dict[Split, PresentedSplit] = {}

    def present(self, records: SplitRecords) -> PresentedSplit:
        """The features of a split."""
        if records.split not in self._presented:
            counted = seconds_counted(
                self._progress.counting(f"seconds of {records.split} recordings"), records.seconds
            )
            presented = present_split(FeatureCache(default_cache_folder()), records, counted)
            self._presented[records.split] = presented.mapped()
        return self._presented[records.split]

    def run(self, records: SplitRecords) -> SimulatedSplit:
        """What the model gives with its present weights."""
        return self.present(records).simulated(self.model.run)


class _Tuning:
    """The state of a tuning between its iterations."""

    def __init__(self, task: TuningTask, folder: TuningFolder, progress: TuningProgress) -> None:
        self._task, self._folder, self._progress, self._config = task, folder, progress, task.candidate.config
        self._validation, self._test = task.check()
        self._runner = _SplitRunner(task, progress)
        self._identity = _identity(task)
        self._tuner: FineTuner | None = None

    def run(self) -> Tuned:
        record = self._folder.read(self._identity)
        if record is None:
            record = self._begin()
        else:
            self._folder.settle(record)
            self._progress.went_on(record.iterations)
        while (reason := ending(record.iterations, self._task.limits)) is None:
            record = self._iterate(record)
        record = self._measured(replace(record, ended=reason))
        given = record.measurements[0]
        looks = sum(measurement.weights_sha256 != given.weights_sha256 for measurement in record.measurements)
        best = self._found(record, record.weights_sha256, best_of(record.iterations).point)
        assert best is not None
        positives, negatives = (
            provenance_of(record.path for record in records) for records in (self._test.positives, self._test.negatives)
        )
        return Tuned(self._folder.weights, record.iterations, reason, given, best, looks, positives, negatives)

    def _begin(self) -> TuningRecord:
        began = time.monotonic()
        point = choose_point(
            self._runner.run(self._validation), self._task.targets, preferred=self._config.export.sliding_window_size
        )
        first = replace(_given(self._task, point), seconds=time.monotonic() - began)
        return self._noted(
            TuningRecord(
                self._identity,
                (first,),
                self._folder.offer_file(self._task.checkpoint),
                ended=None,
                features_sha256=None,
                measurements=(),
            )
        )

    def _iterate(self, record: TuningRecord) -> TuningRecord:
        began, history, targets = time.monotonic(), record.iterations, self._task.targets
        number, best = history[-1].number + 1, best_of(history)
        move, recipe = next_recipe(history, targets)
        if self._tuner is None:
            self._tuner = self._build_tuner()
            record = replace(record, features_sha256=self._same_features(record, self._tuner))
        tuner = self._tuner
        count = self._progress.counting(f"steps of iteration {number}")
        trained = tuner.train(
            self._folder.weights, record.weights_sha256, best.point.choice.cutoff, recipe, number, count
        )
        self._runner.model.load(tuner.model)
        simulated = self._runner.run(self._validation)
        near = [window for window in WINDOWS if abs(window - best.point.window) <= 1]
        point = choose_point(simulated, targets, near, best.point.window)
        kept = is_gain(point, best.point)
        if kept:
            # All windows cost as much as the training; only what is kept is worth them.
            everywhere = choose_point(simulated, targets, preferred=best.point.window)
            point = everywhere if is_gain(everywhere, point) else point
            record = replace(record, weights_sha256=self._folder.offer(tuner.model))
        iteration = Iteration(number, move, recipe, point, kept, trained.mined, trained.loss, time.monotonic() - began)
        return self._noted(replace(record, iterations=(*history, iteration)))

    def _noted(self, record: TuningRecord) -> TuningRecord:
        record = replace(record, ended=None)
        self._folder.write(record)
        self._progress.iterated(record.iterations[-1])
        return record

    def _measured(self, record: TuningRecord) -> TuningRecord:
        """The test split, measured at the end: by the given model, and by the best one where that is another."""
        for weights, sha256, point in (
            (self._task.checkpoint, self._identity["checkpoint"], record.iterations[0].point),
            (self._folder.weights, record.weights_sha256, best_of(record.iterations).point),
        ):
            if self._found(record, sha256, point) is None:
                self._runner.model.load_file(weights)
                measurement = measure(self._runner.run(self._test), point, sha256)
                record = replace(record, measurements=(*record.measurements, measurement))
        self._folder.write(record)
        return record

    def _found(self, record: TuningRecord, sha256: str, point: PointChoice) -> SplitMeasurement | None:
        wanted = sha256, point.choice.cutoff, point.window
        return next(
            (known for known in record.measurements if (known.weights_sha256, known.cutoff, known.window) == wanted),
            None,
        )

    def _build_tuner(self) -> FineTuner:
        config, candidate = self._config, self._task.candidate
        jobs = feature_workers(config, candidate.records, self._task.jobs)
        with threads_of_workers(config.performance.num_threads_per_worker):
            clips = stored_clips(config, candidate.records, config.slices, self._progress, jobs)
        return FineTuner(config, training_sets(config, clips), self._task.limits.steps, self._runner.model)

    def _same_features(self, record: TuningRecord, tuner: FineTuner) -> str:
        drawn = tuner.fingerprint()
        if record.features_sha256 not in (None, drawn):
            raise ConfigError(
                f"{self._folder.path}: the features to train on are others than when the tuning began, so sounds of the"
                " augmentation or this software have changed; bring them back, or give another --output-dir"
            )
        return drawn


def _given(task: TuningTask, point: PointChoice) -> Iteration:
    candidate = task.candidate
    recipe = first_recipe(candidate.config, candidate.records, candidate.run / CHECKPOINTS / STATE)
    return Iteration(0, Move.GIVEN, recipe, point, kept=True)


def _identity(task: TuningTask) -> dict[str, Any]:
    """What the course of a tuning depends on.

    Limits may be raised, and `performance` and the places of files may change.
    """
    config, limits, targets = task.candidate.config, task.limits, task.targets
    return {
        "format": _FORMAT,
        "checkpoint": hash_file(task.checkpoint),
        "target-fah": targets.false_accepts_per_hour,
        "target-recall": targets.recall,
        "steps": limits.steps,
        "seed": config.training.seed,
        "recordings": {split.value: _corpus(task.candidate.records, split) for split in Split},
        "configuration": _settings_hash(config),
        "TensorFlow": start_tensorflow().__version__,
    }


def _corpus(records: tuple[SampleRecord, ...], split: Split) -> dict[str, Any]:
    mine = [record for record in records if record.split is split]
    hashes = [f"{record.label} {record.content}" for record in mine]
    return {
        "recordings": len(mine),
        "hours": round(sum(record.duration for record in mine) / 3600, 4),
        "sha256": hash_corpus(hashes),
    }


def _settings_hash(config: TrainerConfig) -> str:
    """Of the sections that decide what is trained, and the window that is preferred among equals.

    A tuning has no teachers.
    """
    values = config.model_dump(
        mode="json",
        include={"hardware", "training", "model", "augmentation"},
        exclude={"training": set(TeachingSettings.model_fields)},
    )
    return hashlib.sha256(json.dumps([values, config.export.sliding_window_size], sort_keys=True).encode()).hexdigest()
