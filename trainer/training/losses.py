"""What a step makes smaller: the loss of a batch, and what an earlier model's word weighs in it.

The truth's loss is a mean over both classes of what each would cost, weighted by how far the label says so: 1 and 0, or
less sure with label smoothing (Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception Architecture for
Computer Vision", 2016). What a class costs is its cross-entropy, or the focal loss (Lin, Goyal, Girshick, He and
Dollar, "Focal Loss for Dense Object Detection", 2017). The teachers' loss is the same whatever the truth's is.

Distillation after Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015). Models that were
trained alike but for their seed err on different sounds. The mean of their logits errs on fewer, and one model of the
same size can learn much of that mean: a label says that a sound is no wake word, a teacher also says how nearly it is
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection


@dataclass(frozen=True)
class Teacher:
    """A trained model."""

    model: Any
    """A `keras.Model` of `build_model` over the student's window."""
    network: NetworkConfig


@dataclass(frozen=True)
class Distillation:
    """The teachers of a training; how much of its loss is theirs says `training.teaching_share`."""

    teachers: tuple[Teacher, ...]
    fingerprint: str
    """Names the weights: a run goes on with the same teachers only."""


class Loss:
    """The loss of a batch. Imports TensorFlow: make one inside functions only."""

    def __init__(
        self, settings: TrainingSection, distillation: Distillation | None = None, compute_dtype: str = "float32"
    ) -> None:
        """Without a `distillation` the truth alone counts. `compute_dtype` is what the teachers' convolutions multiply
        in.
        """
        from trainer.networks.arithmetic import arithmetic_of

        self._settings, self._share = settings, settings.teaching_share
        teachers = [
            arithmetic_of(teacher.model, teacher.network, compute_dtype)
            for teacher in (distillation.teachers if distillation else ())
        ]
        self._teachers = [teacher for teacher in teachers if teacher.compiled]
        self._beside = [teacher for teacher in teachers if not teacher.compiled]

    def __call__(
        self, features: Any, truth: Any, weights: Any, logits: Any, regularization: list[Any], *beside: Any
    ) -> Any:
        """The loss of a batch: the mean of the weighted losses of its samples, and the network's own losses.

        Averaged over the samples and not over their weights, as Keras and microWakeWord do.

        Args:
            features: As in `of_samples`.
            truth: Likewise.
            weights: Of the samples, float32 `[batch]`.
            logits: As in `of_samples`.
            regularization: What the network's kernels cost.
            beside: As in `of_samples`.

        Returns a float32 scalar.
        """
        import tensorflow as tf

        loss = tf.reduce_mean(weights * self.of_samples(features, truth, logits, *beside))
        loss += sum(regularization, start=tf.constant(0.0))
        return loss

    def beside(self, features: Any) -> list[Any]:
        """What teachers say that are not to be compiled with the step, float32 `[batch]` each, of dequantised features
        `[batch, slices, 40]`.
        """
        return [teacher.infer(features) for teacher in self._beside]

    def of_samples(self, features: Any, truth: Any, logits: Any, *beside: Any) -> Any:
        """What each sample costs, float32 `[batch]`, of dequantised features `[batch, slices, 40]`, their truth, the
        student's logits `[batch]` and what `beside` gave.

        The teachers' part is multiplied by the temperature, which leaves its gradient, a difference of two
        probabilities, of the size of the truth's.
        """
        import tensorflow as tf

        of_truth = self.of_truth(truth, logits)
        said = [*(teacher.infer(features) for teacher in self._teachers), *beside]
        if not said:
            return of_truth
        temperature = self._settings.teaching_temperature
        wanted = tf.stop_gradient(tf.sigmoid(tf.add_n(said) / len(said) / temperature))
        of_teachers = temperature * tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits / temperature)
        return (1.0 - self._share) * of_truth + self._share * of_teachers

    def of_truth(self, truth: Any, logits: Any) -> Any:
        """What the truth alone makes each sample cost, float32 `[batch]`, of float32 `[batch]`."""
        import tensorflow as tf

        smoothing, settings = self._settings.label_smoothing, self._settings
        wanted = truth * (1.0 - smoothing) + smoothing / 2.0 if smoothing else truth
        if settings.loss == "focal":
            return focal(wanted, logits, settings.focal_alpha, settings.focal_gamma)
        return tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)


def focal(truth: Any, logits: Any, alpha: float, gamma: float) -> Any:
    """The focal loss of each sample, float32 `[batch]`, of labels from 0 to 1 and logits, float32 `[batch]`.

    With the probability p of a wake word, one costs -alpha (1 - p)^gamma log p and a negative -(1 - alpha) p^gamma
    log(1 - p) (Lin et al., equation 5); a label in between costs the mean of both by its shares. Written in
    softplus(z) = -log(1 - p) and softplus(-z) = -log p, so that no probability is rounded to 0 or 1: values and
    gradients are finite at any logit.
    """
    import tensorflow as tf

    to_word, to_negative = tf.nn.softplus(-logits), tf.nn.softplus(logits)
    of_word = alpha * tf.exp(-gamma * to_negative) * to_word
    of_negative = (1.0 - alpha) * tf.exp(-gamma * to_word) * to_negative
    return truth * of_word + (1.0 - truth) * of_negative
