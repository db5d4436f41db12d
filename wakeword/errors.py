"""One error tree. The exit code of a command is the class of what went wrong.

A message is one line and says what happened, where, and what to do.
"""

from __future__ import annotations

import signal
import sys


class MwwError(Exception):
    """Root of every error that a user can meet; never raised itself."""

    exit_code = 1


class MeasurementFailure(MwwError):
    """Measured, and below its limit."""

    exit_code = 1


class ConfigError(MwwError):
    """The user's input is wrong: an argument, a file, a model, a corpus."""

    exit_code = 2


class ArgumentError(ConfigError):
    """An argument has a value that it cannot have: Python reads the argument's name, who typed a command its option."""

    def __init__(self, argument: str, value: str, remedy: str) -> None:
        """`argument` as Python names it, `value` as it is shown, `remedy` says what is wrong and what to give."""
        super().__init__(argument, value, remedy)
        self._argument, self._said = argument, f"{value}: {remedy}"

    def __str__(self) -> str:
        """In words of Python."""
        return f"{self._argument} {self._said}"

    @property
    def of_option(self) -> str:
        """As a command says it."""
        return f"--{self._argument.replace('_', '-')} {self._said}"


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


def tell(message: str) -> None:
    """One line on stderr: what was left out, say."""
    print(" ".join(message.split()), file=sys.stderr)
