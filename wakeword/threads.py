"""Work on several cores within one process: NumPy computes without Python's lock, so threads do for it what processes
do for Python, and start at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@contextmanager
def thread_map[T, R](function: Callable[[T], R], items: Sequence[T], threads: int) -> Iterator[Iterator[R]]:
    """Yield an iterator over `function(item)`, in the order of the items, computed in threads where there are several
    of both. What has not begun when the block is left is dropped, what has is waited for. Raises what `function`
    raises.
    """
    threads = min(threads, len(items))
    if threads < 2:
        yield map(function, items)
        return
    pool = ThreadPoolExecutor(threads, "work")
    try:
        yield pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)


@cache
def _blas() -> ThreadpoolController:
    import numpy as np  # its BLAS has to be loaded to be found
    from threadpoolctl import ThreadpoolController

    assert np
    return ThreadpoolController().select(user_api="blas")


_one_thread_lock, _in_blocks = Lock(), 0
_limit: Any = None
"""What was in force before the first of the blocks that threads are in."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS computes in the calling thread alone within this block. That is a setting of the process: it is so for all
    of its threads, and what was before comes back when the last of them leaves its block.

    Its own threads wait for each other in a loop that takes a core each: on a machine that computes something else too,
    small products take many times as long, and the cores are taken from what else there is.
    """
    global _in_blocks, _limit
    with _one_thread_lock:
        if not _in_blocks:
            _limit = _blas().limit(limits=1)
        _in_blocks += 1
    try:
        yield
    finally:
        with _one_thread_lock:
            _in_blocks -= 1
            if not _in_blocks:
                _limit.restore_original_limits()
                _limit = None
