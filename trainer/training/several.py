"""Several models of one shape in one program: the seeds of an ensemble, or trials that differ in what they draw.

On a GPU a step of one model leaves most of it idle. Imports JAX, and no TensorFlow: import this module inside functions
only.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import BatchSampler, prefetch
from trainer.data.drawn_ahead import Drawers
from trainer.networks.layout import Layout
from trainer.training.pure_step import TaughtBy, Vectors, compiled, fresh, many_steps, of_several, step_of
from trainer.training.vector_steps import steps_at_once, stored_on_device
from wakeword.errors import ConfigError


class SeveralModels:
    """Models that are trained at once, each on batches of its own."""

    def __init__(
        self,
        network: NetworkConfig,
        settings: TrainingSection,
        samplers: Sequence[BatchSampler],
        seeds: Sequence[int],
        teachers: Sequence[TaughtBy] = (),
        processes: int | None = None,
    ) -> None:
        """Raises `ConfigError` for features that have no room on the device, or that the host must change.

        Args:
            network: A MixedNet.
            settings: Of all models; what is drawn is the samplers'.
            samplers: One a model, of the same sets, with settings that differ in their seed.
            seeds: One a model, of the weights that it begins with (`Layout.initial`).
            teachers: What all of them learn from.
            processes: Draw the batches. None: as many as pay.
        """
        self.network, self._settings, self._samplers = network, settings, samplers
        self._layout = Layout.of(network, samplers[0].slices)
        begun = [fresh(*self._layout.initial(seed), averaging=bool(settings.weight_averaging)) for seed in seeds]
        self.vectors: Vectors = jax.device_put(Vectors(*(np.stack(values) for values in zip(*begun, strict=True))))
        """Of all models, each with one more axis in front."""
        self._program = compiled(of_several(many_steps(step_of(network, samplers[0].slices, settings, teachers))))
        self._store = None if samplers[0].made_on_host else stored_on_device(samplers[0])
        if self._store is None:
            raise ConfigError("these features cannot lie on the device as a whole; train the models one by one")
        self._drawers = Drawers(samplers, processes)

    def train(self, steps: range, rate: Callable[[int], float], ahead: int = 3) -> Generator[tuple[range, Any]]:
        """Do some steps of all models in blocks, none of which has steps of two phases, and yield each with what it
        gives, float32 `[models, steps, 5]` (see `BatchScores`), which may still be computed. So many blocks are drawn
        ahead.
        """
        at_once, settings = steps_at_once(self._settings.eval_step_interval), self._settings
        blocks, first = [], steps.start
        while first < steps.stop:
            phase_ends = sum(settings.training_steps[: settings.phase_of(first) + 1])
            stop = min(first + at_once, steps.stop, phase_ends if phase_ends > first else steps.stop)
            blocks.append(range(first, stop))
            first = stop
        with closing(prefetch(lambda block: jax.device_put(self._drawers.numbers(block)), blocks, ahead)) as made:
            for block, numbers in zip(blocks, made, strict=True):
                rates = np.array([rate(step) for step in block], np.float32)
                self.vectors, sums = self._program(self.vectors, numbers, rates, self._store)
                yield block, sums

    def close(self) -> None:
        """End the processes that draw."""
        self._drawers.close()

    def means(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The running means of weights `[models, weights]` and statistics `[models, statistics]`, as they teach or are
        exported; without averaging the latest ones.
        """
        now = self.vectors
        averaged = bool(self._settings.weight_averaging)
        return np.asarray(now.mean_trained if averaged else now.trained), np.asarray(
            now.mean_statistics if averaged else now.statistics
        )

    def as_teachers(self) -> TaughtBy:
        """All of them, to teach a student."""
        return TaughtBy(self.network, *self.means())
