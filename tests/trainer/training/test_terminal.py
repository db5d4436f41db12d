"""What a training shows: a table on a terminal, lines that name their figures in a file."""

from __future__ import annotations

import io
import re

from rich.console import Console

from trainer.training.scores import Checkpoint, ValidationScores
from trainer.training.terminal import TrainingTerminal

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
FIRST = Checkpoint(500, ValidationScores(0.5, 9.0, 0.25, 0.125))
SECOND = Checkpoint(12_000, ValidationScores(0.987, 0.4, 0.912, 0.951))


def shown(terminal: bool) -> list[str]:
    output = io.StringIO()
    with TrainingTerminal(Console(file=output, force_terminal=terminal, no_color=True, width=200)) as progress:
        progress.evaluated(FIRST, best=True)
        progress.evaluated(SECOND, best=False)
        progress.told("warning: something")
        progress.evaluated(SECOND, best=True)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_a_file_gets_lines() -> None:
    assert shown(terminal=False) == [
        (
            "step 500: recall 50.0%, 9.00 false accepts/h, average viable recall 0.250, recall at no false accepts"
            " 12.5%  (best)"
        ),
        "step 12000: recall 98.7%, 0.40 false accepts/h, average viable recall 0.912, recall at no false accepts 95.1%",
        "warning: something",
        (
            "step 12000: recall 98.7%, 0.40 false accepts/h, average viable recall 0.912, recall at no false accepts"
            " 95.1%  (best)"
        ),
    ]


def test_a_line_tells_of_hard_conditions_where_words_are_heard_in_them() -> None:
    line = Checkpoint(500, ValidationScores(1.0, 0.0, 1.0, 1.0, 0.8125, 0.87654)).line(best=False)
    assert line.endswith("recall at no false accepts 100.0%, 81.2% in hard conditions, expected recall 0.8765")


def test_a_terminal_gets_a_table_whose_head_stands_above_it() -> None:
    head = "   step  recall  false accepts/h  average viable recall  recall at no false accepts"
    assert [line for line in (CONTROL.sub("", line).rstrip() for line in shown(terminal=True)) if line] == [
        head,
        "    500   50.0%             9.00                  0.250                       12.5%  best",
        "  12000   98.7%             0.40                  0.912                       95.1%",
        "warning: something",
        head,
        "  12000   98.7%             0.40                  0.912                       95.1%  best",
    ]


def test_a_wide_terminal_shows_the_figures_of_windows_too() -> None:
    scores = ValidationScores(0.987, 0.4, 0.912, 0.951, loss=0.0123, accuracy=0.9987, precision=None, f1=0.5, auc=1.0)
    head = "   step  recall  false accepts/h  average viable recall  recall at no false accepts"
    shown = {}
    for width in (100, 200):
        output = io.StringIO()
        with TrainingTerminal(Console(file=output, force_terminal=True, no_color=True, width=width)) as progress:
            progress.evaluated(Checkpoint(500, scores), best=True)
        shown[width] = [CONTROL.sub("", line).rstrip() for line in output.getvalue().splitlines()]
    assert head in shown[100]
    wide = f"{head}    loss  accuracy  precision     F1     AUC"
    row = "    500   98.7%             0.40                  0.912                       95.1%"
    assert wide in shown[200]
    assert f"{row}  0.0123    0.9987             0.5000  1.0000  best" in shown[200]
