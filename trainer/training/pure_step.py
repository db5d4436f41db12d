"""One optimizer step as a pure function of JAX, and many of them in one program.

Loss, optimizer and running mean are those of `trainer.training.step`, written over whole vectors of weights. What this
form has, and what it leaves to that one, says `lacking`.

Imports JAX, and no TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.pure_batches import features_of
from trainer.networks import pure
from trainer.networks.layout import Layout, split

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""Of Adam, as Keras has them."""


class Vectors(NamedTuple):
    """Everything that a step changes."""

    trained: Any
    """The weights, float32 `[weights]`."""
    statistics: Any
    """The running statistics of the normalisations, float32 `[statistics]`."""
    momentum: Any
    """Adam's first moment, as `trained`."""
    velocity: Any
    """Adam's second moment, as `trained`."""
    mean_trained: Any
    """The running mean of the weights; empty without one."""
    mean_statistics: Any
    """The running mean of the statistics; empty without one."""
    steps: Any
    """Steps done, an int32."""


Step = Callable[[Vectors, Any, Any, Any], tuple[Vectors, Any]]
"""`(vectors, numbers, rate, store)` to the vectors after the step and what it gives, float32 `[5]`; see `BatchScores`.
"""


class TaughtBy(NamedTuple):
    """Trained models of one shape, all of them MixedNets over the student's window."""

    network: NetworkConfig
    trained: NDArray[np.float32]
    """`[models, weights]`."""
    statistics: NDArray[np.float32]
    """`[models, statistics]`."""


def step_of(network: NetworkConfig, slices: int, settings: TrainingSection, teachers: Sequence[TaughtBy] = ()) -> Step:
    """A step of a MixedNet over windows of so many slices. It takes the numbers of a batch, its learning rate, and the
    store of features or None (see `features_of`). One whose loss or gradient is not finite changes nothing.
    """
    layout = Layout.of(network, slices)

    def loss_of(weights: Any, inputs: Any, truth: Any, importance: Any) -> tuple[Any, Any]:
        logits, seen = pure.train_logits(weights, inputs, network)
        of_samples = _of_samples(settings, truth, logits)
        if teachers:
            said = jnp.concatenate([_said(teacher, slices, inputs) for teacher in teachers]).mean(axis=0)
            temperature, share = settings.teaching_temperature, settings.teaching_share
            wanted = jax.nn.sigmoid(said / temperature)
            of_samples = (1.0 - share) * of_samples + share * temperature * _cross_entropy(wanted, logits / temperature)
        return jnp.mean(importance * of_samples), (logits, seen)

    def step(vectors: Vectors, numbers: Any, rate: Any, store: Any) -> tuple[Vectors, Any]:
        inputs, truth = pure.dequantised(features_of(numbers, slices, store)), numbers["truth"]
        weights = split(vectors.trained, layout.trained)
        gradient_of = jax.value_and_grad(loss_of, has_aux=True)
        (loss, (logits, seen)), gradients = gradient_of(weights, inputs, truth, numbers["weights"])
        gradient = jnp.concatenate([gradients[part.path].reshape(-1) for part in layout.trained])
        now = jnp.concatenate([one for pair in (seen[name] for name in _norms(layout)) for one in pair])
        norm = jnp.sqrt(jnp.sum(jnp.square(gradient)))
        if not isinstance(settings.gradient_clipping, str):
            gradient = gradient * (settings.gradient_clipping / jnp.maximum(norm, settings.gradient_clipping))
        after = _after(vectors, gradient, now, rate, settings)
        finite = jnp.isfinite(loss + norm)
        after = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, vectors)
        accepted = (logits > 0).astype(jnp.float32)
        return after, jnp.stack([loss, jnp.sum(accepted * truth), jnp.sum(accepted), jnp.sum(truth), norm])

    return step


def many_steps(step: Step) -> Step:
    """So many steps in one program as the numbers and the rates have rows; gives a row a step, float32 `[steps, 5]`."""

    def steps(vectors: Vectors, numbers: Any, rates: Any, store: Any) -> tuple[Vectors, Any]:
        def one(vectors: Vectors, row: Any) -> tuple[Vectors, Any]:
            return step(vectors, row[0], row[1], store)

        after, sums = lax.scan(one, vectors, (numbers, rates))
        return after, sums

    return steps


def compiled(steps: Step) -> Step:
    """The function as one program, which may overwrite the vectors that it is given."""
    program: Step = jax.jit(steps, donate_argnums=0)
    return program


def _of_samples(settings: TrainingSection, truth: Any, logits: Any) -> Any:
    """The cross-entropy of each sample, float32 `[batch]`."""
    smoothing = settings.label_smoothing
    return _cross_entropy(truth * (1.0 - smoothing) + smoothing / 2.0 if smoothing else truth, logits)


def _cross_entropy(wanted: Any, logits: Any) -> Any:
    return jnp.maximum(logits, 0.0) - logits * wanted + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def _said(teacher: TaughtBy, slices: int, inputs: Any) -> Any:
    """The logits of teachers of one shape, float32 `[models, batch]`."""
    layout = Layout.of(teacher.network, slices)

    def of_one(trained: Any, statistics: Any) -> Any:
        weights = split(trained, layout.trained)
        return pure.infer_logits(weights, split(statistics, layout.statistics), inputs, teacher.network)

    return jax.vmap(of_one)(teacher.trained, teacher.statistics)


def _norms(layout: Layout) -> list[str]:
    return [part.path.partition("/")[0] for part in layout.statistics if part.path.endswith("_mean")]


def _after(vectors: Vectors, gradient: Any, statistics: Any, rate: Any, settings: TrainingSection) -> Vectors:
    """The vectors after a step of Adam (Kingma and Ba 2015), in Keras' order of operations."""
    steps = vectors.steps + 1
    count = steps.astype(jnp.float32)
    momentum = vectors.momentum + (gradient - vectors.momentum) * (1.0 - BETA_1)
    velocity = vectors.velocity + (jnp.square(gradient) - vectors.velocity) * (1.0 - BETA_2)
    pace = rate * jnp.sqrt(1.0 - jnp.power(BETA_2, count)) / (1.0 - jnp.power(BETA_1, count))
    trained = vectors.trained - momentum * pace / (jnp.sqrt(velocity) + EPSILON)
    running = vectors.statistics * pure.MOMENTUM + statistics * (1.0 - pure.MOMENTUM)
    mean_trained, mean_statistics = vectors.mean_trained, vectors.mean_statistics
    if settings.weight_averaging:
        most: Any = settings.weight_averaging
        if settings.final_weight_averaging:
            most = jnp.where(count > settings.final_averaging_begins, settings.final_weight_averaging, most)
        # A young mean forgets sooner; see `TrainState`.
        kept = jnp.minimum(most, (1.0 + count) / (10.0 + count))
        mean_trained = kept * mean_trained + (1.0 - kept) * trained
        mean_statistics = kept * mean_statistics + (1.0 - kept) * running
    return Vectors(trained, running, momentum, velocity, mean_trained, mean_statistics, steps)
