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

from trainer.mixednet import graph

WORD_LOG_ODDS = 4.0
"""Where half of the wake words lie at most: a probability of 0.982, which is 251 of 255."""


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
