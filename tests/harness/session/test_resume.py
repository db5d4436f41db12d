"""A session that was killed or interrupted, and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.collect.raw import read_raw
from harness.session.journal import RAW_FILE, next_item, played_legs
from tests.harness.session.conftest import Plan
from tests.harness.session.fakes import FakeBoard
from tests.harness.session.test_runner import OTHERS, WORDS, begun_items, middle_of, play, result_of
from wakeword.device_model import DeviceModel


def killed_after(folder: Path, item: int) -> None:
    """Leave the raw log as a kill does: cut after an item began, its last line torn."""
    lines = (folder / RAW_FILE).read_bytes().splitlines(keepends=True)
    cut = next(
        index
        for index, line in enumerate(lines)
        if json.loads(line).get("event") == "item" and json.loads(line)["item"] == item
    )
    (folder / RAW_FILE).write_bytes(b"".join(lines[: cut + 1]) + lines[cut + 1][:10])


def test_a_killed_session_goes_on_with_the_next_item(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made = plan()
    play(made, FakeBoard(candidate), tmp_path)
    killed_after(tmp_path, 3)
    legs = played_legs(read_raw(tmp_path / RAW_FILE))
    assert (next_item(legs), legs[-1].ended) == (4, False)
    board = FakeBoard(candidate)
    play(made, board, tmp_path)
    assert begun_items(tmp_path) == list(range(WORDS + OTHERS))
    legs = played_legs(read_raw(tmp_path / RAW_FILE))
    assert [(leg.number, leg.part, leg.first_item, leg.complete) for leg in legs] == [
        (0, "check", 0, True),
        (1, "measure", 0, False),
        (2, "check", 4, True),
        (3, "measure", 4, True),
    ]
    result = result_of(made, tmp_path, candidate)
    # The legs of the measurement are counted, not the health checks between them.
    assert [run.label for run in result.runs] == ["words", "words (leg 2)", "noise (leg 2)"]
    assert result.session is not None
    assert result.session.legs == 2
    assert result.runs[0].voids
    assert "ended while it played" in result.runs[0].voids[-1].reason
    assert len([file for run in result.runs for file in run.files]) == WORDS + OTHERS


def test_killed_at_any_line_it_can_be_resumed(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made = plan()
    play(made, FakeBoard(candidate), tmp_path)
    whole = (tmp_path / RAW_FILE).read_bytes().splitlines(keepends=True)
    for cut in range(0, len(whole), 11):
        (tmp_path / RAW_FILE).write_bytes(b"".join(whole[:cut]))
        play(made, FakeBoard(candidate), tmp_path)
        assert begun_items(tmp_path) == list(range(WORDS + OTHERS)), cut
        result = result_of(made, tmp_path, candidate)
        scored, found = (result.scores.recall.of, result.scores.recall.count) if result.scores.recall else (0, 0)
        assert scored + result.scores.void_utterances == WORDS, cut
        assert scored == found, cut


def test_a_finished_session_plays_nothing(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made = plan()
    play(made, FakeBoard(candidate), tmp_path)
    before = (tmp_path / RAW_FILE).read_bytes()
    board = FakeBoard(candidate)
    assert "finished before" in play(made, board, tmp_path)[0]
    assert (tmp_path / RAW_FILE).read_bytes() == before
    assert board.boots == 0
    first, second = (result_of(made, tmp_path, candidate) for _ in range(2))
    assert first.model_copy(update={"created": ""}) == second.model_copy(update={"created": ""})


def test_an_interrupt_keeps_what_was_measured(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made = plan()

    def interrupt(_: FakeBoard) -> None:
        raise KeyboardInterrupt

    board = FakeBoard(candidate, faults={middle_of(made, 3): interrupt})
    with pytest.raises(KeyboardInterrupt):
        play(made, board, tmp_path)
    assert board.stops == 1
    last = played_legs(read_raw(tmp_path / RAW_FILE))[-1]
    assert (last.ended, last.complete, last.reason) == (True, False, "interrupted")
    play(made, FakeBoard(candidate), tmp_path)
    assert begun_items(tmp_path) == list(range(WORDS + OTHERS))
