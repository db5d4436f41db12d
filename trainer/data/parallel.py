"""One way to spread work over all cores: processes, results in the order of the items, a clean end when the user
interrupts.

Unlike those of `wakeword.processes`, a worker here is never stopped in the middle of an item: eSpeak calls back into
Python, and an exception that a signal raises there would be lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Protocol

from wakeword.errors import ConfigError
from wakeword.processes import deaf_to_interrupts, end_with_parent, worker_pool
from wakeword.workers import call, elsewhere

Progress = Callable[[int, int], None]
"""Told how many items are done, of how many. The first call comes with 0."""


class Stages(Protocol):
    """Receives what long work does, stage by stage."""

    def told(self, message: str) -> None:
        """A line for the user: what was found, a warning."""
        ...

    def counting(self, stage: str) -> Progress:
        """A counter for a stage."""
        ...


_CHUNKS_PER_JOB = 16
"""So many that one slow chunk at the end does not leave the other cores idle for long."""
_MAX_CHUNK = 32


def core_count() -> int:
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def map_in_processes[T, R](
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    jobs: int | None = None,
    isolate: bool = False,
    progress: Progress | None = None,
) -> Generator[R]:
    """Yield `function(item)` for every item, in order. `jobs` None takes all cores. In a block that was given workers
    of other machines (`wakeword.workers`) these do it.

    One job runs in this process, unless `isolate` asks for a worker even then (for libraries with global state, or that
    may crash). `function` must be a module's function or a partial of one. Raises what `function` raises, `ConfigError`
    for less than one job, and `InfrastructureError` when a worker dies.
    """
    jobs = core_count() if jobs is None else jobs
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, got {jobs}; leave the option out to use all cores")
    report = progress or (lambda _done, _total: None)
    report(0, len(items))
    if not items:
        return
    if (others := elsewhere()) is not None:
        with others.executor(partial, function) as executor:
            results = executor.map(call, items, chunksize=_chunk(items, others.count))
            for done, result in enumerate(results, 1):
                yield result
                report(done, len(items))
        return
    if jobs == 1 and not isolate:
        for done, item in enumerate(items, 1):
            yield function(item)
            report(done, len(items))
        return
    with worker_pool(min(jobs, len(items)), end_with_parent) as pool:
        # Ctrl-C reaches the whole process group; only this process answers it, so that workers finish the file they
        # write.
        with deaf_to_interrupts():
            results = pool.map(function, items, chunksize=_chunk(items, jobs))
        for done, result in enumerate(results, 1):
            yield result
            report(done, len(items))


def _chunk(items: Sequence[object], jobs: int) -> int:
    return max(1, min(_MAX_CHUNK, len(items) // (max(1, jobs) * _CHUNKS_PER_JOB)))
