"""Where a session stands, on stderr: a line on a terminal, nothing where the output is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.session.runner import Moment


@contextmanager
def session_progress(description: str, total_seconds: float) -> Iterator[Callable[[Moment], None]]:
    """Yield a function that takes the present moment of a session of so many seconds of audio."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[minutes]:.1f} of {task.fields[total_minutes]:.1f} min, {task.fields[speed]:.0f}x, {task.fields[detections]} detections"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total_seconds, minutes=0.0, total_minutes=total_seconds / 60, speed=0.0, detections=0)
        began: float | None = None

        def watch(moment: Moment) -> None:
            nonlocal began
            now = time.monotonic()
            began = now if began is None else began
            speed = moment.audio_seconds / (now - began) if now > began else 0.0
            bar.update(task, completed=moment.audio_seconds, minutes=moment.audio_seconds / 60, speed=speed, detections=moment.detections)

        yield watch
