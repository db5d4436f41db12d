"""Steps over vectors of weights, from drawing their batches to what they give.

On a GPU the features of a training lie on the device, batches are drawn from them there, and many steps are one
program; the host sends the numbers of the batches ahead and hears of losses. On a CPU a step is a program, and the host
gives it windows: there features stay in their files.

Imports JAX, and no TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import Augmenting, BatchSampler
from trainer.data.drawn_ahead import Drawers, Numbers, stacked
from trainer.training.pure_step import TaughtBy, Vectors, compiled, many_steps, step_of

MOST_AT_ONCE = 100
"""Steps of one program on a GPU: some tens of milliseconds, so that an interrupt need not wait."""
FEWEST_AT_ONCE = 20
SHARE_FOR_STORE = 0.5
"""Of a GPU's memory that features may take; more of them stay on the host, which then sends windows."""


class VectorSteps:
    """The steps of one model."""

    def __init__(
        self,
        network: NetworkConfig,
        slices: int,
        settings: TrainingSection,
        teachers: Sequence[TaughtBy] = (),
        on_device: bool | None = None,
    ) -> None:
        """Of a MixedNet over windows of so many slices. `on_device`: whether batches are drawn there and steps are done
        many at once; None: where that is not the CPU.
        """
        step = step_of(network, slices, settings, teachers)
        self._one, self._many = compiled(step), compiled(many_steps(step))
        self._on_device = jax.default_backend() != "cpu" if on_device is None else on_device
        self._at_once = steps_at_once(settings.eval_step_interval)
        self._store: tuple[BatchSampler, Any] | None = None
        self._drawers: tuple[BatchSampler, Drawers] | None = None

    def blocks(self, steps: range) -> Iterator[range]:
        """Many steps at once where they need not come back to the host; what is left of them one by one."""
        whole = len(steps) // self._at_once * self._at_once if self._on_device else 0
        for place in range(0, whole, self._at_once):
            yield steps[place : place + self._at_once]
        for place in range(whole, len(steps)):
            yield steps[place : place + 1]

    def made_ready(self, sampler: BatchSampler, steps: range, augmenting: Augmenting) -> Any:
        """The numbers of a block's batches on the device, and the store that windows are drawn from, or None where the
        numbers hold the windows.
        """
        store = self._stored(sampler) if self._on_device else None
        if store is not None and len(steps) > 1:
            with augmenting():  # filters and masks are all that takes time of it
                numbers = {name: values[0] for name, values in self._drawn(sampler, steps).items()}
        else:
            of_steps = [sampler.numbers(step, augmenting, with_features=store is None) for step in steps]
            numbers = stacked(of_steps) if len(steps) > 1 else of_steps[0]
        return jax.device_put(numbers), store

    def close(self) -> None:
        """End the processes that draw, where there are some."""
        if self._drawers is not None:
            self._drawers[1].close()
            self._drawers = None

    def __call__(self, vectors: Vectors, made: Any, rates: Sequence[float]) -> tuple[Vectors, Any]:
        """Do a block that was made ready, each step at its rate: the vectors after it, and what each step gives,
        float32 `[steps, 5]`, or `[5]` of one. Both may still be computed; the vectors that are given may be
        overwritten.
        """
        numbers, store = made
        of_steps = np.asarray(rates, np.float32)
        if numbers["truth"].ndim > 1:
            return self._many(vectors, numbers, of_steps, store)
        return self._one(vectors, numbers, of_steps[0], store)

    def _drawn(self, sampler: BatchSampler, steps: range) -> Numbers:
        if self._drawers is None or self._drawers[0] is not sampler:
            self.close()
            self._drawers = sampler, Drawers([sampler])
        return self._drawers[1].numbers(steps)

    def _stored(self, sampler: BatchSampler) -> Any:
        """All features of a sampler on the device; None where they have no room, or the host must change them. Those of
        one sampler alone are kept.
        """
        if sampler.made_on_host:
            return None
        if self._store is None or self._store[0] is not sampler:
            self._store = None  # the memory first
            self._store = sampler, stored_on_device(sampler)
        return self._store[1]


def stored_on_device(sampler: BatchSampler) -> Any:
    """The rows of all sets one after another on the device, int8 `[rows, 40]`; None where they have no room there."""
    memory = (jax.devices()[0].memory_stats() or {}).get("bytes_limit", np.inf)
    if sum(rows.nbytes for rows in sampler.rows) > SHARE_FOR_STORE * memory:
        return None
    return jax.device_put(np.concatenate(sampler.rows))


def steps_at_once(interval: int) -> int:
    """A divisor of the steps between two evaluations, so that few are left over."""
    most = min(MOST_AT_ONCE, interval)
    divisor = next(steps for steps in range(most, 0, -1) if interval % steps == 0)
    return divisor if divisor >= FEWEST_AT_ONCE else most
