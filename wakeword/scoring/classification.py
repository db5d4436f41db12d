"""Classic metrics of scored windows: for comparison with other trainers, never for a promise about a device.

Task: given windows that hold the wake word or do not, and a score for each, say how well the scores tell them apart. A
device decides on a sliding mean with a hold-off over everything that it hears, so recall here is not recall there;
`matching` and `det` measure that.

Conventions
-----------
- `truth` is bool `[n]`, True where the wake word is in the window; `scores` is float `[n]`, higher is surer, mostly 0
  to 1; same order.
- A score is accepted when it is *above* a threshold, as on the device and in Keras. A point of a `Roc` or
  `PrecisionRecall` accepts all scores from its `lowest_accepted` upwards, ties together: no order among equal scores is
  invented.
- Counts first, rates last: `Confusion` adds up over sets of windows. A rate without a denominator is NaN.
- Curves are made of every distinct score. Between two points of a ROC the straight line is real (Provost and Fawcett
  1998: a coin that takes the one threshold or the other reaches it), so values between points are interpolated along
  it. Between points of a precision-recall curve it is not (Davis and Goadrich 2006, ICML), so average precision is a
  sum of steps.

Metrics
-------
- `confusion`, `threshold_counts`: counts at one threshold and at 101 thresholds; accuracy, precision, recall, F1 of
  them.
- `roc_curve`, `roc_auc`: area under the ROC; the probability that a wake word outscores another window, ties half
  (Mann-Whitney).
- `cross_entropy`: mean negative log-likelihood of probabilities.
- `partial_auc`: area up to a rate of false positives, standardised (McClish 1989, Medical Decision Making 9:190).
- `equal_error_rate`: where the rates of misses and of false positives are equal.
- `precision_recall_curve`, `average_precision`: sum of precision times the step in recall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Truth = NDArray[np.bool_]
Scores = NDArray[np.floating]
Rates = NDArray[np.float64]

THRESHOLDS: Rates = np.linspace(0.0, 1.0, 101)
"""As microWakeWord's: 0, 0.01, ..., 1."""
PARTIAL_AUC_LIMIT = 0.1
NEAREST_TO_CERTAIN = 1e-7


@dataclass(frozen=True)
class Confusion:
    """Counts of windows at one threshold, or the sum of several sets."""

    true_positives: int = 0
    false_positives: int = 0
    true_negatives: int = 0
    false_negatives: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.true_negatives + other.true_negatives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def windows(self) -> int:
        """All of them."""
        return self.true_positives + self.false_positives + self.true_negatives + self.false_negatives

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all."""
        return share(self.true_positives + self.true_negatives, self.windows)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); NaN when nothing was accepted."""
        return share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall."""
        return share(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)


@dataclass(frozen=True)
class ThresholdCounts:
    """Windows accepted at each of many thresholds, and how many there are."""

    thresholds: Rates
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    positives: int
    negatives: int

    def at(self, index: int) -> Confusion:
        """The counts at one threshold."""
        accepted, false = int(self.true_positives[index]), int(self.false_positives[index])
        return Confusion(accepted, false, self.negatives - false, self.positives - accepted)


@dataclass(frozen=True)
class Roc:
    """Points from (0, 0), nothing accepted, to (1, 1), all accepted: one a distinct score, both rates never falling."""

    false_positive_rates: Rates
    true_positive_rates: Rates
    lowest_accepted: Rates
    """Infinity at the first point."""


@dataclass(frozen=True)
class EqualError:
    """Where as large a share of wake words is missed as of other windows accepted."""

    rate: float
    threshold: float
    """The lowest accepted score there, interpolated as the rate is; infinity where nothing is accepted."""


@dataclass(frozen=True)
class PrecisionRecall:
    """Points by falling score, one a distinct score; recall never falls."""

    precisions: Rates
    recalls: Rates
    lowest_accepted: Rates


def validate(truth: Truth, scores: Scores, *, both_kinds: bool = True) -> None:
    """Raise `ValueError` unless there are windows (of both kinds, where asked for), one finite score each."""
    if truth.dtype != np.bool_ or truth.ndim != 1 or scores.shape != truth.shape:
        raise ValueError(
            f"truth must be bool [n] and scores [n], got {truth.dtype} {list(truth.shape)} and {list(scores.shape)}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    if not len(truth) or (both_kinds and (truth.all() or not truth.any())):
        raise ValueError(f"{int(truth.sum())} windows with the wake word of {len(truth)}: both kinds are needed")


def confusion(truth: Truth, scores: Scores, threshold: float) -> Confusion:
    """Counts when scores above `threshold` are accepted. Raises `ValueError` without windows."""
    validate(truth, scores, both_kinds=False)
    accepted = scores > threshold
    return Confusion(
        true_positives=int((accepted & truth).sum()),
        false_positives=int((accepted & ~truth).sum()),
        true_negatives=int((~accepted & ~truth).sum()),
        false_negatives=int((~accepted & truth).sum()),
    )


def cross_entropy(truth: Truth, probabilities: Scores) -> float:
    """Mean of -log p of what is true, 0 best; probabilities are kept 1e-7 from 0 and 1, as Keras does. Raises
    `ValueError` without windows.
    """
    validate(truth, probabilities, both_kinds=False)
    inside = np.clip(probabilities.astype(np.float64), NEAREST_TO_CERTAIN, 1 - NEAREST_TO_CERTAIN)
    return float(-np.mean(np.where(truth, np.log(inside), np.log1p(-inside))))


def threshold_counts(truth: Truth, scores: Scores, thresholds: Rates = THRESHOLDS) -> ThresholdCounts:
    """Counts at each threshold, in O((n + t) log n). Raises `ValueError` without windows."""
    validate(truth, scores, both_kinds=False)

    def accepted(values: Scores) -> NDArray[np.int64]:
        return len(values) - np.searchsorted(np.sort(values), thresholds, side="right").astype(np.int64)

    return ThresholdCounts(
        thresholds, accepted(scores[truth]), accepted(scores[~truth]), int(truth.sum()), int((~truth).sum())
    )


def roc_curve(truth: Truth, scores: Scores) -> Roc:
    """The receiver operating characteristic. Raises `ValueError` unless both kinds of windows are there."""
    validate(truth, scores)
    values, positives, negatives = _accepted_by_score(truth, scores)
    return Roc(
        np.append(0.0, negatives / negatives[-1]),
        np.append(0.0, positives / positives[-1]),
        np.append(np.inf, values),
    )


def roc_auc(roc: Roc) -> float:
    """Area under the ROC by trapezoids, which count ties half: U / (positives * negatives) of Mann and Whitney."""
    return float(np.trapezoid(roc.true_positive_rates, roc.false_positive_rates))


def true_positive_rate_at(roc: Roc, false_positive_rate: float) -> float:
    """The share of wake words accepted at a rate of false positives, on the line between points; the best where the
    curve is vertical.

    Raises `ValueError` for a rate outside 0-1.
    """
    if not 0 <= false_positive_rate <= 1:
        raise ValueError(f"{false_positive_rate} is no rate")
    after = int(np.searchsorted(roc.false_positive_rates, false_positive_rate, side="right"))
    if after == len(roc.false_positive_rates):
        return float(roc.true_positive_rates[-1])
    x0, x1 = roc.false_positive_rates[after - 1 : after + 1]
    y0, y1 = roc.true_positive_rates[after - 1 : after + 1]
    return float(y0 + (y1 - y0) * (false_positive_rate - x0) / (x1 - x0))


def partial_auc(roc: Roc, highest_rate: float = PARTIAL_AUC_LIMIT) -> float:
    """Area under the ROC for false positive rates up to `highest_rate`, standardised to 0.5 for chance and 1 for
    perfection.

    (1 + (A - low) / (high - low)) / 2 with low = r^2 / 2 (the diagonal) and high = r (McClish 1989). The curve is cut
    on the line between its points. Raises `ValueError` unless 0 < highest_rate <= 1.
    """
    if not 0 < highest_rate <= 1:
        raise ValueError(f"a partial area up to a rate of {highest_rate} is none")
    inside = roc.false_positive_rates <= highest_rate
    x = np.append(roc.false_positive_rates[inside], highest_rate)
    y = np.append(roc.true_positive_rates[inside], true_positive_rate_at(roc, highest_rate))
    area, low, high = float(np.trapezoid(y, x)), highest_rate**2 / 2, highest_rate
    return (1 + (area - low) / (high - low)) / 2


def equal_error_rate(roc: Roc) -> EqualError:
    """The crossing of the ROC with the line on which misses and false positives are equally frequent.

    Between the points before and behind it the ROC is straight, so the crossing is exact (Provost and Fawcett 1998);
    what is common, the mean of both rates at the nearest point, depends on where the scores happen to lie.
    """
    misses = 1 - roc.true_positive_rates
    excess = roc.false_positive_rates - misses  # from -1 to 1, never falling
    behind = int(np.argmax(excess >= 0))
    before = behind - 1
    share = float(-excess[before] / (excess[behind] - excess[before]))
    rate = float(
        roc.false_positive_rates[before] + share * (roc.false_positive_rates[behind] - roc.false_positive_rates[before])
    )
    low, high = float(roc.lowest_accepted[behind]), float(roc.lowest_accepted[before])
    # Before the first score there is no threshold to interpolate from.
    return EqualError(rate, low if np.isinf(high) or share == 1 else high + share * (low - high))


def precision_recall_curve(truth: Truth, scores: Scores) -> PrecisionRecall:
    """Precision and recall at every distinct score. Raises `ValueError` unless both kinds of windows are there."""
    validate(truth, scores)
    values, positives, negatives = _accepted_by_score(truth, scores)
    return PrecisionRecall(positives / (positives + negatives), positives / positives[-1], values)


def average_precision(curve: PrecisionRecall) -> float:
    """Sum over distinct scores of (R_n - R_(n-1)) P_n: the precision at which wake words are found, by
    falling score."""
    return float(np.sum(np.diff(curve.recalls, prepend=0.0) * curve.precisions))


def _accepted_by_score(truth: Truth, scores: Scores) -> tuple[Rates, NDArray[np.int64], NDArray[np.int64]]:
    """Distinct scores, falling, and how many windows of either kind score as much or more."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(np.float64)
    last_of_value = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    positives = np.cumsum(truth[order], dtype=np.int64)[last_of_value]
    return ranked[last_of_value], positives, last_of_value + 1 - positives


def share(part: float, whole: float) -> float:
    """A part of a whole, NaN where there is no whole."""
    return part / whole if whole else float("nan")
