"""The float model over whole recordings, for validation while training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.mixednet import graph
from trainer.mixednet.config import MixedNetConfig
from trainer.mixednet.models import build_sliding
from trainer.mixednet.scaling import dequantise
from wakeword import contract

BLOCK_POSITIONS = 4096
"""Probabilities a call: bounds the memory of a long recording to some 100 MB."""


class SlidingModel:
    """Probabilities of a MixedNet at every stride of a recording, with weights taken from a model in training."""

    def __init__(self, config: MixedNetConfig, slices: int) -> None:
        import tensorflow as tf

        self._stride, self._slices = config.stride, slices
        self._model = build_sliding(config, slices)
        signature = [tf.TensorSpec((1, None, contract.FEATURE_CHANNELS), tf.float32)]
        self._call = tf.function(lambda features: self._model(features, training=False), input_signature=signature)

    def load(self, model: Any) -> None:
        """Take over the weights of a model from `build_model`. Raises `ConfigError` when it has other layers."""
        graph.copy_weights(model, self._model)

    def run(self, features: NDArray[np.int8]) -> NDArray[np.float32]:
        """Int8 features `[n, 40]` to one probability a stride, float32 `[(n - slices) // stride + 1]` (empty below `slices`).

        Probability i has read exactly the slices `i * stride` to `i * stride + slices - 1`, so a caller that wants one for
        the beginning of a recording puts silence before it.
        """
        positions = max(0, (len(features) - self._slices) // self._stride + 1)
        result = np.empty(positions, np.float32)
        for first in range(0, positions, BLOCK_POSITIONS):
            last = min(first + BLOCK_POSITIONS, positions)
            block = features[first * self._stride : (last - 1) * self._stride + self._slices]
            result[first:last] = self._call(dequantise(block)[None])[0].numpy()
        return result
