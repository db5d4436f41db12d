"""Several measurements side by side: models, ways of measuring, boards. Those that heard the same recordings in the
same way are compared pair by pair.

A measurement is all results of one model at one operating point, measured in one way (`RunRecord.way`) on one board.
Every pair of measurements is a test, and many tests find something by chance alone: the p values are corrected by
Holm's method (1979), for recall and for false accepts each.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from harness.results import wording
from harness.results.merge import merge_results
from harness.results.schema import Result
from harness.results.verdict import Verdict, judge
from harness.results.versus import NothingSharedError, Versus, compare, model_groups
from wakeword.scoring.agreement import holm


@dataclass(frozen=True)
class Measurement:
    """A row of the matrix."""

    number: int
    """From 1, in the order given."""
    name: str
    """The model, as short as it can be told from the others."""
    board: str
    """Its name; empty for a simulation."""
    result: Result
    verdict: Verdict

    @property
    def way(self) -> str:
        """How it was measured, in words."""
        return self.result.runs[0].way


@dataclass(frozen=True)
class Pair:
    """Two measurements that heard the same recordings in the same way."""

    first: int
    second: int
    versus: Versus
    recall_p: float | None
    """McNemar's, corrected; None without an utterance that both heard."""
    accepts_p: float | None
    """The same of false accepts; None without an hour that both heard."""


def measurement_groups(results: Sequence[Result]) -> list[list[Result]]:
    """Results by model, way and board, in the order given."""
    groups: list[list[Result]] = []
    for of_model in model_groups(results):
        ways: dict[tuple[str, str], list[Result]] = {}
        for result in of_model:
            ways.setdefault((result.runs[0].way, _board(result)), []).append(result)
        groups += ways.values()
    return groups


def make_measurements(groups: Sequence[Sequence[Result]]) -> tuple[Measurement, ...]:
    """A row for each group. Raises `ConfigError` where the results of one cannot be merged."""
    merged = [merge_results(group) for group in groups]
    names = model_names(merged)
    return tuple(
        Measurement(number, name, _board(result), result, judge(result))
        for number, (name, result) in enumerate(zip(names, merged, strict=True), 1)
    )


def make_pairs(measurements: Sequence[Measurement]) -> tuple[Pair, ...]:
    """Every pair of one wake word and one way that has a recording in common. Raises `ConfigError` where a recording
    holds the wake word in one result and not in another.
    """
    compared: list[tuple[int, int, Versus]] = []
    for one, other in combinations(measurements, 2):
        if _comparable(one, other):
            with suppress(NothingSharedError):
                compared.append((one.number, other.number, compare(one.result, other.result)))
    recalls = holm([versus.mcnemar_p for _, _, versus in compared])
    accepts = holm([versus.false_accepts_p for _, _, versus in compared])
    return tuple(
        Pair(first, second, versus, recall_p, accepts_p)
        for (first, second, versus), recall_p, accepts_p in zip(compared, recalls, accepts, strict=True)
    )


def model_names(results: Sequence[Result]) -> list[str]:
    """The models as short as they can be told apart, one name for each result."""
    paths = [Path(result.model.manifest_path) for result in results]
    cutoffs = [f", cutoff {wording.cutoff(result.model.cutoff)}" for result in results]
    for names in (
        [path.stem for path in paths],
        [f"{path.parent.name}/{path.stem}" for path in paths],
        [path.stem + cutoff for path, cutoff in zip(paths, cutoffs, strict=True)],
    ):
        if len(set(names)) == len(model_groups(results)):
            return names
    return [f"{path}{cutoff}" for path, cutoff in zip(paths, cutoffs, strict=True)]


def _comparable(one: Measurement, other: Measurement) -> bool:
    results = (one.result, other.result)
    if any(result.runs_another_model for result in results):
        return False
    words = {result.model.wake_word.casefold() for result in results}
    return one.way == other.way and len(words) == 1


def _board(result: Result) -> str:
    return "" if result.session is None else result.session.board.name
