"""Steps over vectors of weights, from drawing their batches to what they give.

On a GPU the features of a training lie on the device, batches are drawn from them there, and many steps are one
program; the host sends the numbers of the batches ahead and hears of losses. Where features have no room there, and on
a CPU, a step is a program, and the host gives it windows: there features stay in their files.

Imports JAX, and no TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import Augmenting, BatchSampler
from trainer.data.drawn_ahead import LONGEST_BLOCK, Drawers, Numbers
from trainer.training.pure_step import TaughtBy, Vectors, compiled, many_steps, step_of
from wakeword import contract
from wakeword.errors import InfrastructureError

FEWEST_AT_ONCE = 20
"""Steps of one program on a GPU."""
SHARE_FOR_STORE = 0.5
"""Of a GPU's memory that features may take; more of them stay on the host, which then sends windows."""
ROOM_FACTOR = 1.25
"""A store has room for the next power of it: with a few hard negatives more the programs need not be compiled again."""
ROWS_SENT_AT_ONCE = 1 << 20
"""40 MiB: mapped features are never in main memory as a whole."""

Made = tuple[dict[str, Any], Any]
"""A block's numbers on the device (see `BatchSampler.numbers`), of several steps each with one more axis in front; and
the store, int8 `[rows, 40]`, that windows are drawn from, or None where the numbers hold the windows."""


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
        many at once, where features have room; None: where that is not the CPU.
        """
        step = step_of(network, slices, settings, teachers)
        self._one, self._many = compiled(step), compiled(many_steps(step))
        self._on_device = jax.default_backend() != "cpu" if on_device is None else on_device
        self._at_once = steps_at_once(settings.eval_step_interval)
        self._placed: BatchSampler | None = None
        self._store: Any = None
        self._drawers: Drawers | None = None

    def place(self, sampler: BatchSampler) -> str:
        """Draw from a sampler from now on, its features on the device where that pays and they have room. Says where
        they lie; nothing on a CPU.
        """
        self.close()
        self._placed, self._store = sampler, None  # the memory first
        if not self._on_device:
            return ""
        self._store, said = stored_on_device(sampler)
        if self._store is not None:
            self._drawers = Drawers([sampler])
        return said

    def blocks(self, steps: range) -> Iterator[range]:
        """Many steps at once where they need not come back to the host; what is left of them one by one."""
        return blocks_of(steps, 1 if self._store is None else self._at_once)

    def made_ready(self, sampler: BatchSampler, steps: range, augmenting: Augmenting) -> Made:
        """A block of `blocks`, of the sampler that was placed; on a CPU of any. Filters and masks of single steps are
        drawn within `augmenting`. Raises `InfrastructureError` when a process that draws dies, and for too little
        memory of a GPU.
        """
        assert sampler is self._placed or not self._on_device
        numbers: Numbers
        if self._drawers is not None and len(steps) > 1:
            numbers = {name: values[0] for name, values in self._drawers.numbers(steps).items()}
        else:
            (step,) = steps
            numbers = sampler.numbers(step, augmenting, with_features=self._store is None)
        with memory_told():
            return jax.device_put(numbers), self._store

    def close(self) -> None:
        """End the processes that draw, where there are some."""
        if self._drawers is not None:
            self._drawers.close()
            self._drawers = None

    def __call__(self, vectors: Vectors, made: Made, rates: Sequence[float]) -> tuple[Vectors, Any]:
        """Do a block that was made ready, each step at its rate: the vectors after it, and what each step gives,
        float32 `[steps, 5]`, or `[5]` of one. Both may still be computed; the vectors that are given may be
        overwritten. Raises `InfrastructureError` for too little memory of a GPU.
        """
        numbers, store = made
        of_steps = np.asarray(rates, np.float32)
        with memory_told():
            if numbers["truth"].ndim > 1:
                return self._many(vectors, numbers, of_steps, store)
            return self._one(vectors, numbers, of_steps[0], store)


def stored_on_device(sampler: BatchSampler) -> tuple[Any, str]:
    """The rows of all sets one after another on the device, int8 `[rows or more, 40]`, or None where the host must
    change windows or they have no room there; and which of these, for the user.
    """
    mib = sum(rows.nbytes for rows in sampler.rows) / 2**20
    if sampler.made_on_host:
        return None, "windows are sent to it, since training.quiet_augment changes them before"
    memory = (jax.devices()[0].memory_stats() or {}).get("bytes_limit", np.inf)
    room = _room(sum(len(rows) for rows in sampler.rows))
    if room * contract.FEATURE_CHANNELS <= SHARE_FOR_STORE * memory:
        try:
            return _filled(sampler, room), f"with all features ({mib:,.0f} MiB) on it"
        except jax.errors.JaxRuntimeError as error:
            if not _is_lack_of_memory(error):
                raise
    return None, f"windows are sent to it, since all features ({mib:,.0f} MiB) have no room there"


def blocks_of(steps: range, at_once: int) -> Iterator[range]:
    """So many steps at once, and what is left of them one by one: each length is a program of its own."""
    whole = len(steps) // at_once * at_once
    for place in range(0, whole, at_once):
        yield steps[place : place + at_once]
    for place in range(whole, len(steps)):
        yield steps[place : place + 1]


def steps_at_once(interval: int) -> int:
    """A divisor of the steps between two evaluations; where they have none that is long enough, so many that few steps
    are left over.
    """
    most = min(LONGEST_BLOCK, interval)
    divisor = next(steps for steps in range(most, 0, -1) if interval % steps == 0)
    return divisor if divisor >= FEWEST_AT_ONCE else interval // -(-interval // most)


@contextmanager
def memory_told() -> Iterator[None]:
    """Raise `InfrastructureError` where a GPU has too little memory for what is done in the block."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not _is_lack_of_memory(error):
            raise
        raise InfrastructureError(
            "the GPU is out of memory: another program has it (nvidia-smi lists it), or lower training.batch_size"
        ) from error


def _is_lack_of_memory(error: Exception) -> bool:
    return "RESOURCE_EXHAUSTED" in str(error)


def _room(rows: int) -> int:
    powers = math.ceil(math.log(max(rows, 1), ROOM_FACTOR))
    return max(rows, math.ceil(ROOM_FACTOR**powers))


def _filled(sampler: BatchSampler, room: int) -> Any:
    store, place = jnp.zeros((room, contract.FEATURE_CHANNELS), jnp.int8), 0
    for rows in sampler.rows:
        for start in range(0, len(rows), ROWS_SENT_AT_ONCE):
            piece = rows[start : start + ROWS_SENT_AT_ONCE]
            store = _put(store, np.ascontiguousarray(piece), np.int32(place))
            place += len(piece)
    return store.block_until_ready()


def _put_rows(store: Any, rows: Any, place: Any) -> Any:
    return lax.dynamic_update_slice(store, rows, (place, 0))


_put = jax.jit(_put_rows, donate_argnums=0)
