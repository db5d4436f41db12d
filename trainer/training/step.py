"""One optimizer step, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer.mixednet.config import MixedNetConfig
from trainer.training.batches import Batch


class Trainee:
    """A model with its optimizer.

    The step computes the model by `ChannelFirst` and is compiled by XLA; `benchmarks/training.py` says what that gains. The weights are those
    of the plain form.
    """

    def __init__(self, model: Any, config: MixedNetConfig, compute_dtype: str = "float32") -> None:
        """`compute_dtype` is what the matrix products multiply in; see `ChannelFirst`."""
        import keras

        self.model = model
        self._optimizer = keras.optimizers.Adam()
        self._optimizer.build(model.trainable_variables)
        self._step = _compile(model, config, self._optimizer, compute_dtype)

    @property
    def variables(self) -> list[Any]:
        """Everything that a step changes, in a fixed order: weights, statistics, random seeds, the optimizer's moments."""
        return [*self.model.variables, *self._optimizer.variables]

    def set_learning_rate(self, learning_rate: float) -> None:
        """Take effect from the next step."""
        self._optimizer.learning_rate = learning_rate

    def train(self, batch: Batch) -> Any:
        """Do one step; see `BatchScores` for the float32 tensor that it returns without waiting for it."""
        return self._step(batch.features, batch.truth, batch.weights)


def _compile(model: Any, config: MixedNetConfig, optimizer: Any, compute_dtype: str) -> Callable[..., Any]:
    import tensorflow as tf

    from trainer.mixednet.channel_first import ChannelFirst, dequantised

    logits_of = ChannelFirst(model, config, compute_dtype)

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow carries no types
    def step(features: Any, truth: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = logits_of(dequantised(features))
            # Weighted binary cross-entropy, averaged over the samples and not over their weights, as Keras and microWakeWord do.
            loss = tf.reduce_mean(weights * tf.nn.sigmoid_cross_entropy_with_logits(truth, logits))
            loss += sum(model.losses, start=tf.constant(0.0))
        # Biases that a normalisation takes out again have no gradient.
        weights_now = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(loss, weights_now, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        optimizer.apply(gradients, model.trainable_variables)
        accepted = tf.cast(logits > 0, tf.float32)
        return tf.stack([loss, tf.reduce_sum(accepted * truth), tf.reduce_sum(accepted), tf.reduce_sum(truth)])

    def run(*batch: Any) -> Any:
        return step(*map(tf.convert_to_tensor, batch))  # features that lie on a GPU already stay there

    return run
