"""Classic window metrics of a split: comparable with what other trainers print, and with nothing that a device does.

One window an utterance, ending 150 ms after the word (the middle of what training shows the model), and one every 300
ms of the negatives, as microWakeWord's ambient validation takes them. No sliding mean, no hold-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.features import first_slice_after
from trainer.data.parallel import map_in_processes
from trainer.data.words import word_place
from trainer.inference.splits import SimulatedSplit
from wakeword import contract
from wakeword.audio import read_samples
from wakeword.corpus.utterances import known_utterance_end
from wakeword.scoring.calibration import (
    Bin,
    CalibrationError,
    base_rate,
    brier_score,
    brier_skill,
    calibration_curve,
    calibration_error,
)
from wakeword.scoring.classification import (
    PARTIAL_AUC_LIMIT,
    THRESHOLDS,
    EqualError,
    Scores,
    Truth,
    average_precision,
    confusion,
    equal_error_rate,
    partial_auc,
    precision_recall_curve,
    roc_auc,
    roc_curve,
    threshold_counts,
)
from wakeword.simulation.simulate import FEWEST_CLIPS_FOR_PROCESSES
from wakeword.simulation.streams import Recording

SLICES_AFTER_WORD = 15
SLICES_BETWEEN_NEGATIVES = 30


@dataclass(frozen=True)
class WindowMetrics:
    """At one threshold, and over all."""

    positives: int
    negatives: int
    threshold: float
    accuracy: float
    precision: float
    """NaN when nothing was accepted."""
    recall: float
    f1: float
    auc: float
    partial_auc: float
    """Up to a false positive rate of 0.1, standardised."""
    average_precision: float
    equal_error: EqualError
    thresholds: tuple[tuple[float, float, float], ...]
    """Threshold, false positive rate and recall, 101 of each."""


@dataclass(frozen=True)
class ProbabilityCalibration:
    """Probabilities against frequencies of the same windows; intervals take windows for independent."""

    base_rate: float
    brier_score: float
    brier_skill: float
    error: CalibrationError
    """Of the bins of equal mass."""
    by_width: tuple[Bin, ...]
    by_mass: tuple[Bin, ...]


@dataclass(frozen=True)
class WordEnd:
    """Where a word ends in its recording."""

    sample: int
    """One past its last sample, as training estimates it."""
    known: bool
    """False where noise hides the end: no latency counts from there."""


def word_ends_of(paths: Sequence[Path], jobs: int | None = None) -> list[WordEnd]:
    """Where the word of each utterance ends, by its sound; the same rule as in training.

    Raises `ConfigError` for an unreadable file.
    """
    return list(map_in_processes(_word_end, paths, jobs=jobs if len(paths) >= FEWEST_CLIPS_FOR_PROCESSES else 1))


def scored_windows(simulated: SimulatedSplit, word_ends: Sequence[WordEnd]) -> tuple[Truth, Scores]:
    """The windows of a split: truth bool `[n]`, probabilities float64 `[n]` in 0-1; utterances first, then negatives in
    order.
    """
    positives, negatives = simulated.positives, simulated.negatives
    truth, levels = windows_of(
        positives.recordings, word_ends, positives.stride, positives.probabilities, negatives.probabilities
    )
    return truth, levels / contract.PROBABILITY_MAX


def windows_of[Value: (np.uint8, np.float32)](
    words: Sequence[Recording],
    word_ends: Sequence[WordEnd],
    stride: int,
    positives: NDArray[Value],
    negatives: NDArray[Value],
) -> tuple[Truth, NDArray[Value]]:
    """The windows of a split among what a model gave at each inference of both its streams: truth bool `[n]`, values
    `[n]`; utterances first, then negatives in order.
    """
    chosen = [
        (first_slice_after(recording.start + word_end.sample) + SLICES_AFTER_WORD + 1) // stride - 1
        for recording, word_end in zip(words, word_ends, strict=True)
    ]
    values = np.concatenate([positives[chosen], negatives[:: max(1, SLICES_BETWEEN_NEGATIVES // stride)]])
    return np.arange(len(values)) < len(chosen), values


def window_metrics(truth: Truth, scores: Scores, threshold: float) -> WindowMetrics:
    """All classic figures. Raises `ValueError` unless both kinds of windows are there."""
    counts, roc, steps = confusion(truth, scores, threshold), roc_curve(truth, scores), threshold_counts(truth, scores)
    false_rates, recalls = steps.false_positives / steps.negatives, steps.true_positives / steps.positives
    return WindowMetrics(
        positives=steps.positives,
        negatives=steps.negatives,
        threshold=threshold,
        accuracy=counts.accuracy,
        precision=counts.precision,
        recall=counts.recall,
        f1=counts.f1,
        auc=roc_auc(roc),
        partial_auc=partial_auc(roc, PARTIAL_AUC_LIMIT),
        average_precision=average_precision(precision_recall_curve(truth, scores)),
        equal_error=equal_error_rate(roc),
        thresholds=tuple(
            (float(t), float(f), float(r)) for t, f, r in zip(THRESHOLDS, false_rates, recalls, strict=True)
        ),
    )


def calibration_of(truth: Truth, scores: Scores) -> ProbabilityCalibration:
    """How far the probabilities can be taken at their word."""
    curve = partial(calibration_curve, truth, scores)
    by_mass = curve(binning="mass")
    return ProbabilityCalibration(
        base_rate=base_rate(truth),
        brier_score=brier_score(truth, scores),
        brier_skill=brier_skill(truth, scores),
        error=calibration_error(by_mass),
        by_width=curve(binning="width"),
        by_mass=by_mass,
    )


def _word_end(path: Path) -> WordEnd:
    samples = read_samples(path)
    word = word_place(path, samples)
    return WordEnd(word.end, word.in_flow or known_utterance_end(samples) is not None)
