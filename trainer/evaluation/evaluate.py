"""One evaluation: a model, a split, an operating point that others chose. Nothing is written that a training reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from trainer.data.composition import Share, read_composition
from trainer.data.grouping import session_note, shared_speakers
from trainer.data.ingest import Label
from trainer.data.split import Split
from trainer.evaluation.analysis import ErrorAnalysis, analyse
from trainer.evaluation.device import DeviceFigures, device_figures
from trainer.evaluation.robustness import Robustness, change_count, robustness
from trainer.evaluation.temperature import FittedTemperature, fitted_temperature
from trainer.evaluation.windows import (
    ProbabilityCalibration,
    WindowMetrics,
    calibration_of,
    scored_windows,
    window_metrics,
    word_ends_of,
)
from trainer.inference.models import WordModel
from trainer.inference.runs import ModelCandidate
from trainer.inference.splits import (
    EvaluationPoint,
    SimulatedSplit,
    SplitRecords,
    given_point,
    simulate_split,
    split_records,
    validation_point,
)
from wakeword.corpus.provenance import Provenance, provenance_of, together
from wakeword.part import file_of
from wakeword.scoring.classification import Scores, Truth
from wakeword.scoring.grades import Grade, grade_false_accepts, grade_recall
from wakeword.simulation.features import Progress

NOTES = {
    Split.TEST: (
        "Test data was not used to choose anything: no checkpoint, no cutoff, no weight. This evaluation wrote nothing"
        " that a training reads."
    ),
    Split.VAL: (
        "Validation data chose the checkpoint and the cutoff, so these figures flatter the model; --split test was not"
        " used to choose."
    ),
    Split.TRAIN: (
        "The model was trained on these recordings: the figures say what it has learned by heart, not how it will do."
    ),
}


@dataclass(frozen=True)
class Grades:
    """What the device's figures are called, and whose recordings they are of."""

    positives: Provenance
    negatives: Provenance
    false_accepts: Grade
    recall: Grade


@dataclass(frozen=True)
class Evaluation:
    """Everything that is known of a model on one split."""

    model: Path
    form: str
    """`float` or `int8`."""
    sha256: str
    run: Path
    split: Split
    note: str
    """What the split's figures are worth."""
    session_note: str
    """That one or two speakers train and are tested too; empty where the split is of other people."""
    negatives: tuple[Share, ...]
    """The kinds of sound without the wake word that were heard; empty for a run of an older version, which has not
    written them down, or with near misses that validation no longer hears."""
    point: EvaluationPoint
    device: DeviceFigures
    grades: Grades
    windows: WindowMetrics
    calibration: ProbabilityCalibration
    temperature: FittedTemperature | None
    """What one that is fitted on validation would do; None where it was not asked for."""
    robustness: tuple[Robustness, ...]
    """Empty where it was not asked for."""
    analysis: ErrorAnalysis | None


def evaluate(
    candidate: ModelCandidate,
    model: WordModel,
    split: Split,
    *,
    analysis: bool = False,
    temperature: bool = False,
    robust: bool = False,
    jobs: int | None = None,
    progress: Progress,
) -> Evaluation:
    """Measure a model on one split of its run.

    The cutoff is the manifest's, else the configuration's, else chosen on validation data with this model.

    Args:
        candidate: What was given on the command line.
        model: The same, opened.
        split: Whose recordings are measured.
        analysis: Whether the worst utterances and negatives are looked for.
        temperature: Whether one is fitted, on validation whatever the split.
        robust: Whether the words are heard shifted and at other levels too.
        jobs: Processes; None is one per core.
        progress: Called with the seconds of audio that were finished since the last call; all of them are
            `seconds_to_hear`.

    Returns the figures, each as counts and rate.

    Raises `ConfigError` when the split is empty or the run's recordings are gone or changed.
    """
    records = split_records(candidate.records, split, candidate.run)
    simulated = simulate_split(model, records, progress)
    point = _operating_point(candidate, model, simulated, progress)
    ends = word_ends_of([record.path for record in records.positives], jobs)
    device = device_figures(simulated, records.positives, point, ends)
    truth, scores = scored_windows(simulated, ends)
    return Evaluation(
        model=candidate.path,
        form=model.form,
        sha256=model.sha256,
        run=candidate.run,
        split=split,
        note=NOTES[split],
        session_note=session_note(shared_speakers(candidate.records)),
        negatives=_shares_of(candidate.run, records),
        point=point,
        device=device,
        grades=grades_of(device, records),
        windows=window_metrics(truth, scores, point.probability_cutoff),
        calibration=calibration_of(truth, scores),
        temperature=(
            fitted_temperature(
                (truth, scores) if split is Split.VAL else _validation_windows(candidate, model, jobs, progress),
                (truth, scores),
            )
            if temperature
            else None
        ),
        robustness=(robustness(model, simulated.positives.stride, records, point, progress) if robust else ()),
        analysis=analyse(simulated, records.positives, point, device.missed) if analysis else None,
    )


def seconds_to_hear(
    candidate: ModelCandidate, split: Split, *, temperature: bool = False, robust: bool = False
) -> float:
    """Seconds of recordings that `evaluate` tells of: of the split, of validation where it is heard besides (for the
    cutoff, and once more for a temperature), and of the words under each change.
    """
    records, validation = (SplitRecords.of(candidate.records, one) for one in (split, Split.VAL))
    besides = 0 if split is Split.VAL else _validation_chooses(candidate) + temperature
    changed = change_count(candidate.config.model.stride) * records.word_seconds if robust else 0.0
    return records.seconds + besides * validation.seconds + changed


def grades_of(device: DeviceFigures, records: SplitRecords) -> Grades:
    """The grades of figures on a split: none where a synthesiser spoke."""
    positives, negatives = (
        provenance_of(record.path for record in kind) for kind in (records.positives, records.negatives)
    )
    return Grades(
        positives,
        negatives,
        grade_false_accepts(len(device.false_accepts), device.hours, together((positives, negatives))),
        grade_recall(device.recall.found, device.recall.utterances, positives),
    )


def _shares_of(run: Path, records: SplitRecords) -> tuple[Share, ...]:
    shares = tuple(
        share for share in read_composition(run) if share.split is records.split and share.label is Label.NEGATIVE
    )
    heard = {file_of(record.path) for record in records.negatives}
    return shares if sum(share.recordings for share in shares) == len(heard) else ()


def as_json(evaluation: Evaluation) -> str:
    """All of it as JSON: paths as text, NaN and infinity as null."""
    return TypeAdapter(Evaluation).dump_json(evaluation, indent=2).decode()


def _validation_windows(
    candidate: ModelCandidate, model: WordModel, jobs: int | None, progress: Progress
) -> tuple[Truth, Scores]:
    records = split_records(candidate.records, Split.VAL, candidate.run)
    ends = word_ends_of([record.path for record in records.positives], jobs)
    return scored_windows(simulate_split(model, records, progress), ends)


def _validation_chooses(candidate: ModelCandidate) -> bool:
    return candidate.manifest is None and candidate.config.export.probability_cutoff is None


def _operating_point(
    candidate: ModelCandidate, model: WordModel, simulated: SimulatedSplit, progress: Progress
) -> EvaluationPoint:
    export, manifest = candidate.config.export, candidate.manifest
    if manifest is not None:
        return given_point(manifest.micro.probability_cutoff, manifest.micro.sliding_window_size, "the manifest's")
    if export.probability_cutoff is not None:
        return given_point(export.probability_cutoff, export.sliding_window_size, "the configuration's")
    if simulated.split is not Split.VAL:
        simulated = simulate_split(model, split_records(candidate.records, Split.VAL, candidate.run), progress)
    return validation_point(simulated, export.sliding_window_size, candidate.config.training.target_minimization)
