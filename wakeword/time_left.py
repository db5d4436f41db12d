"""Lengths of time in words, and the time that work still takes on progress bars: nothing before it means something."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.text import Text

MEASURED_S = 10.0
"""A first part may come from a cache, or start programs: what is guessed from less than this is wrong by a large
factor."""


def in_words(seconds: float) -> str:
    """A length of time as one reads it: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class TimeLeft(ProgressColumn):
    """`12 min left`. A task may know better than the bar: its field `left_s` is seconds, or None where it does not know
    yet.
    """

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """The text of a task."""
        seconds = task.fields["left_s"] if "left_s" in task.fields else self._guessed(task)
        return Text("" if seconds is None else f"{in_words(seconds)} left", style="progress.remaining")

    @staticmethod
    def _guessed(task: Task) -> float | None:
        """From all that is done; the bar's own guess swings with its last seconds."""
        if task.finished or not task.total or not task.completed or (task.elapsed or 0) < MEASURED_S:
            return None
        assert task.elapsed is not None
        return task.elapsed / task.completed * (task.total - task.completed)
