"""What is dear to make is made once for all processes that share the tests."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def made_once(temporary: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` filled in the first process that asked; the others wait for it. Nobody may change it.

    Raises what `make` raises; the next one who asks tries again.
    """
    folder, made = shared_folder(temporary) / name, shared_folder(temporary) / f"{name}.made"
    with one_at_a_time(folder):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def shared_folder(temporary: pytest.TempPathFactory) -> Path:
    """Of all processes that run the tests of this session."""
    own = temporary.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Of the processes that enter a block of the same folder, the others wait."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
