"""The page of several measurements: a table of figures, the pairs that were measured alike, and where each comes
from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.results import wording
from harness.results.matrix import Measurement, Pair, make_measurements, make_pairs
from harness.results.schema import IntervalRecord, Result
from harness.results.wording import Cell, cell
from wakeword.files import write_atomically
from wakeword.pages import render_page
from wakeword.scoring.agreement import SIGNIFICANCE


@dataclass(frozen=True)
class _MatrixRow:
    """A measurement in words."""

    measurement: Measurement
    recall: Cell | None
    accepts: Cell | None
    beside: tuple[str, ...]
    """Utterances found, by the board and by the simulation of the same audio; false accepts of both; probabilities that
    differ. Dashes for what there is not."""
    arena: str


def write_matrix(groups: Sequence[Sequence[Result]], output: Path) -> str:
    """Write the page of several measurements, a group of results each, and return its sentence. Raises `ConfigError`
    where results of a group cannot be merged, or a recording holds the wake word in one and not in another.
    """
    measurements = make_measurements(groups)
    pairs = make_pairs(measurements)
    sentence = headline(measurements, pairs)
    context = {
        "rows": [_row(one) for one in measurements],
        "pairs": [(pair, found_more(pair), woke_more(pair)) for pair in pairs],
        "sentence": sentence,
        "remarks": _remarks(measurements),
        "simulated": any(one.result.simulation for one in measurements),
        "judged": any(one.result.judge is not None for one in measurements),
        "w": wording,
    }
    write_atomically(output, render_page("harness.results", "matrix.html.j2", context))
    return sentence


def headline(measurements: Sequence[Measurement], pairs: Sequence[Pair]) -> str:
    """What was measured, and which pairs differ."""
    models = len({one.result.model.tflite_sha256 for one in measurements})
    boards = len({one.board for one in measurements if one.board})
    counted = f"{wording.number(len(measurements), 'measurement')} of {wording.number(models, 'model')}"
    counted += f" on {wording.number(boards, 'board')}." if boards else "."
    if not pairs:
        return f"{counted} No two heard the same recordings in the same way, so none is compared with another."
    found = [said for pair in pairs for said in (found_more(pair), woke_more(pair)) if said]
    tested = f" ({wording.number(len(pairs), 'pair')}, all p values corrected together by Holm's method)"
    if not found:
        return f"{counted} No pair is proven to differ{tested}, which is no proof that they are equal."
    said = "; ".join(found)
    return f"{counted} {said[0].upper()}{said[1:]}{tested}."


def found_more(pair: Pair) -> str:
    """Which finds more utterances; empty where that is not proven."""
    counts = pair.versus.utterances
    if pair.recall_p is None or pair.recall_p >= SIGNIFICANCE:
        return ""
    more, less = _ordered(pair, counts.device_only, counts.simulated_only)
    return f"row {more} finds more utterances than row {less}"


def woke_more(pair: Pair) -> str:
    """Which has more false accepts; empty where that is not proven."""
    events = pair.versus.false_accepts
    if pair.accepts_p is None or pair.accepts_p >= SIGNIFICANCE:
        return ""
    more, less = _ordered(pair, events.device_only, events.simulated_only)
    return f"row {more} has more false accepts than row {less}"


def _ordered(pair: Pair, first: int, second: int) -> tuple[int, int]:
    return (pair.first, pair.second) if first > second else (pair.second, pair.first)


def _row(measurement: Measurement) -> _MatrixRow:
    result = measurement.result
    withheld = measurement.verdict.withheld
    scores = result.scores
    return _MatrixRow(
        measurement,
        None if withheld else _told(scores.recall),
        None if withheld else _told(scores.false_accepts_per_hour),
        _beside_simulation(result),
        wording.size(result.arena.probed if result.arena.probed is not None else result.arena.manifest),
    )


def _told(record: IntervalRecord | None) -> Cell | None:
    return None if record is None else cell(record)


def _beside_simulation(result: Result) -> tuple[str, ...]:
    """Counts of a board and of the simulation beside it, with counts of what both gave."""
    agreement = result.agreement
    if agreement is None:
        return (wording.NONE,) * 5
    counts, events, compared = agreement.utterances, agreement.false_accepts, agreement.probabilities
    found = (wording.NONE, wording.NONE)
    if counts.total:
        found = (
            f"{counts.both + counts.device_only} of {counts.total}",
            f"{counts.both + counts.simulated_only} of {counts.total}, {counts.discordant} found by one alone",
        )
    return (
        *found,
        str(events.matched + events.device_only),
        f"{events.matched + events.simulated_only}, {events.matched} of them in common",
        wording.NONE
        if compared is None
        else f"{wording.size(compared.differing)} of {wording.size(compared.compared)}",
    )


def _remarks(measurements: Sequence[Measurement]) -> list[str]:
    """What a reader must know; what holds for several is said once."""
    owners: dict[str, list[str]] = {}
    for one in measurements:
        for remark in [one.verdict.sentence] if one.verdict.withheld else one.verdict.remarks:
            owners.setdefault(remark, []).append(str(one.number))
    everyone = len(measurements)
    return [
        remark if len(numbers) == everyone else f"{', '.join(numbers)}: {remark}" for remark, numbers in owners.items()
    ]
