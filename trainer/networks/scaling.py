"""From the device's int8 features to the model's float input, exactly as the exported model's input
dequantises them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakeword import contract

FEATURE_MIN = contract.INPUT_ZERO_POINT
"""The int8 value of silence, and of what lies before a recording."""
FLOAT_MAX = 26.0
"""The model's float input spans 0 to 26: `(q + 128) * 26 / 255`."""


def dequantise(features: NDArray[np.int8]) -> NDArray[np.float32]:
    """Int8 features of any shape to float32 of the same shape, 0.0 to 26.0."""
    return (features.astype(np.float32) - np.float32(contract.INPUT_ZERO_POINT)) * np.float32(contract.INPUT_SCALE)
