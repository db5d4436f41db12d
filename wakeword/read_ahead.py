"""Reading ahead in a thread, so that decoding runs beside computing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

DEPTH = 16
"""Items that are read ahead at most; what bounds the memory."""


@dataclass(frozen=True)
class _Failure:
    error: BaseException


_END = object()


@contextmanager
def read_ahead[T](source: Iterable[T], depth: int = DEPTH) -> Iterator[Iterator[T]]:
    """Yield an iterator over `source` that a thread keeps up to `depth` items ahead.

    An error of the source is raised where its item would have been. When the block is left the thread has ended.
    """
    items: queue.Queue[object] = queue.Queue(depth)
    abandoned = threading.Event()

    def put(item: object) -> bool:
        while not abandoned.is_set():
            try:
                items.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def fill() -> None:
        try:
            for item in source:
                if not put(item):
                    return
        except BaseException as error:
            put(_Failure(error))
        else:
            put(_END)

    def drain() -> Iterator[T]:
        while (item := items.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]  # what is neither end nor failure is an item

    thread = threading.Thread(target=fill, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield drain()
    finally:
        abandoned.set()
        thread.join()
