"""Progress of work over audio, on stderr: a bar on a terminal, nothing where the output is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def audio_progress(description: str, total_seconds: float) -> Iterator[Callable[[float], None]]:
    """Yield a function that takes the seconds of audio finished since its last call."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[minutes]:.1f} of {task.fields[total_minutes]:.1f} min of audio"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total_seconds, minutes=0.0, total_minutes=total_seconds / 60)
        done = 0.0

        def advance(seconds: float) -> None:
            nonlocal done
            done += seconds
            bar.update(task, completed=done, minutes=done / 60)

        yield advance
