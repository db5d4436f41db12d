"""`mww-judge`: parse, call, print."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from wakeword.command_line import CommandApp, reports_errors
from wakeword.errors import ConfigError

judge_app = CommandApp(no_args_is_help=True)


@judge_app.callback()
def judge() -> None:
    """A second stage behind a device: a larger model that hears the seconds around a wake and says yes or no."""


@judge_app.command()
@reports_errors
def serve(
    models: Annotated[
        list[Path],
        typer.Argument(help="Models of one wake word that answer together: manifests (.json) or folders of runs."),
    ],
    cutoff: Annotated[
        float | None, typer.Option(help="Score from which it says yes, 0-1. (default: the models' own cutoff)")
    ] = None,
    wyoming: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where Wyoming is spoken, or off; port 0 takes a free one.")
    ] = "127.0.0.1:10410",
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where HTTP is spoken, or off.")] = "127.0.0.1:10411",
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token of the HTTP service. (default: $MWW_JUDGE_TOKEN)")
    ] = None,
    trust_network: Annotated[
        bool,
        typer.Option(
            "--trust-network",
            help="Let Wyoming, which has no authentication, listen where other machines reach it.",
        ),
    ] = False,
    longest: Annotated[float, typer.Option(help="Most seconds of sound in one question.", min=1, max=60)] = 10.0,
    clients: Annotated[int, typer.Option(help="Most connections at once, of both services.", min=1, max=256)] = 8,
    timeout: Annotated[
        float,
        typer.Option(
            help="Most seconds from the beginning of a question to its answer; more than --longest for sound that is"
            " sent as it is recorded.",
            min=0.5,
            max=600,
        ),
    ] = 15.0,
    idle: Annotated[
        float, typer.Option(help="Most seconds that a Wyoming client stays without a question.", min=0.5, max=3600)
    ] = 15.0,
) -> None:
    """Answer clients until SIGTERM or Ctrl-C: Wyoming on one port, HTTP with a token on another.

    Example:

      (umask 077; openssl rand -hex 32 > judge.token)

      mww-judge serve larger.json --cutoff 0.5 --token-file judge.token
    """
    from judge.deciding import open_judge
    from judge.limits import ServiceLimits
    from judge.serving import Served, parse_place, refuse_open_wyoming
    from judge.serving import serve as serve_until_stopped
    from judge.token import read_token

    places = parse_place("wyoming", wyoming), parse_place("http", http)
    if places == (None, None):
        raise ConfigError("--wyoming off and --http off leave nothing to serve; leave one of them on")
    if places[0] is not None:
        refuse_open_wyoming(places[0], trust_network)
    token = None if places[1] is None else read_token(token_file)
    served = Served(open_judge(models, cutoff), ServiceLimits(longest, clients, timeout, idle), *places, token)
    serve_until_stopped(served, _print_or_drop)


def _print_or_drop(line: str) -> None:
    """A line; whoever reads no further, or a full disk, ends no service."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        # What is left in the buffer would fail again at the end of the program.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:
        return
