"""The mean of a model's weights over steps: what is evaluated and kept, since single steps differ by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class WeightMean:
    """A weighted sum beside a model's weights, statistics of normalisation included, which training does not see.

    What is kept of it and what is added decide what mean it is: kept + added = 1 gives an exponential one, 1 and 1 the
    arithmetic one of so many moments.
    """

    def __init__(self, weights: Sequence[Any], dtype: str = "float32") -> None:
        """Of variables of Keras; begins at their present values. `dtype` is what it adds up in."""
        import keras

        self._weights, self._dtype = tuple(weights), dtype
        self.variables = [keras.Variable(weight, dtype=dtype, trainable=False) for weight in self._weights]
        """The sum of each weight."""

    def take_in(self, kept: Any, added: Any) -> None:
        """Keep a share of the sum, and add one of the present weights; each a number, or a scalar tensor of its dtype.

        May be called while a step is compiled, and is a part of it then.
        """
        import tensorflow as tf

        for weight, total in zip(self._weights, self.variables, strict=True):
            total.assign(kept * total + added * tf.cast(weight.value, self._dtype))

    def assign(self, moments: int = 1) -> None:
        """Give the model the sum, divided by as many moments."""
        for weight, total in zip(self._weights, self.variables, strict=True):
            weight.assign(total / moments)
