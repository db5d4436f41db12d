"""Starting TensorFlow: its threads, and its start-up chatter kept off the terminal."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MAX_THREADS = 8
"""A model of 25,000 parameters gains nothing from more threads, and other work on the machine loses."""


@functools.cache
def start_tensorflow(threads: int | None = None) -> Any:
    """Import TensorFlow with so many threads (default: the processors this process may use, at most 8) and return it.

    Only the first call of a process sets the threads. Messages that TensorFlow prints while it starts (no GPU found, oneDNN
    is on) are dropped unless it fails to start; its later warnings and errors are shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with stderr_on_failure():
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads or min(MAX_THREADS, len(os.sched_getaffinity(0))))
            tf.config.threading.set_inter_op_parallelism_threads(2)
        except RuntimeError:
            # TensorFlow was used in this process before and keeps the threads that it has.
            return tf
        tf.config.list_logical_devices()
    return tf


@contextmanager
def stderr_on_failure() -> Iterator[None]:
    """Hold back what C++ code writes to file descriptor 2; show it when the block raises."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
