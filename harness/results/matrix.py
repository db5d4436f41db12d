"""Several measurements side by side: models, ways of measuring, boards. Those that heard the same recordings in the
same way are compared pair by pair.

A measurement is all results of one model at one operating point, measured in one way (`Result.way`) on one board.
Every pair of measurements is two tests, of recall and of false accepts, and many tests find something by chance alone:
the p values of all of them are corrected together by Holm's method (1979).
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
        return self.result.way


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
    """Results by model, way, board and computed room, in the order given."""
    groups: list[list[Result]] = []
    for of_model in model_groups(results):
        ways: dict[tuple[object, ...], list[Result]] = {}
        for result in of_model:
            rooms = result.session.computed_rooms if result.session else ()
            ways.setdefault((result.way, _board(result), rooms), []).append(result)
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
        if are_comparable(one.result, other.result) and not (one.verdict.withheld or other.verdict.withheld):
            with suppress(NothingSharedError):
                compared.append((one.number, other.number, compare(one.result, other.result)))
    corrected = holm([p for _, _, versus in compared for p in (versus.mcnemar_p, versus.false_accepts_p)])
    return tuple(
        Pair(first, second, versus, recall_p, accepts_p)
        for (first, second, versus), recall_p, accepts_p in zip(compared, corrected[::2], corrected[1::2], strict=True)
    )


def model_names(results: Sequence[Result]) -> list[str]:
    """The models as short as they can be told apart, one name for each result."""
    models = [result.model for result in results]
    paths = [Path(model.manifest_path) for model in models]
    points = [f", cutoff {wording.cutoff(model.cutoff)}" for model in models]
    for names in (
        [path.stem for path in paths],
        [f"{path.parent.name}/{path.stem}" for path in paths],
        [path.stem + point for path, point in zip(paths, points, strict=True)],
        [f"{path}{point}" for path, point in zip(paths, points, strict=True)],
    ):
        if len(set(names)) == len(model_groups(results)):
            return names
    return [
        f"{path}{point}, window {model.window}, {model.tflite_sha256[:8]}"
        for path, point, model in zip(paths, points, models, strict=True)
    ]


def are_comparable(one: Result, other: Result) -> bool:
    """Whether the same recordings can hold the wake word of both, measured in the same way."""
    ways, words = (
        {result.way for result in (one, other)},
        {result.model.wake_word.casefold() for result in (one, other)},
    )
    return len(ways) == len(words) == 1


def _board(result: Result) -> str:
    return "" if result.session is None else result.session.board.name
