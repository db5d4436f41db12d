"""What all programs of the project have in common: `--version`, and how a command ends."""

from __future__ import annotations

import errno
import functools
import importlib.metadata
import inspect
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from wakeword.errors import (
    BROKEN_PIPE_EXIT_CODE,
    INTERRUPTED_EXIT_CODE,
    TERMINATED_EXIT_CODE,
    ArgumentError,
    ConfigError,
    InfrastructureError,
    MwwError,
    tell,
)
from wakeword.extras import extra_of, missing

DISTRIBUTION = "wakeword-bench"
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Spread the work over a Dask cluster, tcp://HOST:8786 or tls://HOST:8786; docs/cluster.md.",
    ),
]


def _print_version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(f"{context.find_root().info_name} of {DISTRIBUTION} {importlib.metadata.version(DISTRIBUTION)}")
        raise typer.Exit


_Version = Annotated[
    bool,
    typer.Option(
        "--version", callback=_print_version, is_eager=True, help="Print the version of the project, and end."
    ),
]


class CommandApp(typer.Typer):
    """A program: `--version`, no completion, and errors as its commands tell them, see `reports_errors`."""

    def __init__(self, **settings: Any) -> None:
        """`settings` are Typer's."""
        super().__init__(add_completion=False, pretty_exceptions_enable=False, **settings)

    def callback[F: Callable[..., Any]](self, **settings: Any) -> Callable[[F], F]:
        """Register what comes before all commands, as Typer does."""
        register = super().callback(**settings)

        def registered(function: F) -> F:
            register(_with_version(function))
            return function

        return registered

    def command[F: Callable[..., Any]](self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """Register a command, as Typer does."""
        register = super().command(name, **settings)

        def registered(function: F) -> F:
            # Of a program with several commands the version is asked before them.
            register(function if self.registered_callback else _with_version(function))
            return function

        return registered


def _with_version(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same with an option `--version`, which is answered before anything else is looked at."""

    @functools.wraps(function)
    def command(*arguments: Any, version: bool = False, **options: Any) -> Any:  # noqa: ARG001  # its callback has answered it
        return function(*arguments, **options)

    own = inspect.signature(function, eval_str=True)
    option = inspect.Parameter("version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Version)
    signature = own.replace(parameters=[*own.parameters.values(), option])
    command.__signature__ = signature  # type: ignore[attr-defined]  # what `inspect.signature` looks at first
    command.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    return command


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
            _die(error.of_option if isinstance(error, ArgumentError) else str(error), error.exit_code)
        except KeyboardInterrupt as stop:
            terminated = isinstance(stop, _Terminated)
            what = "terminated" if terminated else "interrupted"
            _die(f"{what}; {interrupted}", TERMINATED_EXIT_CODE if terminated else INTERRUPTED_EXIT_CODE)
        except ModuleNotFoundError as error:
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
    tell(f"error: {message}")
    raise SystemExit(exit_code)
