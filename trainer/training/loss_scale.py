"""Dynamic loss scaling, for steps that multiply in float16.

Micikevicius et al., "Mixed Precision Training" (2018), section 3.2: a float16 below 6e-8 is 0, and many gradients are.
So the loss is multiplied by a factor before its gradient is computed, which is then divided by it in float32. The
factor is as large as it can be: a step whose gradient overflows changes nothing and halves it, 2,000 in a row without
one double it. Bfloat16 has float32's range and needs none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

FIRST_FACTOR = 2.0**15
LEAST_FACTOR = 1.0
DOUBLED_AFTER = 2000
"""Steps in a row without an overflow."""


class LossScale:
    """The factor of a training. Imports TensorFlow: make one inside functions only."""

    def __init__(self) -> None:
        import keras

        self._factor = keras.Variable(FIRST_FACTOR, dtype="float32", trainable=False, name="loss_scale")
        self._good = keras.Variable(0, dtype="int32", trainable=False, name="steps_without_overflow")
        self.variables: list[Any] = [self._factor, self._good]

    def scaled(self, loss: Any) -> Any:
        """A loss times the factor."""
        return loss * self._factor.value

    def unscaled(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients of a scaled loss as those of the loss, float32."""
        return [gradient / self._factor.value for gradient in gradients]

    def around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """A step that moves the factor by what it gives.

        `step` gives a float32 vector that begins with the loss and ends with the norm of the gradient, and has changed
        nothing where these are not finite. Where the gradient alone is not, the factor was too large: then the norm is
        given as 0, since the step is no fault of the training, unless the factor cannot be less.
        """
        import tensorflow as tf

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow carries no types
        def run(*batch: Any) -> Any:
            sums = step(*batch)
            factor, good = tf.identity(self._factor.value), tf.identity(self._good.value) + 1
            finite, doubles = tf.math.is_finite(sums[0] + sums[-1]), good >= DOUBLED_AFTER
            self._factor.assign(
                tf.where(finite, tf.where(doubles, factor * 2.0, factor), tf.maximum(factor / 2.0, LEAST_FACTOR))
            )
            self._good.assign(tf.where(finite & ~doubles, good, 0))
            overflow = tf.math.is_finite(sums[0]) & ~finite & (factor > LEAST_FACTOR)
            return tf.concat([sums[:-1], [tf.where(overflow, 0.0, sums[-1])]], 0)

        return run  # type: ignore[no-any-return]
