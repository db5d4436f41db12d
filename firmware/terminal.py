"""Progress of a build on stderr: a bar on a terminal, one line a stage where the output is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stages() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Yield a function for the line of a stage, and one for the steps done and all steps within it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def report(line: str) -> None:
            if console.is_terminal:
                bar.update(task, description=line, completed=0, total=None)
            else:
                console.print(line, markup=False, highlight=False, soft_wrap=True)

        def progress(done: int, steps: int) -> None:
            bar.update(task, completed=done, total=steps)

        yield report, progress
