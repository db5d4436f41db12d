"""Processes that hold a lock until the test has seen it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def holding(script: str, given: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of a Python script that reads the line `given` and answers with one once it holds the lock; and that
    answer. It is killed in the end.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{given}\n")
        process.stdin.flush()
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
