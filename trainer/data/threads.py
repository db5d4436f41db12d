"""Threads of numerical libraries in worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from wakeword.processes import THREAD_VARIABLES


@contextmanager
def threads_of_workers(count: int) -> Iterator[None]:
    """Processes that are started in this block give each numerical library `count` threads; the libraries of this process keep theirs."""
    saved = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
