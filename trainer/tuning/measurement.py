"""Figures on the test split, which was not used to choose anything, and what they prove of the targets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trainer.data.split import Split
from trainer.inference.splits import SimulatedSplit
from trainer.tuning.operating_point import PointChoice, Targets
from wakeword.scoring.rates import Interval, clopper_pearson, garwood


class TargetVerdict(StrEnum):
    """What a figure and its 95 % interval say of a target."""

    PROVEN = "reached, certain"
    """The whole interval is on the right side."""
    MET = "reached, not certain"
    """The figure is on the right side, a part of its interval is not."""
    MISSED = "missed, not certain"
    """The figure is on the wrong side, a part of its interval is not."""
    DISPROVEN = "missed, certain"
    """The whole interval is on the wrong side."""


@dataclass(frozen=True)
class SplitMeasurement:
    """One model at one operating point over one split."""

    weights_sha256: str
    window: int
    cutoff: int
    found: int
    utterances: int
    false_accepts: int
    after_words: int
    """Those among the false accepts that are in the stream of wake words: a second detection, or one that comes too
    late.
    """
    hours: float
    """Of negatives and of the stream of wake words, pauses included."""

    @property
    def recall(self) -> float:
        """Share of utterances found."""
        return self.found / self.utterances

    @property
    def recall_interval(self) -> Interval:
        """Clopper-Pearson, 95 %."""
        return clopper_pearson(self.found, self.utterances)

    @property
    def per_hour(self) -> float:
        """False accepts."""
        return self.false_accepts / self.hours

    @property
    def per_hour_interval(self) -> Interval:
        """Garwood, 95 %."""
        return garwood(self.false_accepts, self.hours)

    @property
    def rates(self) -> dict[str, Any]:
        """All four, for readers of a record: they follow from the counts."""
        intervals = {"recall_95": self.recall_interval, "false_accepts_per_hour_95": self.per_hour_interval}
        low_high = {name: [interval.low, interval.high] for name, interval in intervals.items()}
        return {"recall": self.recall, "false_accepts_per_hour": self.per_hour, **low_high}


def measure(simulated: SimulatedSplit, point: PointChoice, weights_sha256: str) -> SplitMeasurement:
    """Count at a point that validation chose.

    Raises `ValueError` for any split but test: others have chosen something.
    """
    if simulated.split is not Split.TEST:
        raise ValueError(f"{simulated.split} data has chosen what it would measure")
    cutoff, window = point.choice.cutoff, point.window
    (_, positives), (_, negatives) = simulated.decided(cutoff, window)
    total = positives + negatives
    return SplitMeasurement(
        weights_sha256=weights_sha256,
        window=window,
        cutoff=cutoff,
        found=total.found,
        utterances=total.utterances,
        false_accepts=total.false_accepts,
        after_words=positives.false_accepts,
        hours=total.scored_seconds / 3600,
    )


def hours_to_prove(false_accepts_per_hour: float) -> float:
    """Hours without a false accept from which on the whole interval is at or under a target: 12.3 for 0.3 an hour."""
    return garwood(0, 1.0).high / false_accepts_per_hour


def recall_verdict(measurement: SplitMeasurement, targets: Targets) -> TargetVerdict:
    """Of the target of recall, which is a lower bound."""
    interval = measurement.recall_interval
    return _verdict(measurement.recall - targets.recall, interval.low - targets.recall, interval.high - targets.recall)


def false_accepts_verdict(measurement: SplitMeasurement, targets: Targets) -> TargetVerdict:
    """Of the target of false accepts an hour, which is an upper bound."""
    interval, target = measurement.per_hour_interval, targets.false_accepts_per_hour
    return _verdict(target - measurement.per_hour, target - interval.high, target - interval.low)


def _verdict(margin: float, worst: float, best: float) -> TargetVerdict:
    """By how far a figure, and the two ends of its interval, are on the right side of a target."""
    if margin >= 0:
        return TargetVerdict.PROVEN if worst >= 0 else TargetVerdict.MET
    return TargetVerdict.MISSED if best >= 0 else TargetVerdict.DISPROVEN
