"""Worker processes that start quietly, stop at once, and never outlive the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any

from wakeword.errors import TERMINATED_EXIT_CODE, InfrastructureError
from wakeword.workers import elsewhere

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def process_map[C, T, R](
    function: Callable[[C, T], R], items: Sequence[T], processes: int, prepare: Callable[..., C], *arguments: object
) -> Iterator[Iterator[R]]:
    """Yield an iterator over `function(prepared, item)`, in the order of the items, computed in processes with one BLAS
    thread each, or by the workers that the block around it was given (`wakeword.workers`).

    Each process calls `prepare(*arguments)` once, which gives `prepared`. When the block is left by an error or an
    interrupt, running work is stopped (its `finally` blocks run) and what has not begun is dropped; when it is left, no
    process remains. Raises what `function` raises, and `InfrastructureError` when a process dies.
    """
    if (others := elsewhere()) is not None:
        with others.executor(prepare, *arguments) as executor:
            yield executor.map(function, items)
        return
    before = set(multiprocessing.active_children())
    with worker_pool(min(processes, len(items)), _start_worker, prepare, arguments) as pool:
        try:
            with threads_of_workers(1), deaf_to_interrupts():
                results = pool.map(partial(_work, function), items)
            yield results
        except BaseException:
            for worker in set(multiprocessing.active_children()) - before:
                worker.terminate()
            raise


@contextmanager
def worker_pool(processes: int, initialise: Callable[..., None], *arguments: object) -> Iterator[ProcessPoolExecutor]:
    """Processes that call `initialise(*arguments)` once. What has not begun when the block is left is dropped, what has
    is waited for.

    They are spawned, not forked: a fork copies the threads of libraries half-alive. Raises `InfrastructureError` when
    one of them dies.
    """
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), initializer=initialise, initargs=arguments
    )
    try:
        yield pool
    except BrokenProcessPool as error:
        raise InfrastructureError(
            "a worker process died, perhaps for lack of memory; free some, or run again with fewer processes (jobs)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Processes that are started in the block have no ear for Ctrl-C; in this one it waits for the end of the block.

    Ctrl-C reaches the whole process group, and a worker that hears it while it is still importing prints a traceback. A
    blocked signal stays blocked in the processes that are started meanwhile.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def threads_of_workers(count: int) -> Iterator[None]:
    """Processes that are started in this block give each numerical library `count` threads; the libraries of this
    process keep theirs.
    """
    with environment(dict.fromkeys(THREAD_VARIABLES, str(count))):
        yield


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that this process, and what it starts, has in the block."""
    saved = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_working = False
_stopping = False
"""State of a worker: inside the caller's function, told to stop."""
_prepared: object = None
"""In a worker: what `prepare` gave."""


def end_with_parent() -> None:
    """In a worker: it ends when its parent does. A parent that is killed tells nobody, and its workers would wait for
    work for ever.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start_worker(prepare: Callable[..., object], arguments: Sequence[object]) -> None:
    global _prepared
    end_with_parent()
    _prepared = prepare(*arguments)
    # Until here there is nothing to clean up, and the executor would print the exception.
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, _: object) -> None:
    """Stop the caller's function, so that its `finally` blocks run; a result that is being sent is sent whole.

    The second signal is the executor's, when nobody reads results any more.
    """
    global _stopping
    again, _stopping = _stopping, True
    if _working and not again:
        raise SystemExit(128 + number)
    if again and not _working:
        os._exit(128 + number)


def _work[T, R](function: Callable[[Any, T], R], item: T) -> R:
    global _working
    try:
        _working = True
        if _stopping:
            raise SystemExit(TERMINATED_EXIT_CODE)  # noqa: TRY301 - the end is the same
        try:
            return function(_prepared, item)
        finally:
            _working = False
    except SystemExit:
        # The executor would hand this over as a result and go on with the next item.
        os._exit(TERMINATED_EXIT_CODE)
