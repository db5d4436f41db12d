"""Triplets of a batch: wake words are to lie nearer to each other than to any other sound, by a margin.

Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition and Clustering" (2015), on what
the encoder gives the head, each embedding divided by its length: loss = max(0, |a - p|^2 - |a - n|^2 + margin). An
anchor `a` and a positive `p` are wake words, `n` is a window without it; windows without it are no class of their own,
so they are never drawn together.

- semi_hard, FaceNet's choice: of each pair of wake words the nearest negative that is farther than the positive, or
  where there is none the farthest of all.
- hard: of each wake word its farthest positive and its nearest negative in the batch (Hermans, Beyer and Leibe, "In
  Defense of the Triplet Loss for Person Re-Identification", 2017). Wrong labels are the hardest of all.
"""

from __future__ import annotations

from typing import Any, Literal

from trainer.config.training_sections import TrainingSection

FARTHEST = 4.0
"""The squared distance of two unit vectors is 0 to 4."""


class Triplets:
    """The triplet loss of a training, weighed by phase. Imports TensorFlow: make one inside functions only."""

    def __init__(self, settings: TrainingSection) -> None:
        """Of the first phase, until another begins."""
        import keras

        self._settings = settings
        self._weight = keras.Variable(settings.triplet_weight[0], dtype="float32", trainable=False, name="triplets")

    def begin_phase(self, phase: int) -> None:
        """Weigh as a phase does, counted from 0."""
        self._weight.assign(self._settings.triplet_weight[phase])

    def __call__(self, embeddings: Any, truth: Any) -> Any:
        """What a batch's triplets cost in this phase; see `triplet_loss`."""
        loss = triplet_loss(embeddings, truth, self._settings.triplet_margin, self._settings.triplet_mining)
        return self._weight.value * loss


def triplet_loss(embeddings: Any, truth: Any, margin: float, mining: Literal["semi_hard", "hard"]) -> Any:
    """The mean loss of a batch's triplets, a float32 scalar; 0 where it has no triplet.

    `embeddings` float32 `[batch, values]`, `truth` float32 `[batch]`, 1 for a wake word.
    """
    import tensorflow as tf

    unit = tf.math.l2_normalize(embeddings, axis=1)
    distances = tf.maximum(2.0 - 2.0 * tf.matmul(unit, unit, transpose_b=True), 0.0)
    word = truth > 0.5
    others = word[:, None] & word[None] & ~tf.eye(tf.shape(truth)[0], dtype=tf.bool)
    negatives = tf.broadcast_to(~word[None], tf.shape(distances))
    nearest = tf.reduce_min(tf.where(negatives, distances, FARTHEST + 1.0), axis=1)
    if mining == "hard":
        positive = tf.reduce_max(tf.where(others, distances, -1.0), axis=1)
        return _mean(tf.nn.relu(positive - nearest + margin), tf.reduce_any(others, axis=1), word)
    farthest = tf.reduce_max(tf.where(negatives, distances, -1.0), axis=1)
    # [anchor, positive, negative]
    beyond = negatives[:, None] & (distances[:, None] > distances[:, :, None])
    semi_hard = tf.reduce_min(tf.where(beyond, distances[:, None], FARTHEST + 1.0), axis=2)
    negative = tf.where(tf.reduce_any(beyond, axis=2), semi_hard, farthest[:, None])
    return _mean(tf.nn.relu(distances - negative + margin), others, word)


def _mean(losses: Any, counted: Any, word: Any) -> Any:
    """Of those that are counted, where the batch has any sound without the wake word."""
    import tensorflow as tf

    counted = tf.cast(counted & ~tf.reduce_all(word), tf.float32)
    return tf.reduce_sum(losses * counted) / tf.maximum(tf.reduce_sum(counted), 1.0)
