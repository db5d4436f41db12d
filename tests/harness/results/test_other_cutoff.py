"""A result at another cutoff: decided anew, and counted as the curve counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.results.other_cutoff import result_at, result_curve
from harness.results.schema import Result
from tests.harness.results.builders import CUTOFF_UINT8, clips_run, make_result, stream_run
from wakeword.errors import ConfigError


@pytest.fixture
def result(tmp_path: Path) -> Result:
    words = clips_run(tmp_path / "words", [250, 240, 200, 150, 90])
    return make_result([words, stream_run(tmp_path / "none", [20.0], [(3.0, 245), (9.0, 180), (15.0, 120)])])


def test_at_its_own_cutoff_a_result_is_what_was_measured(result: Result) -> None:
    again = result_at(result, CUTOFF_UINT8)
    assert [run.detections for run in again.runs] == [run.detections for run in result.runs]
    assert again.scores == result.scores
    assert again.model.cutoff_uint8 == CUTOFF_UINT8


@pytest.mark.parametrize("cutoff", [0, 60, 100, 160, 210, 255])
def test_at_every_cutoff_the_counts_are_the_curve_s(result: Result, cutoff: int) -> None:
    curve, decided = result_curve(result), result_at(result, cutoff)
    assert curve is not None
    assert decided.scores.recall is not None
    assert decided.scores.false_accepts_per_hour is not None
    assert decided.scores.recall.count == curve.detected[cutoff]
    assert decided.scores.false_accepts_per_hour.count == curve.false_accepts[cutoff]
    assert decided.model.cutoff_uint8 == cutoff


def test_a_lower_cutoff_finds_more_and_wakes_more(result: Result) -> None:
    low, high = result_at(result, 60), result_at(result, 210)
    assert low.scores.recall is not None
    assert high.scores.recall is not None
    assert (low.scores.recall.count, high.scores.recall.count) == (5, 2)
    assert [len(one.runs[1].detections) for one in (low, high)] == [3, 1]
    assert {one.file_index for one in low.runs[0].detections} == {0, 1, 2, 3, 4}


def test_what_a_board_would_have_done_is_not_known(result: Result) -> None:
    runs = tuple(run.model_copy(update={"source": "virtual board"}) for run in result.runs)
    with pytest.raises(ConfigError, match="only a simulation is decided anew"):
        result_at(result.model_copy(update={"runs": runs}), 100)
