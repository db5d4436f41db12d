"""Validation scores, and which of two checkpoints is the better one."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config.training_sections import TrainingSection
from wakeword.scoring.rates import garwood
from wakeword.scoring.tail import BOUND_CONFIDENCE


@dataclass(frozen=True)
class ValidationScores:
    """What an evaluation during training measures, on data that trains nothing."""

    recall: float
    """Share of utterances found, 0 to 1."""
    false_accepts_per_hour: float
    average_viable_recall: float
    """Mean recall over 0 to 2 false accepts per hour, 0 to 1."""
    recall_at_no_faph: float = 0.0
    """Highest recall of all cutoffs without a false accept, 0 to 1."""
    hard_recall: float | None = None
    """Share of utterances found in hard conditions, 0 to 1; None where nobody hears them so, as where people
    validate."""
    expected_recall: float | None = None
    """Recall over all conditions that is expected at the target of false accepts, 0 to 1
    (`wakeword.scoring.separation`); None as above."""
    hours: float = 0.0
    """What the false accepts are counted in."""
    loss: float | None = None
    """Mean cross-entropy of the windows that `mww-evaluate` takes too, one an utterance and one every 300 ms of the
    negatives, without weights. This and what follows say nothing of a device, and choose nothing; None where a run had
    none."""
    accuracy: float | None = None
    """Share of those windows judged rightly at a probability of one half, 0 to 1; what follows is of them too."""
    precision: float | None = None
    """Share of the accepted windows that hold the wake word; None when nothing was accepted."""
    f1: float | None = None
    """Harmonic mean of precision and of the share of utterances accepted."""
    auc: float | None = None
    """Area under the ROC."""


@dataclass(frozen=True)
class Checkpoint:
    """The scores of the weights after so many steps."""

    step: int
    scores: ValidationScores

    def line(self, best: bool) -> str:
        """What a log says of an evaluation."""
        scores = self.scores
        hard = ""
        if scores.hard_recall is not None and scores.expected_recall is not None:
            hard = f", {scores.hard_recall:.1%} in hard conditions, expected recall {scores.expected_recall:.4f}"
        return (
            f"step {self.step}: recall {scores.recall:.1%}, {scores.false_accepts_per_hour:.2f} false accepts/h,"
            f" average viable recall {scores.average_viable_recall:.3f}, recall at no false accepts"
            f" {scores.recall_at_no_faph:.1%}{hard}{self._windows()}{'  (best)' if best else ''}"
        )

    def _windows(self) -> str:
        scores = self.scores
        if scores.loss is None or scores.accuracy is None or scores.f1 is None or scores.auc is None:
            return ""
        precision = "none accepted" if scores.precision is None else f"precision {scores.precision:.3f}"
        return (
            f"; windows: loss {scores.loss:.4f}, accuracy {scores.accuracy:.4f}, {precision}, F1 {scores.f1:.3f}, AUC"
            f" {scores.auc:.4f}"
        )


def is_better(candidate: Checkpoint, best: Checkpoint, settings: TrainingSection) -> bool:
    """Whether a candidate replaces the best checkpoint so far.

    Two priorities, as microWakeWord documents them: one that is at or under the target of false accepts per hour beats
    one above it; of two at or under it the higher maximization metric wins; of two above it the fewer false accepts
    win. A tie goes to the higher recall, then the fewer false accepts. Of equals the later one wins: where validation
    shows no difference, the one that was trained longer, at the lower learning rate, is the better guess.

    The expected recall is already measured at the target. So where it decides, a checkpoint counts as above the target
    only if its false accepts prove it (one-sided 95 %): one in an hour does not. Weights of step 12,000 that had one,
    of which people were found more often, once lost to those of step 6,000. It also moves by a tenth from one
    evaluation to the next while the learning rate is high, so the highest of many is often the highest by chance. Of
    two checkpoints at or under the target, the one of the later phase therefore counts: weights of step 2,500 that had
    the highest value found 231 people of 384 at four false accepts, those of step 8,000, the last, 283. So it is with
    the schedule `phases` alone: the phases of another have no rates of their own.
    """
    return _rank(candidate, settings) >= _rank(best, settings)


def figure(checkpoint: Checkpoint, settings: TrainingSection) -> float:
    """One number for what chooses checkpoints, so that whole trainings can be compared.

    At or under the target of false accepts it is the maximization metric, 0 to 1. Above it, it is below 0, the lower
    the more false accepts: `-x / (1 + x)` with x false accepts an hour above the target.
    """
    reaches, value, rate = _standing(checkpoint, settings)
    above = rate - settings.target_minimization
    return value if reaches else -above / (1 + above)


def _rank(checkpoint: Checkpoint, settings: TrainingSection) -> tuple[bool, int, float, float, float]:
    scores = checkpoint.scores
    reaches, value, rate = _standing(checkpoint, settings)
    if reaches:
        by_phase = settings.schedule == "phases" and metric_of(scores, settings) == "expected_recall"
        phase = settings.phase_of(checkpoint.step - 1) if by_phase else 0
        return True, phase, value, scores.recall, -scores.false_accepts_per_hour
    return False, 0, -rate, scores.recall, 0.0


def _standing(checkpoint: Checkpoint, settings: TrainingSection) -> tuple[bool, float, float]:
    """Whether a checkpoint is at or under the target, its maximization metric, and its false accepts an hour.

    Where the expected recall decides, that is the rate which its false accepts prove.
    """
    scores = checkpoint.scores
    metric, rate = metric_of(scores, settings), scores.false_accepts_per_hour
    if metric == "expected_recall" and scores.hours:
        rate = garwood(round(rate * scores.hours), scores.hours, BOUND_CONFIDENCE).low
    value = getattr(scores, metric)
    return rate <= settings.target_minimization, -1.0 if value is None else float(value), rate


def metric_of(scores: ValidationScores, settings: TrainingSection) -> str:
    """The maximization metric; `auto` is the expected recall where synthetic words validate, else the average viable
    recall.
    """
    automatic = "average_viable_recall" if scores.expected_recall is None else "expected_recall"
    return automatic if settings.maximization_metric == "auto" else settings.maximization_metric
