"""What all programs of the project have in common."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

DISTRIBUTION = "wakeword-bench"


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
    """A program: `--version`, no completion, and errors as its commands tell them, see
    `wakeword.errors.reports_errors`.
    """

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
