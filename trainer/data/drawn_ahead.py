"""The numbers of batches, drawn in blocks by processes: one process needs about as long for a batch as a GPU for a
step, and would keep it waiting.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.batches import BatchSampler
from wakeword.errors import InfrastructureError
from wakeword.processes import deaf_to_interrupts, end_with_parent, worker_pool

type Numbers = dict[str, NDArray[Any]]
"""See `BatchSampler.numbers`."""

ENOUGH_FOR_ONE = 4
"""Processes that draw the batches of one model; see `benchmarks/gpu.py`."""
LONGEST_BLOCK = 100
"""Steps of one program on a GPU: some tens of milliseconds, so that an interrupt need not wait."""


class Drawers:
    """Processes that draw; started by the first block. Close them at the end."""

    def __init__(self, samplers: Sequence[BatchSampler], processes: int | None = None) -> None:
        """Of one sampler a model. `processes` None: as many as pay on this machine."""
        most = min(len(os.sched_getaffinity(0)), ENOUGH_FOR_ONE * len(samplers))
        self._samplers, self._processes = samplers, processes or most
        self._open = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def numbers(self, block: range) -> Numbers:
        """The numbers of all samplers' batches without features, of the steps of a block, which are of one phase:
        `[samplers, steps, ...]`. Raises `InfrastructureError` when a process dies.
        """
        try:
            return self._numbers(block)
        except BrokenProcessPool as error:
            raise InfrastructureError(
                "a process that draws batches died, perhaps for lack of memory; free some, and give the same command"
                " again: a run goes on from its last evaluation"
            ) from error

    def _numbers(self, block: range) -> Numbers:
        pool = self._pool
        if pool is None:
            opened = worker_pool(self._processes, _take, [sampler.without_rows() for sampler in self._samplers])
            pool = self._pool = self._open.enter_context(opened)
        size = -(-len(block) * len(self._samplers) // self._processes)
        parts = [block[place : place + size] for place in range(0, len(block), size)]
        with deaf_to_interrupts():  # this starts the processes
            drawing = [[pool.submit(_drawn, place, part) for part in parts] for place in range(len(self._samplers))]
        of_samplers = [joined([future.result() for future in of_parts]) for of_parts in drawing]
        return stacked(of_samplers)

    def close(self) -> None:
        """End the processes."""
        self._open.close()
        self._pool = None


def stacked(numbers: Sequence[Mapping[str, NDArray[Any]]]) -> Numbers:
    """Several of the same shapes as one, each with one more axis in front."""
    return {name: np.stack([each[name] for each in numbers]) for name in numbers[0]}


def joined(numbers: Sequence[Mapping[str, NDArray[Any]]]) -> Numbers:
    """Several one after another along their first axis."""
    return {name: np.concatenate([each[name] for each in numbers]) for name in numbers[0]}


_samplers: Sequence[BatchSampler] = ()


def _take(samplers: Sequence[BatchSampler]) -> None:
    global _samplers
    end_with_parent()
    _samplers = samplers


def _drawn(place: int, block: range) -> Numbers:
    return stacked([_samplers[place].numbers(step, with_features=False) for step in block])
