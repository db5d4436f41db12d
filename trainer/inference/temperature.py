"""Temperature scaling: a model's logits divided by one number, folded into its head (Guo et al., "On Calibration of
Modern Neural Networks", 2017, section 4.2).

Guo et al. fit the number to the likelihood of validation data. Here it serves the device's output, whose 256 steps end
at a probability of 0.996, log-odds of 5.5. A long training gives wake words log-odds of 10 to 20, and the few false
accepts 6 to 9: all of them are 255 on the device, and no cutoff tells them apart. So the number brings the wake words
down to where the steps are fine. It changes neither the order of single inferences nor which of them are likelier than
not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.inference.models import FloatModel
from trainer.networks import graph
from wakeword.scoring.separation import average_log_odds, word_peaks
from wakeword.simulation.streams import PresentedStream

WORD_LOG_ODDS = 4.0
"""Where half of the wake words lie at most: a probability of 0.982, which is 251 of 255."""
_DIVISIONS = 3
"""Log-odds of float32 probabilities end at 16.6, so words beyond need more than one."""


def word_temperature(peaks: NDArray[np.float64]) -> float:
    """What logits are to be divided by, of the highest log-odds of each wake word, float64 `[words]`.

    1 where they are low enough, and where there are none: a model that is unsure is not made surer.
    """
    return max(1.0, float(np.median(peaks)) / WORD_LOG_ODDS) if len(peaks) else 1.0


def divide_logits(model: Any, temperature: float) -> None:
    """Fold a temperature into the head of a `keras.Model` of `build_model`, in place."""
    head = model.get_layer(graph.HEAD)
    for weight in head.weights:
        weight.assign(weight / temperature)


def bring_within_scale(model: Any, runner: FloatModel, words: PresentedStream, window: int) -> float:
    """Divide the logits of a `keras.Model` of `build_model`, in place, where its wake words are beyond the scale.

    Args:
        model: Whose logits are divided.
        runner: Runs its weights, which it takes over, over the words.
        words: Wake words as they are always presented.
        window: Inferences that the detector averages.

    Returns what the logits were divided by, 1 where nothing was.
    """
    divided = 1.0
    for _ in range(_DIVISIONS):
        runner.load(model)
        levels = average_log_odds(runner.probabilities(words.features), runner.stride, window)
        spoken = [recording.span for recording in words.recordings]
        temperature = word_temperature(word_peaks(levels, runner.stride, spoken))
        if temperature <= 1:
            break
        divide_logits(model, temperature)
        divided *= temperature
    return divided
