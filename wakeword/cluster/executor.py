"""An `Executor` on a cluster: tasks in the order of their items, few waiting at a time, a lost worker's done again."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakeword.cluster.terms import Terms
from wakeword.errors import InfrastructureError

if TYPE_CHECKING:
    from distributed import Client

WAITING_PER_WORKER = 4
"""Tasks that the cluster has been given, for each worker: enough that none waits for this machine, few enough that
their results need little memory."""
LOOK_EVERY_S = 5.0
WORKERLESS_S = 60.0
"""So long there may be no worker: one that has died may come back."""
_PREPARED_KEPT = 2
_ITEM_SHOWN = 160
"""Characters of an item that a message shows."""


class ClusterExecutor(Executor):
    """Runs `function(prepared, ...)` on the workers of a cluster.

    A task whose worker is lost is done again, as often as the scheduler allows (`allowed-failures`, 3 by default).
    """

    def __init__(self, client: Client, terms: Terms, prepare: Callable[..., object], arguments: Sequence[object]):
        """What `prepare(*arguments)` gives is made once on each worker."""
        self._client = client
        content = pickle.dumps((terms, prepare, arguments))
        self._key = hashlib.sha256(content).hexdigest()
        # A task of its own, so that its content goes to each worker once, and again to one that comes later.
        self._prepared = client.submit(bytes, content, pure=False)
        self._tasks = client.get_executor(pure=False)
        self._looked, self._workers, self._seen = -LOOK_EVERY_S, 1, time.monotonic()

    def submit[**P, R](self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run `fn(prepared, *args)` on a worker. What can be raised there is raised by `result`, as is
        `InfrastructureError` for a cluster that has gone.
        """
        future: Future[R] = self._tasks.submit(_run, self._key, self._prepared, fn, args, kwargs)
        return future

    def map[R](
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[R]:
        """Yield `fn(prepared, item)` in the order of the items, a task for each `chunksize` of them.

        When the iterator is closed, what has not begun is dropped. Raises what `fn` raises, and `InfrastructureError`
        for a task that loses its worker again and again, for a cluster without workers and for one that has gone.
        """
        assert timeout is None, "work on a cluster has no time-out"
        assert buffersize is None, "so many wait as there are workers for"
        return self._in_order(fn, batched(zip(*iterables, strict=False), chunksize))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Drop what has not begun, and with `wait` wait for the rest."""
        self._tasks.shutdown(wait=wait and not cancel_futures)

    def _in_order[R](self, fn: Callable[..., R], chunks: Iterator[tuple[tuple[Any, ...], ...]]) -> Iterator[R]:
        waiting: deque[tuple[Future[list[R]], tuple[tuple[Any, ...], ...]]] = deque()
        try:
            while True:
                self._look()
                while len(waiting) < WAITING_PER_WORKER * self._workers and (chunk := next(chunks, None)) is not None:
                    waiting.append((self._tasks.submit(_run_each, self._key, self._prepared, fn, chunk), chunk))
                if not waiting:
                    return
                results = self._result(*waiting[0])
                waiting.popleft()
                yield from results
        finally:
            for future, _ in waiting:
                future.cancel()

    def _result[R](self, future: Future[R], items: Sequence[Sequence[object]]) -> R:
        from distributed import KilledWorker

        while True:
            try:
                return future.result(LOOK_EVERY_S)
            except TimeoutError:
                if future.done():
                    raise
                self._look()
            except KilledWorker as error:
                what = ", ".join(str(part) for part in items[0])[:_ITEM_SHOWN]
                more = f" and {len(items) - 1} more" if len(items) > 1 else ""
                raise InfrastructureError(
                    f"{error.allowed_failures + 1} workers of the cluster died while they had one task, the last one"
                    f" {error.last_worker.address}, perhaps for lack of memory; look at what it printed, and give"
                    f" workers more memory; the task, or one beside it: {what}{more}"
                ) from error
            except CancelledError as error:
                raise gone(self._client) from error

    def _look(self) -> None:
        """How many workers there are, now and then. Raises `InfrastructureError` where there are none for long, or no
        scheduler.
        """
        if (now := time.monotonic()) - self._looked < LOOK_EVERY_S:
            return
        try:
            self._workers = len(self._client.nthreads())
        except (OSError, TimeoutError) as error:
            raise gone(self._client) from error
        self._looked = now
        if self._workers:
            self._seen = now
        elif now - self._seen > WORKERLESS_S:
            raise InfrastructureError(
                f"the cluster has had no worker for {WORKERLESS_S:g} s; start some, then run again to go on"
            )


def gone(client: Client) -> InfrastructureError:
    """The error for a cluster whose scheduler is not there any more."""
    where = client.scheduler.address if client.scheduler else "the cluster"
    return InfrastructureError(
        f"the connection to the cluster's scheduler ({where}) was lost; start it and its workers, then run again"
    )


# --- on a worker ------------------------------------------------------------------------------------------------------

_kept: OrderedDict[str, tuple[Path, object]] = OrderedDict()
"""What was prepared in this process, by key, the last few, and the folder in which its command was typed: a cluster may
work for several commands at once."""


def _run(
    key: str, content: bytes, function: Callable[..., object], args: Sequence[object], kwargs: dict[str, object]
) -> object:
    return function(_prepare(key, content), *args, **kwargs)


def _run_each(
    key: str, content: bytes, function: Callable[..., object], items: Sequence[Sequence[object]]
) -> list[object]:
    prepared = _prepare(key, content)
    return [function(prepared, *item) for item in items]


def _prepare(key: str, content: bytes) -> object:
    if key not in _kept:
        from distributed import get_worker

        terms, prepare, arguments = pickle.loads(content)  # noqa: S301  # the same trust as in any task
        worker = get_worker()
        if refusal := terms.refusal(worker.state.nthreads):
            raise InfrastructureError(f"worker {worker.address} {refusal}")
        os.chdir(terms.folder)
        _kept[key] = terms.folder, prepare(*arguments)
        while len(_kept) > _PREPARED_KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    folder, prepared = _kept[key]
    # The same names mean the same files as where the command was typed.
    os.chdir(folder)
    return prepared
