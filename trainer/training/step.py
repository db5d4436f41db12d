"""The train state, and one optimizer step, compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import Augmenting, Batch, BatchSampler
from trainer.training.gradients import GradientLimit, guarded
from trainer.training.loss_scale import LossScale
from trainer.training.losses import Distillation, Loss
from trainer.training.optimizers import build_optimizer
from trainer.training.triplets import Triplets
from trainer.training.weight_mean import WeightMean

COMPILED = True
"""Whether XLA compiles the step. It takes some seconds a training, so tests of what surrounds a step do without. No
Python of a step decides by a tensor, so AutoGraph, which would rewrite it, has nothing to do."""


class TrainState:
    """Everything that a step changes: a model, its optimizer, and the running mean of its weights.

    The step computes the model by its `Arithmetic`, and XLA compiles it; `benchmarks/training.py` says what that gains.
    The weights are those of the plain form.
    """

    def __init__(
        self,
        model: Any,
        network: NetworkConfig,
        settings: TrainingSection,
        compute_dtype: str = "float32",
        distillation: Distillation | None = None,
        representative: NDArray[np.float32] | None = None,
    ) -> None:
        """Of a `keras.Model` of `build_model`.

        Args:
            model: What is trained.
            network: Its shape.
            settings: Weights of the loss, and how the mean is kept.
            compute_dtype: What products multiply in; see `Arithmetic`.
            distillation: Earlier models, whose logits are learned beside the truth.
            representative: A stream of features `[slices, 40]` on which the ranges of the int8 export are collected,
            whose arithmetic the steps then simulate, in float32; see `FakeQuantised`. None: the steps compute in float.
        """
        from trainer.networks.fake_quantization import FakeQuantised

        self.model = model
        self._quantised = None if representative is None else FakeQuantised(model, network, representative)
        self._optimizer = build_optimizer(settings, model.trainable_variables)
        self._weights = [
            *model.trainable_variables,
            *(variable for layer in model.layers for variable in layer.non_trainable_weights),
        ]
        self._limit = GradientLimit(settings.gradient_clipping, self._optimizer)
        self._averaging = settings.weight_averaging
        self._final_averaging = settings.final_weight_averaging, settings.final_averaging_begins
        self._mean = WeightMean(self._weights) if self._averaging else None
        in_float = self._quantised is None
        self._triplets = Triplets(settings) if in_float and any(settings.triplet_weight) else None
        self._scale = LossScale() if in_float and compute_dtype == "float16" else None
        self._step = self._compiled(network, Loss(settings, distillation, compute_dtype), compute_dtype)

    @property
    def variables(self) -> list[Any]:
        """All of it, in a fixed order: weights, statistics, random seeds, the optimizer's own, the means, what the
        gradient's limit remembers, a simulated export's ranges, the factor of a scaled loss.
        """
        means = self._mean.variables if self._mean else []
        ranges = self._quantised.variables if self._quantised else []
        own = [*self.model.variables, *self._optimizer.variables, *means, *self._limit.variables, *ranges]
        return [*own, *self._of_scale]

    @property
    def _of_scale(self) -> list[Any]:
        """What a step that is not finite changes all the same; the last of `variables`."""
        return self._scale.variables if self._scale else []

    @contextmanager
    def averaged(self) -> Iterator[Any]:
        """The model, which has the mean of its weights meanwhile; without averaging those that it has. What is done to
        its weights there is undone afterwards.
        """
        latest = [weight.numpy() for weight in self._weights]
        try:
            if self._mean:
                self._mean.assign()
            yield self.model
        finally:
            for weight, value in zip(self._weights, latest, strict=True):
                weight.assign(value)

    def collect_ranges(self) -> None:
        """Where an export is simulated, take its ranges from the weights as they are now."""
        if self._quantised is not None:
            self._quantised.collect()

    def begin_phase(self, phase: int) -> None:
        """Take over what a phase, counted from 0, has of its own beside its learning rate and its batches."""
        if self._triplets:
            self._triplets.begin_phase(phase)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Take effect from the next step."""
        self._optimizer.learning_rate = learning_rate

    def place(self, sampler: BatchSampler) -> str:  # noqa: ARG002 - another engine puts its features on a GPU
        """Batches are drawn from a sampler from now on. Says where its features lie, if that is of interest."""
        return ""

    def blocks(self, steps: range) -> Iterator[range]:
        """Some steps in parts, each of which is made ready, and done, at once."""
        return (steps[place : place + 1] for place in range(len(steps)))

    def made_ready(self, sampler: BatchSampler, steps: range, augmenting: Augmenting) -> Any:
        """The batch of a block of one step, of the sampler that was placed; called in the background. Filters and masks
        are drawn within `augmenting`.
        """
        return sampler.batch(steps[0], augmenting)

    def train_block(self, made: Any, rates: Sequence[float] | None) -> Any:
        """Do the steps of a block, each with its learning rate; None leaves it as it is. Gives what `train_step` does,
        a row a step where they are several.
        """
        if rates is not None:
            self.set_learning_rate(rates[0])
        return self.train_step(made)

    def close(self) -> None:
        """No more steps are made ready."""

    def train_step(self, batch: Batch) -> Any:
        """Do one step; see `BatchScores` for the float32 tensor that it returns without waiting for it. A step whose
        loss or gradient is not finite changes nothing.
        """
        return self._step(batch.features, batch.truth, batch.weights)

    def _compiled(self, network: NetworkConfig, loss_of: Loss, compute_dtype: str) -> Callable[..., Any]:
        import tensorflow as tf

        from trainer.networks.arithmetic import arithmetic_of
        from trainer.networks.channel_first import dequantised
        from trainer.networks.fake_quantization import FakeQuantised

        model, optimizer, averaging = self.model, self._optimizer, self._averaging
        mean, limit, triplets, scale = self._mean, self._limit, self._triplets, self._scale
        arithmetic = self._quantised or arithmetic_of(model, network, compute_dtype)

        @tf.function(jit_compile=COMPILED and arithmetic.compiled, autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow carries no types
        def step(features: Any, truth: Any, weights: Any, *beside: Any) -> Any:
            inputs = dequantised(features)
            with tf.GradientTape() as tape:
                if triplets and not isinstance(arithmetic, FakeQuantised):
                    logits, embeddings = arithmetic.train_embedded(inputs)
                    besides = [*model.losses, triplets(embeddings, truth)]
                else:
                    logits, besides = arithmetic.train(inputs), model.losses
                loss = loss_of(inputs, truth, weights, logits, besides, *beside)
                minimised = scale.scaled(loss) if scale else loss
            # Biases that a normalisation takes out again have no gradient.
            weights_now = [variable.value for variable in model.trainable_variables]
            gradients = tape.gradient(minimised, weights_now, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            gradients = scale.unscaled(gradients) if scale else gradients
            gradients, norm = limit(gradients)
            optimizer.apply(gradients, model.trainable_variables)
            if mean:
                steps = tf.cast(optimizer.iterations, tf.float32)
                # A young mean forgets sooner, or the first weights would stay in it for a thousand steps.
                most, (final, begins) = averaging, self._final_averaging
                if final:
                    most = tf.where(steps > begins, final, averaging)
                kept = tf.minimum(most, (1.0 + steps) / (10.0 + steps))
                mean.take_in(kept, 1.0 - kept)
            accepted = tf.cast(logits > 0, tf.float32)
            sums = [tf.reduce_sum(accepted * truth), tf.reduce_sum(accepted), tf.reduce_sum(truth)]
            return tf.stack([loss, *sums, *norm])

        def taught(features: Any, truth: Any, weights: Any) -> Any:
            return step(features, truth, weights, *loss_of.beside(dequantised(features)))

        whole = guarded(taught, self.variables[: len(self.variables) - len(self._of_scale)], limit)
        whole = scale.around(whole) if scale else whole

        def run(*batch: Any) -> Any:
            return whole(*map(tf.convert_to_tensor, batch))  # features that lie on a GPU already stay there

        return run
