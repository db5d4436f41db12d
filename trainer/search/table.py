"""All trials as a table, for spreadsheets and programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainer.search.results import TrialRecord
from wakeword.files import write_atomically
from wakeword.reading import csv_text

TABLE = "trials.csv"
_COLUMNS = (
    *("trial", "outcome", "figure", "recall", "false_accepts_per_hour"),
    *("flash_bytes", "arena_bytes", "cycles_per_second", "seconds", "seeds", "said"),
)


def write_table(path: Path, records: Sequence[TrialRecord]) -> None:
    """Write a row a trial: its end, its validation figures (means over its seeds), its costs, and what it has drawn, a
    column a parameter. Raises `OSError`.
    """
    parameters = list(dict.fromkeys(name for record in records for name in record.drawn))
    rows = []
    for record in records:
        figures = (record.figure, record.recall, record.false_accepts_per_hour) if record.runs else ("", "", "")
        cost = record.cost
        costs = (cost.flash, cost.arena, round(cost.cycles)) if cost else ("", "", "")
        drawn = (record.drawn.get(name, "") for name in parameters)
        rows.append(
            (
                record.name,
                record.outcome,
                *figures,
                *costs,
                round(record.seconds),
                len(record.runs),
                record.said,
                *drawn,
            )
        )
    write_atomically(path, csv_text((*_COLUMNS, *parameters), rows))
