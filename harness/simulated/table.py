"""A simulation as a table for the terminal: a row a folder, every rate with its interval."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from harness.results import wording
from harness.results.scores import hourly_record, share_record
from wakeword.simulation.board import Simulation

Truth = Literal["wake", "none", "unknown"]


MOST_ROWS = 12
"""More folders than these (a folder a speaker, say) are taken together."""


@dataclass(frozen=True)
class _Count:
    files: int = 0
    found: int = 0
    """Utterances found; recordings with a detection where nobody says what they hold."""
    false: int = 0
    """Detections that find no utterance."""
    seconds: float = 0.0
    """That count as hours where a rate is told."""


def results_table(simulation: Simulation, truth: Truth, title: str | None = None) -> Table:
    """Counts and rates per folder and in all; the simulation's own title unless another is given.

    With the truth known, only the figures that it gives a meaning to are shown: recall where every recording holds the
    wake word, false accepts an hour where none does, both in a session.
    """
    counts = _count_by_folder(simulation, truth)
    rated = truth != "wake" or simulation.presentation.mode == "session"
    table = Table(title=Text(title or simulation.title), title_justify="left")
    table.add_column("folder", overflow="fold")
    for column in ("recordings", "length"):
        table.add_column(column, justify="right")
    if truth != "none":
        table.add_column("recall" if truth == "wake" else "detected in", justify="right")
        table.add_column("95 % interval", justify="right")
    if rated:
        table.add_column("detections" if truth == "unknown" else "false accepts", justify="right")
        table.add_column("per hour", justify="right")
        table.add_column("95 % interval", justify="right")
    for folder, count in counts.items():
        table.add_row(*_row(folder, count, truth, rated=rated))
    if len(counts) > 1:
        table.add_section()
        table.add_row(*_row("all", _total(counts.values()), truth, rated=rated), style="bold")
    return table


def _row(label: str, count: _Count, truth: Truth, *, rated: bool) -> list[str | Text]:
    # A folder's name may hold what Rich would read as markup.
    cells: list[str | Text] = [Text(label), str(count.files), wording.hours(count.seconds / 3600)]
    if truth != "none":
        share = share_record(count.found, count.files)
        cells += [wording.in_short(share), wording.interval(share)]
    if rated:
        rate = wording.cell(hourly_record(count.false, count.seconds / 3600))
        cells += [str(count.false), rate.rate, rate.interval]
    return cells


def _count_by_folder(simulation: Simulation, truth: Truth) -> dict[str, _Count]:
    """Counts per folder, named from the first folder that differs; of many folders those at a higher level."""
    per_folder: dict[Path, _Count] = {}
    for stream, detections in zip(simulation.streams, simulation.detections, strict=True):
        known = stream.truth(wake=truth == "wake")
        outcome = known.outcome([detection.seconds for detection in detections])
        false = Counter(stream.recording_at(detections[number].slice_index) for number in outcome.false)
        found = {utterance for utterance, _ in outcome.matches} if truth == "wake" else set(false)
        for index, (recording, counted) in enumerate(zip(stream.recordings, known.counted, strict=True)):
            one = _Count(1, int(index in found), false[index], counted.end - counted.start)
            folder = recording.path.absolute().parent
            per_folder[folder] = _total([per_folder.get(folder, _Count()), one])
    shared = Path(os.path.commonpath([folder.parent for folder in per_folder]))
    named = {folder.relative_to(shared).parts: count for folder, count in per_folder.items()}
    depth = max(map(len, named))
    while depth > 1 and len({parts[:depth] for parts in named}) > MOST_ROWS:
        depth -= 1
    groups: dict[str, list[_Count]] = {}
    for parts, count in sorted(named.items(), key=lambda item: item[0]):
        groups.setdefault("/".join(parts[:depth]), []).append(count)
    if len(groups) > MOST_ROWS:
        return {shared.name or str(shared): _total(named.values())}
    return {name: _total(counts) for name, counts in groups.items()}


def _total(counts: Iterable[_Count]) -> _Count:
    total = _Count()
    for count in counts:
        total = _Count(
            total.files + count.files,
            total.found + count.found,
            total.false + count.false,
            total.seconds + count.seconds,
        )
    return total
