"""One error tree. The exit code of a command is the class of what went wrong.

A message is one line and says what happened, where, and what to do.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
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


INTERRUPTED_EXIT_CODE = 130
"""128 + SIGINT, what shells expect of an interrupted program."""


def reports_errors[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors of a command into one line on stderr and the exit code of their class.

    A full disk is the user's to mend, so an `OSError` of that kind is an `InfrastructureError` wherever it is raised.
    """

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except MwwError as error:
            _die(str(error), error.exit_code)
        except KeyboardInterrupt:
            _die("interrupted; nothing half-written was kept under a final name", INTERRUPTED_EXIT_CODE)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            _die(f"{error.strerror or error}{where}; free space or check the path, then run again", InfrastructureError.exit_code)

    return wrapper


def _die(message: str, exit_code: int) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(exit_code)
