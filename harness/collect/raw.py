"""The raw events of a session: JSON lines, appended as they come, so that a kill loses at most what was not yet said.

Every line has `kind`, `t` (`time.monotonic` of this machine, seconds) and `position` (samples of the stream that the
board had certainly heard); the rest depends on the kind. Kinds: connected, disconnected, detection, entity, log, clock,
identity, play, leg, firmware, fatal, note.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from wakeword.errors import ConfigError, InfrastructureError
from wakeword.locks import try_lock

SYNC_SECONDS = 1.0
"""A power cut loses at most this much of what was written; a killed process loses nothing."""

_BLOCK = 1 << 16
_OWN_KEYS = ("kind", "t", "position")


@dataclass(frozen=True)
class RawEvent:
    """One line of the raw log."""

    kind: str
    t: float
    """Seconds of `time.monotonic` on the machine that wrote it; comparable only within one run of it."""
    position: int
    """Samples of the stream that the board had certainly heard."""
    values: Mapping[str, Any] = field(default_factory=dict)


class RawLog:
    """An append-only file of raw events; a context manager, safe to write from several threads.

    A torn last line, left by a kill, is cut off when the file is opened. `position` gives the stream position of events
    that carry none. Raises `ConfigError` when the file cannot be opened or another process is writing it.
    """

    def __init__(self, path: Path, *, position: Callable[[], int] = lambda: 0) -> None:
        self.path = path
        self._position = position
        self._failure: InfrastructureError | None = None
        self._descriptor = _open(path)
        self._unsynced = False
        self._closing = threading.Event()
        self._syncer = threading.Thread(target=self._sync_every_second, name=f"sync {path.name}", daemon=True)
        self._syncer.start()

    @property
    def position(self) -> int:
        """Samples of the running stream that the board has certainly heard."""
        return self._position()

    def write(self, kind: str, *, position: int | None = None, **values: Any) -> None:
        """Append one event; when this returns, a kill of this process cannot lose it any more.

        Raises `InfrastructureError` when the disk refuses, now or at the last synchronisation; nothing is written after
        that.
        """
        if self._failure is not None:
            raise self._failure
        if self._descriptor < 0:
            raise InfrastructureError(f"{self.path}: the log of raw events is closed; nothing can be recorded any more")
        for key in _OWN_KEYS:
            if key in values:
                raise ValueError(f"{key} is the log's own")
        where = self.position if position is None else position
        line = (
            json.dumps(
                {"kind": kind, "t": time.monotonic(), "position": where} | values,
                allow_nan=False,
                separators=(",", ":"),
            ).encode()
            + b"\n"
        )
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise self._fail(error.strerror or str(error)) from error
        if written != len(line):  # a full disk takes what still fits; the rest would be glued to the next line
            raise self._fail("the disk took only a part of a line")
        self._unsynced = True

    def close(self) -> None:
        """Put everything on the disk and close; a second call does nothing. Raises `InfrastructureError` when the disk
        refuses.
        """
        if self._descriptor < 0:
            return
        self._closing.set()
        self._syncer.join()
        descriptor, self._descriptor = self._descriptor, -1
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise self._fail(error.strerror or str(error)) from error
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fail(self, reason: str) -> InfrastructureError:
        self._failure = InfrastructureError(
            f"{self.path}: cannot record raw events ({reason}); free space or check the disk, then go on with --resume"
        )
        return self._failure

    def _sync_every_second(self) -> None:
        # In a thread of its own: fsync can take a second on a busy disk, and the event loop must go on reading.
        while not self._closing.wait(SYNC_SECONDS):
            if self._unsynced:
                self._unsynced = False
                try:
                    os.fsync(self._descriptor)
                except OSError as error:
                    self._fail(error.strerror or str(error))
                    return


def read_raw(path: Path) -> list[RawEvent]:
    """Read all whole lines; a torn last line, left by a kill, is not an event.

    Raises `ConfigError` when the file cannot be read, or a whole line is damaged (with its number).
    """
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot read the raw events ({error.strerror}); give the raw log of a session"
        ) from error
    events = []
    for number, line in enumerate(lines, 1):
        try:
            events.append(_parse(line))
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path}: line {number} is damaged ({type(error).__name__}: {error}); restore the file, or measure"
                " again"
            ) from error
    return events


def _parse(line: bytes) -> RawEvent:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise TypeError("not an object")
    kind, t, position = (values.pop(key) for key in _OWN_KEYS)
    # bool is an int to Python, but no position.
    if (
        not isinstance(kind, str)
        or not isinstance(t, int | float)
        or not isinstance(position, int)
        or isinstance(t, bool)
        or isinstance(position, bool)
    ):
        raise TypeError("kind, t or position is of another type")
    return RawEvent(kind, float(t), position, values)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ConfigError(f"{path}: cannot write raw events there ({error.strerror}); give another folder") from error
    try:
        if not try_lock(descriptor):
            os.close(descriptor)
            raise ConfigError(f"{path}: another process is recording into it; wait for its end, or give another folder")
        _cut_torn_line(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(f"{path}: cannot record raw events there ({error.strerror}); give another folder") from error
    return descriptor


def _cut_torn_line(descriptor: int) -> None:
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != os.fstat(descriptor).st_size:
        os.ftruncate(descriptor, end)
