"""Times as they are shown."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from wakeword.time_left import TimeLeft, in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (754, "13 min"), (5990, "100 min"), (12_600, "3.5 h")],
)
def test_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_bar_says_nothing_before_some_seconds_were_measured() -> None:
    now = 0.0
    column = TimeLeft()
    with Progress(column, console=Console(file=io.StringIO()), get_time=lambda: now, auto_refresh=False) as bars:
        guessed, known = bars.add_task("guessed", total=100), bars.add_task("known", total=100, left_s=None)

        def shown() -> list[str]:
            return [column.render(task).plain for task in bars.tasks]

        now = 9.0
        bars.update(guessed, completed=50)
        assert shown() == ["", ""]
        now = 20.0
        bars.update(known, left_s=600.0)
        assert shown() == ["20 s left", "10 min left"]
        bars.update(guessed, completed=100)
        assert shown()[0] == ""
