"""How large a step's gradient is, how large it may be, and steps that are not finite.

The size is the global norm: the root of the sum of all squares of all weights' gradients. Limits after Pascanu, Mikolov
and Bengio, "On the difficulty of training recurrent neural networks" (2013): a gradient above the limit is scaled down
to it, its direction stays. The adaptive limit follows what the run itself has shown, as AutoClip does (Seetharaman,
Wichern, Pardo and Le Roux 2020), here five times the median, and never above 1. Where the median is above 0.2 the 1
decides, and where ordinary norms are above 1 it limits every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trainer.config.training_sections import GradientClipping
from wakeword.errors import ConfigError

REMEMBERED = 100
"""Norms, the last ones, whose median the adaptive limit follows."""
ENOUGH = 20
"""Of them before the median limits anything: the first steps are the largest."""
TIMES_MEDIAN = 5.0
ADAPTIVE_MOST = 1.0
"""What no gradient is above with the adaptive limit, whatever the median."""
SKIPPED_IN_A_ROW = 2
"""So many steps in a row that are not finite end a training: one may be chance, two are weights that have gone."""


class LossNotFinite(ConfigError):
    """A training has ended because its loss, or the gradient of it, is infinite or no number."""


class GradientLimit:
    """What a step does with its gradient. Imports TensorFlow: make one inside functions only.

    Without a limit nothing is added to the compiled step, not even the norm: XLA would round its weights otherwise than
    it did before there was a limit, and another training would come out. Adam's first moment then tells the norm.
    """

    def __init__(self, clipping: GradientClipping, optimizer: Any) -> None:
        """Of the optimizer, once it is built. `variables` are what the limit remembers from step to step: nothing, but
        for the adaptive one.
        """
        import keras

        self._clipping = clipping
        self._moments = (
            [variable for variable in optimizer.variables if variable.path.endswith("_momentum")]
            if clipping == "none" and isinstance(optimizer, keras.optimizers.Adam)
            else []
        )
        self._kept = optimizer.beta_1 if self._moments else 0.0
        self.variables: list[Any] = []
        if clipping == "adaptive":
            self._norms = keras.Variable([float("inf")] * REMEMBERED, trainable=False, name="gradient_norms")
            self._seen = keras.Variable(0, dtype="int32", trainable=False, name="gradient_norms_seen")
            self.variables = [self._norms, self._seen]

    def __call__(self, gradients: Sequence[Any]) -> tuple[Sequence[Any], list[Any]]:
        """The gradients of all weights within the limit, and their global norm before, a float32 scalar; no norm where
        the moments tell it.
        """
        import tensorflow as tf

        if self._moments:
            return gradients, []
        norm = tf.linalg.global_norm(gradients)
        if self._clipping == "none":
            return gradients, [norm]
        most = self._adaptive(norm) if self._clipping == "adaptive" else tf.constant(float(self._clipping))
        scale = most / tf.maximum(norm, most)
        return [gradient * scale for gradient in gradients], [norm]

    def moments(self) -> list[Any]:
        """Adam's first moments before a step, for `norm_since`."""
        import tensorflow as tf

        return [tf.identity(moment.value) for moment in self._moments]

    def norm_since(self, before: Sequence[Any]) -> list[Any]:
        """The norm of the gradient that a step has added to the moments since `before`: m' = b m + (1 - b) g (Kingma
        and Ba 2015). To about six digits. Nothing where the step told it itself.
        """
        import tensorflow as tf

        added = [
            (moment.value - self._kept * was) / (1.0 - self._kept)
            for moment, was in zip(self._moments, before, strict=True)
        ]
        return [tf.linalg.global_norm(added)] if added else []

    def _adaptive(self, norm: Any) -> Any:
        """The limit by the norms before this one, which is then remembered."""
        import tensorflow as tf

        filled = tf.minimum(tf.identity(self._seen.value), REMEMBERED)
        middle = tf.gather(tf.sort(tf.identity(self._norms.value)), tf.maximum(filled - 1, 0) // 2)
        most = tf.where(filled >= ENOUGH, tf.minimum(TIMES_MEDIAN * middle, ADAPTIVE_MOST), ADAPTIVE_MOST)
        here = tf.range(REMEMBERED) == self._seen.value % REMEMBERED
        self._norms.assign(tf.where(here, norm, self._norms.value))
        self._seen.assign_add(1)
        return most


def guarded(step: Callable[..., Any], variables: Sequence[Any], limit: GradientLimit) -> Callable[..., Any]:
    """A step that leaves all of its `variables` as they were where its loss or gradient is not finite.

    `step` gives a float32 vector that begins with the loss; the norm of the gradient ends what this one gives. Both are
    beside the compiled step, for the reason above.
    """
    import tensorflow as tf

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow carries no types
    def run(*batch: Any) -> Any:
        before, moments = [tf.identity(variable.value) for variable in variables], limit.moments()
        given = step(*batch)
        sums = tf.concat([given, *([norm] for norm in limit.norm_since(moments))], 0)

        def put_back() -> Any:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)
            return tf.constant(0)

        tf.cond(tf.math.is_finite(sums[0] + sums[-1]), lambda: tf.constant(0), put_back)
        return sums

    return run  # type: ignore[no-any-return]


def skipped_steps(finite: Sequence[bool], first: int, in_a_row: int, remedy: str) -> tuple[list[int], int]:
    """Which of some steps were skipped, of those that come after `in_a_row` skipped ones.

    `finite` says it of each, `first` is the number of the first. Returns the numbers of the skipped ones, and how many
    in a row the last ones are. Raises `LossNotFinite`, which ends with the `remedy`, once there are `SKIPPED_IN_A_ROW`
    in a row.
    """
    skipped = []
    for step, is_finite in enumerate(finite, first):
        in_a_row = 0 if is_finite else in_a_row + 1
        if not is_finite:
            skipped.append(step)
        if in_a_row == SKIPPED_IN_A_ROW:
            raise LossNotFinite(
                f"the loss or its gradient was not finite at {SKIPPED_IN_A_ROW} steps in a row, up to step {step}:"
                f" these changed nothing. {remedy}"
            )
    return skipped, in_a_row
