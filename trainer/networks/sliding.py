"""The float model over whole recordings, for validation while training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.networks import graph
from trainer.networks.models import build_model
from trainer.networks.scaling import FEATURE_MIN
from wakeword import contract

BLOCK_POSITIONS = 8192
"""Most probabilities a call: bounds the memory of a long recording to some 50 MB."""
SHORTEST_BLOCK, LONGER_BY = 128, 4
"""XLA compiles for one length, so a shorter recording is filled up to the next of a few."""


class SlidingModel:
    """Probabilities of a network at every stride of a recording, with weights taken from a model in training."""

    def __init__(self, config: NetworkConfig, slices: int, representative: NDArray[np.float32] | None = None) -> None:
        """With a `representative` stream, float32 features `[slices, 40]`, the arithmetic is that of the model's int8
        export (`FakeQuantised`), with ranges of that stream; the probabilities are not rounded to the output's steps.
        """
        import tensorflow as tf

        from trainer.networks.arithmetic import arithmetic_of
        from trainer.networks.channel_first import dequantised
        from trainer.networks.fake_quantization import FakeQuantised

        self._stride, self._slices = config.stride, slices
        self.model = build_model(config, slices)
        self._quantised = None if representative is None else FakeQuantised(self.model, config, representative)
        arithmetic = self._quantised or arithmetic_of(self.model, config)
        self._call = tf.function(
            lambda features: tf.sigmoid(arithmetic.slide(dequantised(features))),
            jit_compile=arithmetic.compiled,
            autograph=False,
        )

    def load(self, model: Any) -> None:
        """Take over the weights of a model from `build_model`. Raises `ConfigError` when it has other layers."""
        graph.copy_weights(model, self.model)
        if self._quantised is not None:
            self._quantised.collect()

    def run(self, features: NDArray[np.int8]) -> NDArray[np.float32]:
        """Int8 features `[n, 40]` to one probability a stride, float32 `[(n - slices) // stride + 1]` (empty below
        `slices`).

        Probability i has read exactly the slices `i * stride` to `i * stride + slices - 1`, so a caller that wants one
        for the beginning of a recording puts silence before it.
        """
        positions = max(0, (len(features) - self._slices) // self._stride + 1)
        result = np.empty(positions, np.float32)
        for first in range(0, positions, BLOCK_POSITIONS):
            last = min(first + BLOCK_POSITIONS, positions)
            block = features[first * self._stride : (last - 1) * self._stride + self._slices]
            result[first:last] = self._run(block, last - first)
        return result

    def _run(self, block: NDArray[np.int8], positions: int) -> NDArray[np.float32]:
        compiled = SHORTEST_BLOCK
        while compiled < positions:
            compiled = min(compiled * LONGER_BY, BLOCK_POSITIONS)
        missing = (compiled - 1) * self._stride + self._slices - len(block)
        if missing:
            block = np.concatenate([block, np.full((missing, contract.FEATURE_CHANNELS), FEATURE_MIN, np.int8)])
        probabilities: NDArray[np.float32] = self._call(block).numpy()[:positions]
        return probabilities
