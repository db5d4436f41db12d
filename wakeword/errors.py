"""One error tree. The exit code of a command is the class of what went wrong.

A message is one line and says what happened, where, and what to do.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


class MwwError(Exception):
    """Root of every error that a user can meet; never raised itself."""

    exit_code = 1


class MeasurementFailure(MwwError):
    """Measured, and below its limit."""

    exit_code = 1


class ConfigError(MwwError):
    """The user's input is wrong: an argument, a file, a model, a corpus."""

    exit_code = 2


class InfrastructureError(MwwError):
    """Disk, board or network failed: the run is void and says nothing about the model."""

    exit_code = 3


class BoardRefused(InfrastructureError):
    """A board that will never do: wrong key, wrong board behind the address, or firmware that is not the bench's.
    Trying again is useless.
    """

    exit_code = 4


INTERRUPTED_EXIT_CODE = 128 + signal.SIGINT
TERMINATED_EXIT_CODE = 128 + signal.SIGTERM
BROKEN_PIPE_EXIT_CODE = 128 + signal.SIGPIPE
"""What shells expect of a program that a signal ended."""

_WRONG_PATH = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Errors of the system that another path or other permissions mend; all others are the machine's."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM: the same clean end as an interrupt."""


_NOTHING_HALF = "nothing half-written was kept under a final name"


def resumes[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """`reports_errors` for a command that goes on where it was: who interrupts it is told so."""
    return _reporting(command, f"{_NOTHING_HALF}; run it again to go on")


def reports_errors[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors of a command into one line on stderr and the exit code of their class.

    An `OSError` that nobody caught is a `ConfigError` when a path was wrong (missing, a folder, not permitted), else an
    `InfrastructureError` (a full disk, say), as is a package that is not installed because it is an extra's. SIGTERM
    ends a command as cleanly as Ctrl-C does. Where the reader of the output has gone away (`| head`) the command ends
    without a word.
    """
    return _reporting(command, _NOTHING_HALF)


def _reporting[**P, R](command: Callable[P, R], interrupted: str) -> Callable[P, R]:
    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        _tolerate_any_terminal()
        try:
            with _termination_as_interrupt():
                result = command(*args, **kwargs)
                sys.stdout.flush()
        except MwwError as error:
            _die(str(error), error.exit_code)
        except KeyboardInterrupt as stop:
            terminated = isinstance(stop, _Terminated)
            what = "terminated" if terminated else "interrupted"
            _die(f"{what}; {interrupted}", TERMINATED_EXIT_CODE if terminated else INTERRUPTED_EXIT_CODE)
        except ModuleNotFoundError as error:
            from wakeword.extras import extra_of, missing

            if error.name is None or extra_of(error.name) is None:
                raise
            _die(missing(error.name), InfrastructureError.exit_code)
        except BrokenPipeError:
            _leave_quietly()
        except SystemExit as stop:
            # Rich answers a broken pipe with exit code 1, which here means a measurement below its limit.
            if isinstance(stop.__context__, BrokenPipeError):
                _leave_quietly()
            raise
        except OSError as error:
            _discard_unwritable_output()
            where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
            what = error.strerror or str(error)
            if error.errno in _WRONG_PATH:
                _die(f"{where}{what}; check the path and its permissions, then run again", ConfigError.exit_code)
            _die(f"{where}{what}; free space or check the machine, then run again", InfrastructureError.exit_code)
        return result

    return wrapper


def tell(message: str) -> None:
    """One line on stderr that is no error: what was left out, say."""
    print(" ".join(message.split()), file=sys.stderr)


def _tolerate_any_terminal() -> None:
    """Figures hold signs that not every encoding has, and stdout may be closed: neither is worth losing a
    result for."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process lives
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the cleaning up
        raise _Terminated

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _leave_quietly() -> NoReturn:
    _discard_unwritable_output()
    raise SystemExit(BROKEN_PIPE_EXIT_CODE)


def _discard_unwritable_output() -> None:
    """Python flushes stdout at its end, and would complain of the same fault again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _die(message: str, exit_code: int) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(exit_code)
