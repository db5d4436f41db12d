"""A train state whose steps JAX computes: all weights in one vector, and on a GPU the features of a training on the
device, batches drawn from them there, and many steps in one program.

What is saved, evaluated and exported are the variables of `TrainState`: the vectors are read from them before steps and
written back after. So a run that was interrupted goes on with either kind of step.

Imports JAX: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import Augmenting, Batch, BatchSampler
from trainer.networks.layout import Layout
from trainer.training.pure_step import TaughtBy, Vectors
from trainer.training.step import TrainState
from trainer.training.vector_steps import Made, VectorSteps


class VectorState(TrainState):
    """See the module."""

    def __init__(
        self,
        model: Any,
        network: NetworkConfig,
        settings: TrainingSection,
        slices: int,
        teachers: Sequence[TaughtBy] = (),
    ) -> None:
        """Of a `keras.Model` of `build_model` over windows of so many slices. Network and settings are such that
        `step_engine.lacking` finds nothing.
        """
        self._vectors: Vectors | None = None
        super().__init__(model, network, settings)
        self._layout, self._rate = Layout.of(network, slices), settings.learning_rates[0]
        self._steps = VectorSteps(network, slices, settings, teachers)

    @property
    def variables(self) -> list[Any]:
        """As in `TrainState`; they may be written to until the next step."""
        self._write_back()
        self._vectors = None
        return super().variables

    @contextmanager
    def averaged(self) -> Iterator[Any]:
        """As in `TrainState`."""
        self._write_back()
        with super().averaged() as model:
            yield model

    def set_learning_rate(self, learning_rate: float) -> None:
        """Take effect from the next step."""
        super().set_learning_rate(learning_rate)
        self._rate = learning_rate

    def place(self, sampler: BatchSampler) -> str:
        """As in `VectorSteps`."""
        return self._steps.place(sampler)

    def blocks(self, steps: range) -> Iterator[range]:
        """As in `VectorSteps`."""
        return self._steps.blocks(steps)

    def made_ready(self, sampler: BatchSampler, steps: range, augmenting: Augmenting) -> Made:
        """As in `VectorSteps`."""
        return self._steps.made_ready(sampler, steps, augmenting)

    def train_block(self, made: Made, rates: Sequence[float] | None) -> Any:
        """As in `TrainState`."""
        if self._vectors is None:
            self._vectors = jax.device_put(self._read())
        rates = [self._rate] if rates is None else rates
        self._rate = rates[-1]
        self._vectors, sums = self._steps(self._vectors, made, rates)
        return sums

    def close(self) -> None:
        """As in `TrainState`."""
        self._steps.close()

    def train_step(self, batch: Batch) -> Any:
        """As in `TrainState`, whose own step would train variables that the vectors are ahead of."""
        numbers = {"features": batch.features, "truth": batch.truth, "weights": batch.weights}
        return self.train_block((numbers, None), None)

    def _read(self) -> Vectors:
        """The vectors, of the variables."""
        layout, optimizer = self._layout, self._optimizer
        trained, statistics = layout.of_keras(_values(self.model.variables))
        of_mean = (np.zeros(0, np.float32),) * 2
        if self._mean:
            paths = (weight.path for weight in self._weights)
            of_mean = layout.of_keras(
                {path: mean.numpy() for path, mean in zip(paths, self._mean.variables, strict=True)}
            )
        momentum, velocity = self._joined("momentum"), self._joined("velocity")
        return Vectors(trained, statistics, momentum, velocity, *of_mean, np.int32(optimizer.iterations.numpy()))

    def _joined(self, kind: str) -> NDArray[np.float32]:
        moments = self._moments(kind)
        return np.concatenate([part.of_keras(moments[part.path].numpy()) for part in self._layout.trained])

    def _moments(self, kind: str) -> dict[str, Any]:
        """Adam's, by the paths of the variables that they are of."""
        of_kind = [variable for variable in self._optimizer.variables if variable.path.endswith(f"_{kind}")]
        trained = self.model.trainable_variables
        return {variable.path: moment for variable, moment in zip(trained, of_kind, strict=True)}

    def _write_back(self) -> None:
        """Give the variables what the steps have made of them."""
        if self._vectors is None:
            return
        layout, now = self._layout, Vectors(*(np.asarray(vector) for vector in self._vectors))
        values = layout.to_keras(now.trained, now.statistics)
        for variable in self.model.variables:
            if variable.path in values:
                variable.assign(values[variable.path])
        for kind, vector in (("momentum", now.momentum), ("velocity", now.velocity)):
            moments = self._moments(kind)
            for part in layout.trained:
                moments[part.path].assign(part.to_keras(vector[part.start : part.start + part.size]))
        if self._mean:
            means = layout.to_keras(now.mean_trained, now.mean_statistics)
            for weight, mean in zip(self._weights, self._mean.variables, strict=True):
                mean.assign(means[weight.path])
        self._optimizer.iterations.assign(int(now.steps))
        super().set_learning_rate(self._rate)


def _values(variables: Sequence[Any]) -> dict[str, NDArray[np.float32]]:
    return {variable.path: variable.numpy() for variable in variables}
