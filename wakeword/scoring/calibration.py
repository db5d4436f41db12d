"""Calibration: whether a model that says 0.8 is right four times of five.

Task: given windows, their truth and the probability that a model gave each, compare probabilities with frequencies. A
cutoff is chosen by counting, so a badly calibrated model may detect well; but its cutoffs then crowd into a few uint8
steps, which shows here first.

Conventions
-----------
- `truth` is bool `[n]`, `probabilities` float `[n]`, 0 to 1, same order.
- Frequencies depend on the mixture: of windows drawn 1 : 100 a model that was trained with weights 1 : 20 cannot be
  calibrated. Figures of two mixtures are not comparable; `base_rate` goes with each.
- Intervals are Clopper and Pearson's and take windows for independent. Those of one recording are not, so true
  intervals are wider.

Metrics
-------
- `brier_score`: mean squared difference (Brier 1950, Monthly Weather Review 78:1), 0 best; `brier_skill` against always
  saying the base rate.
- `calibration_curve`: a bin's mean probability against its frequency, in bins of equal width or of equal mass.
- `fit_temperature`: the number by which log-odds are divided so that the probabilities are likeliest (Guo et al. 2017,
  ICML, section 4.2); `negative_log_likelihood` is what it makes smallest.
- `calibration_error`: mean distance of the two, weighted by windows (Naeini et al. 2015, AAAI: expected calibration
  error), and the largest one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wakeword.scoring.classification import Scores, Truth
from wakeword.scoring.classification import validate as validate_scores
from wakeword.scoring.rates import Interval, clopper_pearson

Binning = Literal["width", "mass"]
BINS = 10
HIGHEST_TEMPERATURE = 20.0
HALF_STEP = 1 / 510


@dataclass(frozen=True)
class Bin:
    """Windows of similar probability."""

    low: float
    high: float
    """Bounds: of equal width the bin's own, of equal mass the lowest and highest probability in it."""
    windows: int
    positives: int
    mean_probability: float
    interval: Interval
    """95 % interval of the frequency."""

    @property
    def frequency(self) -> float:
        """Share of windows that hold the wake word."""
        return self.positives / self.windows


@dataclass(frozen=True)
class CalibrationError:
    """Distance of probabilities from frequencies, 0 best; both depend on the bins."""

    expected: float
    largest: float


def validate(truth: Truth, probabilities: Scores) -> None:
    """Raise `ValueError` unless there are windows with a probability each."""
    validate_scores(truth, probabilities, both_kinds=False)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(f"probabilities from {probabilities.min()} to {probabilities.max()} are not all in 0-1")


def brier_score(truth: Truth, probabilities: Scores) -> float:
    """Mean of (p - y)^2, y being 1 with the wake word and 0 without. Raises `ValueError` as `validate` does."""
    validate(truth, probabilities)
    return float(np.mean((probabilities.astype(np.float64) - truth) ** 2))


def brier_skill(truth: Truth, probabilities: Scores) -> float:
    """1 - B / (b (1 - b)) with the base rate b: 1 is perfect, 0 no better than always saying b, NaN when all windows
    are of one kind.
    """
    base = base_rate(truth)
    score = brier_score(truth, probabilities)
    return 1 - score / (base * (1 - base)) if 0 < base < 1 else float("nan")


def base_rate(truth: Truth) -> float:
    """Share of windows that hold the wake word."""
    return float(truth.mean())


def calibration_curve(
    truth: Truth, probabilities: Scores, bins: int = BINS, binning: Binning = "width"
) -> tuple[Bin, ...]:
    """The reliability diagram's points, by rising probability; empty bins are left out.

    `width` cuts 0-1 into equal parts, upper bounds belonging to the next (1 to the last): most windows of a good
    detector fall into the first and last. `mass` cuts the windows into parts of equal number (to one), equal
    probabilities never apart, so there may be fewer bins. Raises `ValueError` as `validate` does, and for less than one
    bin.
    """
    validate(truth, probabilities)
    if bins < 1:
        raise ValueError(f"{bins} bins hold nothing")
    order = np.argsort(probabilities, kind="stable")
    values, truths = probabilities[order].astype(np.float64), truth[order]
    parts = _equal_width(values, bins) if binning == "width" else _equal_mass(values, bins)
    return tuple(
        Bin(
            low,
            high,
            stop - start,
            positives := int(truths[start:stop].sum()),
            float(values[start:stop].mean()),
            clopper_pearson(positives, stop - start),
        )
        for low, high, start, stop in parts
        if stop > start
    )


def calibration_error(curve: tuple[Bin, ...]) -> CalibrationError:
    """Weighted mean and largest distance between mean probability and frequency of a curve's bins. Raises `ValueError`
    without bins.
    """
    if not curve:
        raise ValueError("a curve without bins has no error")
    distances = np.array([abs(part.mean_probability - part.frequency) for part in curve])
    return CalibrationError(
        float(np.average(distances, weights=[part.windows for part in curve])), float(distances.max())
    )


def log_odds(probabilities: Scores) -> NDArray[np.float64]:
    """Of probabilities in steps of 1/255, 0 to 1, float64 `[n]`; the first and the last step are taken for their
    middle, half a step from the end.
    """
    inside = np.clip(probabilities.astype(np.float64), HALF_STEP, 1 - HALF_STEP)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def negative_log_likelihood(truth: Truth, logits: NDArray[np.float64], temperature: float = 1.0) -> float:
    """Mean of -log p of what is true, p being the sigmoid of `logits / temperature`, 0 best; logits float64 `[n]`."""
    return float(np.mean(np.logaddexp(0.0, np.where(truth, -logits, logits) / temperature)))


def fit_temperature(truth: Truth, logits: NDArray[np.float64]) -> float:
    """The temperature with the smallest `negative_log_likelihood`, from 1/20 to 20.

    One number is fitted, and the mean is convex in its inverse, so the minimum is the only one. Raises `ValueError`
    unless both kinds of windows are there.
    """
    from scipy.optimize import minimize_scalar

    validate_scores(truth, logits)
    found = minimize_scalar(
        lambda inverse: negative_log_likelihood(truth, logits, 1 / inverse),
        bounds=(1 / HIGHEST_TEMPERATURE, HIGHEST_TEMPERATURE),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(1 / found.x)


def _equal_width(values: NDArray[np.float64], bins: int) -> Iterator[tuple[float, float, int, int]]:
    edges = np.linspace(0, 1, bins + 1)
    places = np.searchsorted(values, edges, side="left")
    places[-1] = len(values)
    for index in range(bins):
        yield float(edges[index]), float(edges[index + 1]), int(places[index]), int(places[index + 1])


def _equal_mass(values: NDArray[np.float64], bins: int) -> Iterator[tuple[float, float, int, int]]:
    start = 0
    for index in range(1, bins + 1):
        cut = round(len(values) * index / bins)
        if cut <= start:
            continue
        stop = int(np.searchsorted(values, values[cut - 1], side="right"))
        yield float(values[start]), float(values[stop - 1]), start, stop
        start = stop
