"""Where a session stands, on stderr: a bar on a terminal, a line a minute where the output is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.session.runner import Moment
from wakeword.progress import plain_lines, stderr


@contextmanager
def session_progress(description: str, total_seconds: float) -> Iterator[Callable[[Moment], None]]:
    """Yield a function that takes the present moment of a session of so many seconds of audio."""
    from rich.progress import BarColumn, Progress, TextColumn

    from wakeword.time_left import TimeLeft

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[minutes]:.1f} of {task.fields[total_minutes]:.1f} min, {task.fields[speed]:.0f}x, {task.fields[detections]} detections"),
        TimeLeft(),
    )
    console = stderr()
    with plain_lines(console) as plain, Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total_seconds, minutes=0.0, total_minutes=total_seconds / 60, speed=0.0, detections=0)
        plain.stands(f"{description}: connecting to the board")
        began: float | None = None

        def watch(moment: Moment) -> None:
            nonlocal began
            now = time.monotonic()
            began = now if began is None else began
            speed = moment.audio_seconds / (now - began) if now > began else 0.0
            minutes = moment.audio_seconds / 60
            bar.update(task, completed=moment.audio_seconds, minutes=minutes, speed=speed, detections=moment.detections)
            detections = f"{moment.detections} detection{'' if moment.detections == 1 else 's'}"
            plain.stands(f"{description}: {minutes:.1f} of {total_seconds / 60:.1f} min of audio, {speed:.1f} times real time, {detections}")

        yield watch
