"""Learning from earlier models beside the truth: the mean of several is steadier than any of them.

After Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015). Models that were trained alike but for their seed err on
different sounds. The mean of their logits errs on fewer, and one model of the same size can learn much of that mean: a label says that a sound
is no wake word, a teacher also says how nearly it is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer.config.mixednet import MixedNetConfig

TEMPERATURE = 4.0
"""Logits are divided by it before they are compared. At 1 a teacher that is sure tells no more than the label does."""


@dataclass(frozen=True)
class Teacher:
    """A trained model."""

    model: Any
    """A `keras.Model` of `build_model` over the student's window."""
    network: MixedNetConfig


@dataclass(frozen=True)
class Teaching:
    """Teachers, and how much their word weighs."""

    teachers: tuple[Teacher, ...]
    share: float
    """Of the loss, above 0 to 1; the rest is the truth's."""
    fingerprint: str
    """Names the weights: a run goes on with the same teachers only."""


class TaughtLoss:
    """The loss of each sample. Imports TensorFlow: make one inside functions only."""

    def __init__(self, teaching: Teaching | None, compute_dtype: str) -> None:
        """None: the truth alone."""
        from trainer.mixednet.channel_first import ChannelFirst

        self._share = teaching.share if teaching else 0.0
        self._teachers = [ChannelFirst(one.model, one.network, compute_dtype) for one in teaching.teachers] if teaching else []

    def __call__(self, features: Any, truth: Any, logits: Any) -> Any:
        """Binary cross-entropies, float32 `[batch]`, of the dequantised features that the student has heard.

        The teachers' part is multiplied by the temperature, which leaves its gradient, a difference of two probabilities, of the size of the truth's.
        """
        import tensorflow as tf

        of_truth = tf.nn.sigmoid_cross_entropy_with_logits(truth, logits)
        if not self._teachers:
            return of_truth
        mean = tf.add_n([teacher.infer(features) for teacher in self._teachers]) / len(self._teachers)
        wanted = tf.stop_gradient(tf.sigmoid(mean / TEMPERATURE))
        of_teachers = TEMPERATURE * tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits / TEMPERATURE)
        return (1.0 - self._share) * of_truth + self._share * of_teachers
