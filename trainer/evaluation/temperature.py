"""What temperature scaling fitted on validation would do to a model's calibration (Guo et al., "On Calibration of
Modern Neural Networks", 2017, section 4.2).

A figure alone: the export does not have it. What is folded into a model's head is chosen for the device's 256 steps of
output instead (`trainer.inference.temperature`).
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeword.scoring.calibration import (
    calibration_curve,
    calibration_error,
    fit_temperature,
    log_odds,
    negative_log_likelihood,
)
from wakeword.scoring.classification import Scores, Truth


@dataclass(frozen=True)
class FittedTemperature:
    """The temperature of validation's windows, and the windows of the evaluated split without and with it."""

    temperature: float
    """By which log-odds would be divided: above 1 the model is surer than it is right."""
    fitted_windows: int
    """Of validation."""
    likelihood_before: float
    """Mean negative log-likelihood of the evaluated windows."""
    likelihood_after: float
    error_before: float
    """Expected calibration error of the same, in bins of equal mass; the output's first and last step are taken for
    their middle on both sides."""
    error_after: float


def fitted_temperature(fitted_on: tuple[Truth, Scores], measured_on: tuple[Truth, Scores]) -> FittedTemperature:
    """Fit on one set of windows (truth bool `[n]`, probabilities 0-1 `[n]`) and measure on another. Raises `ValueError`
    unless both kinds of windows are in both.
    """
    temperature = fit_temperature(fitted_on[0], log_odds(fitted_on[1]))
    truth, probabilities = measured_on
    logits = log_odds(probabilities)
    return FittedTemperature(
        temperature,
        len(fitted_on[0]),
        negative_log_likelihood(truth, logits),
        negative_log_likelihood(truth, logits, temperature),
        _error(truth, _sigmoid(logits)),
        _error(truth, _sigmoid(logits / temperature)),
    )


def _error(truth: Truth, probabilities: Scores) -> float:
    return calibration_error(calibration_curve(truth, probabilities, binning="mass")).expected


def _sigmoid(logits: Scores) -> Scores:
    import numpy as np

    return np.asarray(1 / (1 + np.exp(-logits)))
