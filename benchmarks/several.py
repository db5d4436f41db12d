"""Several models of one shape in one program: the seeds of an ensemble, or trials that differ in what they draw.

On a GPU a step of one model leaves most of it idle; `benchmarks/gpu.py` says what this gains. No command trains so:
evaluations are TensorFlow's, one model after another. Imports JAX, and no TensorFlow: import this module inside
functions only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.config.training_sections import PerformanceSection, TrainingSection
from trainer.data.batches import Augmenting, BatchSampler
from trainer.data.drawn_ahead import Drawers
from trainer.networks.layout import Layout
from trainer.training.loop import run_blocks
from trainer.training.progress import Silent
from trainer.training.pure_step import TaughtBy, Vectors, compiled, many_steps, step_of
from trainer.training.recorder import Recorder
from trainer.training.vector_steps import blocks_of, memory_told, steps_at_once, stored_on_device
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
        """Raises `ConfigError` for samplers of other features than the first has, and for features that have no room on
        the device, or that the host must change.

        Args:
            network: A MixedNet.
            settings: Of all models; what is drawn is the samplers'.
            samplers: One a model, of the same features, with settings that differ in their seed.
            seeds: One a model, of the weights that it begins with (`begun`).
            teachers: What all of them learn from.
            processes: Draw the batches. None: as many as pay.
        """
        self.network, self._settings = network, settings
        slices, rows = samplers[0].slices, samplers[0].rows
        for sampler in samplers[1:]:
            if len(sampler.rows) != len(rows) or not all(map(np.array_equal, sampler.rows, rows)):
                raise ConfigError("models are trained at once on the same features, and these samplers have others")
        averaging = bool(settings.weight_averaging)
        of_seeds = [begun(network, slices, seed, averaging=averaging) for seed in seeds]
        self.vectors: Vectors = jax.device_put(Vectors(*(np.stack(values) for values in zip(*of_seeds, strict=True))))
        """Of all models, each with one more axis in front."""
        steps = many_steps(step_of(network, slices, settings, teachers))
        # Vectors, numbers and what steps give have one more axis in front; rates and features are those of all.
        self._program = compiled(jax.vmap(steps, in_axes=(0, 0, None, None)))
        self._store, said = stored_on_device(samplers[0])
        if self._store is None:
            raise ConfigError(f"{said}; train the models one by one")
        self._at_once = steps_at_once(settings.eval_step_interval)
        self._drawers = Drawers(samplers, processes)

    def train(self, steps: range, rate: Callable[[int], float], ahead: int = 3) -> Generator[tuple[range, Any]]:
        """Do some steps of all models, and yield their blocks with what these give, float32 `[models, steps, 5]` (see
        `BatchScores`), which may still be computed. So many blocks are drawn ahead. A step that is not finite changes
        nothing of its model; to notice many of them is the caller's.
        """
        with closing(
            run_blocks(self, None, steps, ahead, Recorder(None, PerformanceSection(), Silent()), rate)
        ) as all_:
            yield from all_

    def blocks(self, steps: range) -> Iterator[range]:
        """Steps of one phase in each."""
        settings, first = self._settings, steps.start
        while first < steps.stop:
            phase_ends = sum(settings.training_steps[: settings.phase_of(first) + 1])
            stop = min(steps.stop, phase_ends) if phase_ends > first else steps.stop
            yield from blocks_of(range(first, stop), self._at_once)
            first = stop

    def made_ready(self, _: None, steps: range, augmenting: Augmenting) -> dict[str, Any]:  # noqa: ARG002 - drawn elsewhere
        """The numbers of a block of all models on the device, with one more axis in front."""
        with memory_told():
            made: dict[str, Any] = jax.device_put(self._drawers.numbers(steps))
        return made

    def train_block(self, made: dict[str, Any], rates: Sequence[float] | None) -> Any:
        """Do a block at rates that all models have: what each step gives, as in `train`."""
        assert rates is not None
        with memory_told():
            self.vectors, sums = self._program(self.vectors, made, np.asarray(rates, np.float32), self._store)
        return sums

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


def begun(network: NetworkConfig, slices: int, seed: int, *, averaging: bool) -> Vectors:
    """The vectors of an untrained network before its first step, on the host: Glorot's uniform kernels as Keras draws
    their range, scales and variances of 1, all else 0. Not the numbers that Keras draws of a seed.
    """
    draw, layout = np.random.default_rng(seed), Layout.of(network, slices)
    trained = np.concatenate(
        [
            draw.uniform(-1, 1, part.size) * _glorot(part.keras_shape)
            if part.path.endswith("kernel")
            else np.full(part.size, float(part.path.endswith("gamma")))
            for part in layout.trained
        ]
    ).astype(np.float32)
    statistics = np.concatenate(
        [np.full(part.size, float(part.path.endswith("variance")), np.float32) for part in layout.statistics]
    )
    zeros, none = np.zeros_like(trained), np.zeros(0, np.float32)
    mean_trained, mean_statistics = (trained.copy(), statistics.copy()) if averaging else (none, none)
    return Vectors(trained, statistics, zeros, zeros.copy(), mean_trained, mean_statistics, np.int32(0))


def _glorot(shape: tuple[int, ...]) -> float:
    """Half the range of Glorot and Bengio (2010): the root of 6 / (inputs + outputs), as Keras counts them."""
    receptive = math.prod(shape[:-2])
    return math.sqrt(6.0 / (receptive * (shape[-2] + shape[-1])))
