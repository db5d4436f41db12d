"""`mww-search`: parse, call, print."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from trainer.options import Config, Jobs, Overrides, Settings
from wakeword.command_line import CommandApp, resumes

search_app = CommandApp(rich_markup_mode=None)


@search_app.command()
@resumes
def search(
    config: Config = "quick",
    override: Overrides = None,
    setting: Settings = None,
    space: Annotated[str, typer.Option(help="Space (small, training) or YAML file.")] = "small",
    output: Annotated[Path, typer.Option(help="Folder of the search; an interrupted one in it goes on.")] = Path(
        "search"
    ),
    trials: Annotated[int, typer.Option(help="Trials that are trained, over all sessions.", min=1)] = 20,
    processes: Annotated[int, typer.Option(help="Trials at the same time, which share the cores.", min=1)] = 1,
    seeds: Annotated[int, typer.Option(help="Train each trial with so many seeds; their mean counts.", min=1)] = 1,
    board: Annotated[
        str,
        typer.Option(help="Board whose room is the budget; a part of its name will do."),
    ] = "N8R8",
    max_flash_kb: Annotated[float | None, typer.Option(help="Less flash than the board has, KiB.", min=0)] = None,
    max_arena_kb: Annotated[float | None, typer.Option(help="Less tensor arena, KiB.", min=0)] = None,
    max_cycles: Annotated[
        float | None, typer.Option(help="Less of the processor, million cycles a second.", min=0)
    ] = None,
    startup: Annotated[
        int, typer.Option(help="So many trials are drawn at random, and end before any is given up.", min=1)
    ] = 5,
    pruning: Annotated[
        bool, typer.Option("--pruning/--no-pruning", help="Give hopeless trials up at an evaluation.")
    ] = True,
    base: Annotated[
        bool, typer.Option("--base/--no-base", help="Train the configuration itself too, to compare with.")
    ] = True,
    test: Annotated[
        bool, typer.Option("--test", help="In the end, measure the best trial on the test split, once.")
    ] = False,
    jobs: Jobs = None,
) -> None:
    """Search for better settings, augmentation and architecture, within a board's budget.

    Each trial is a training of its own, in a run's folder. Trials over the budget are never trained. Validation
    chooses, so the figure of the best trial flatters it; --test measures it on recordings that chose nothing. The best
    trial is exported, and a page says what mattered.

    Example:

      mww-search --config quick --override house.yaml --space small --trials 20 --max-arena-kb 26 --output search/house
    """
    from trainer.analysis.boards import find_board
    from trainer.search.budget import Budget
    from wakeword.extras import MODULES, require

    require("a search", *MODULES["search"])
    budget = Budget.of(find_board(board), max_flash_kb, max_arena_kb, max_cycles)
    from trainer.networks.runtime import require_tensorflow

    require_tensorflow()
    from trainer.search.events import SearchTerminal
    from trainer.search.search import SearchRequest, search

    request = SearchRequest(
        config,
        tuple(override or ()),
        tuple(setting or ()),
        space,
        output,
        budget,
        trials,
        processes,
        seeds,
        startup,
        pruning,
        base,
        test,
        jobs,
        shlex.join(["mww-search", *sys.argv[1:]]),
    )
    with SearchTerminal() as terminal:
        result = search(request, terminal)
    for line in result.lines():
        typer.echo(line)
