"""Running other programs: their output line by line, and none that outlives us."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from firmware.redaction import without_concealed
from wakeword.errors import InfrastructureError

TERMINATION_SECONDS = 10.0
"""How long a program may clean up after SIGTERM; ninja removes what it has half written."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_program(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    *,
    timeout: float | None = None,
) -> int:
    """Run a program in `folder` and hand over each line that it prints, `plain`; returns its exit code.

    stdout and stderr are one stream, and a carriage return ends a line too. Whatever ends this function or this
    process, the program and all that it started end with it. `timeout` is in seconds.

    Raises `InfrastructureError` when the program cannot be started or exceeds `timeout`.
    """
    program = [str(part) for part in command]
    try:
        # A session of its own is one process group, which can be ended as a whole: esphome starts ninja, and ninja the
        # compilers.
        process = subprocess.Popen(
            program,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise InfrastructureError(
            f"{program[0]}: cannot be started ({error.strerror}); check that it is installed"
        ) from error
    try:
        with _ends_with_us(process.pid):
            assert process.stdout is not None
            for line in _lines(process.stdout, None if timeout is None else time.monotonic() + timeout):
                on_line(plain(line))
            return process.wait()
    except TimeoutError as error:
        raise InfrastructureError(
            f"{program[0]}: no answer within {timeout:g} s; check the machine, then run again"
        ) from error
    finally:
        _end_group(process)


def plain(line: str) -> str:
    """A line without colours, and without what is concealed on a terminal."""
    return _ANSI.sub("", without_concealed(line)).rstrip()


def _lines(stream: IO[bytes], until: float | None) -> Iterator[str]:
    """Lines as they come. Raises `TimeoutError` when the stream is still open at `until` (monotonic seconds)."""
    pending = b""
    while True:
        if until is not None and not select.select([stream], [], [], max(0.0, until - time.monotonic()))[0]:
            raise TimeoutError
        chunk = os.read(stream.fileno(), 65536)
        if not chunk:
            break
        *complete, pending = re.split(rb"[\r\n]+", pending + chunk)
        yield from (line.decode(errors="replace") for line in complete)
    if pending:
        yield pending.decode(errors="replace")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the group: nothing after a normal end, all of it after an error or an interrupt."""
    assert process.stdout is not None
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        if _closed_within(process.stdout, TERMINATION_SECONDS):
            break
    process.wait()
    process.stdout.close()


def _closed_within(stream: IO[bytes], seconds: float) -> bool:
    """Whether the stream ends in time: when nobody holds its other end, all of the group are gone (a zombie still has a
    number).
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([stream], [], [], left)[0] and not os.read(stream.fileno(), 65536):
            return True
    return False


@contextmanager
def _ends_with_us(group: int) -> Iterator[None]:
    """Keep a watcher that ends the process group when this process is gone without a word (SIGKILL): its pipe then
    closes.
    """
    reading, writing = os.pipe()
    try:
        watcher = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _; kill -KILL "-$0"', str(group)], stdin=reading, start_new_session=True
        )
    finally:
        os.close(reading)
    try:
        yield
    finally:
        watcher.kill()
        watcher.wait()
        os.close(writing)
