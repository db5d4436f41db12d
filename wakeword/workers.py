"""Who does work that is spread: processes of this machine, or workers of other machines that a block is given.

Both are reached through an `Executor` of Python: whoever spreads work asks `elsewhere` and needs to know no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol


class Workers(Protocol):
    """Workers of other machines."""

    @property
    def count(self) -> int:
        """How many tasks they do at the same time."""
        ...

    def executor(self, prepare: Callable[..., object], *arguments: object) -> AbstractContextManager[Executor]:
        """An executor whose functions get what `prepare(*arguments)` gave on their worker as their first argument; when
        its block is left, what has not begun is dropped.

        Functions, arguments and items are sent as pickles. A function may run more than once for an item: it gives the
        same each time, and what it writes is whole under its final name.
        """
        ...


_workers: ContextVar[Workers | None] = ContextVar("workers", default=None)


def elsewhere() -> Workers | None:
    """The workers that do what is spread in this block; None: processes of this machine."""
    return _workers.get()


@contextmanager
def work_on(workers: Workers | None) -> Iterator[None]:
    """What is spread in the block is done by these workers; with None by processes of this machine."""
    token = _workers.set(workers)
    try:
        yield
    finally:
        _workers.reset(token)


def call[T, R](function: Callable[[T], R], item: T) -> R:
    """`function(item)`, for what is prepared to be called: `executor(partial, function)`."""
    return function(item)
