"""Progress of a build on stderr: a bar on a terminal; where the output is kept, one line a stage and one a minute
within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wakeword.progress import shown


@contextmanager
def stages() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Yield a function for the line of a stage, and one for the steps done and all steps within it."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with shown(*columns) as (bar, plain):
        console = bar.console
        task = bar.add_task("starting", total=None)
        stage = "starting"

        def report(line: str) -> None:
            nonlocal stage
            stage = line
            if console.is_terminal:
                bar.update(task, description=line, completed=0, total=None)
            else:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            plain.stands(line)
            plain.told()

        def progress(done: int, steps: int) -> None:
            bar.update(task, completed=done, total=steps)
            plain.stands(f"{stage}: step {done} of {steps}")

        yield report, progress
