"""The logic of a session, with a board inside the test."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.collect.raw import read_raw
from harness.results.runs import simulated_runs
from harness.results.schema import Result
from harness.results.scores import score_runs
from harness.session.audio import leg_audio
from harness.session.connection import TimeLimits
from harness.session.journal import RAW_FILE, is_finished
from harness.session.plan import SessionPlan
from harness.session.runner import Session
from harness.session.schedule import make_schedule
from harness.session.session_result import make_session_result
from tests.harness.session.conftest import Plan
from tests.harness.session.fakes import Collectors, FakeBoard
from wakeword.device_model import DeviceModel
from wakeword.errors import BoardRefused, InfrastructureError

AT_ONCE = TimeLimits(connect=0.0, reconnect=0.0)
WORDS, OTHERS = 6, 3


def play(plan: SessionPlan, board: FakeBoard, folder: Path, *, patient: bool = True, **options: Any) -> list[str]:
    """Run a session to its end and return what a user was told."""
    said: list[str] = []
    session = Session(
        plan, board, board.feed(), folder, Collectors(patient), limits=AT_ONCE, say=said.append, **options
    )
    asyncio.run(session.run())
    return said


def result_of(plan: SessionPlan, folder: Path, candidate: DeviceModel) -> Result:
    return make_session_result(plan, folder, candidate)


def recall(result: Result) -> tuple[int, float]:
    assert result.scores.recall is not None
    return result.scores.recall.count, result.scores.recall.of


def begun_items(folder: Path) -> list[int]:
    return [
        event.values["item"]
        for event in read_raw(folder / RAW_FILE)
        if event.kind == "play" and event.values.get("event") == "item"
    ]


def test_device_and_simulation_agree_when_nothing_goes_wrong(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    made, board = plan(), FakeBoard(candidate)
    said = play(made, board, tmp_path)
    result = result_of(made, tmp_path, candidate)
    assert not said
    assert [run.label for run in result.runs] == ["words", "noise"]
    assert recall(result) == (WORDS, WORDS)
    assert result.scores == score_runs(simulated_runs(result))
    assert [[one.slice for one in run.detections] for run in result.runs] == [
        [one.slice for one in run.detections] for run in result.simulation
    ]
    assert [run.probabilities for run in result.runs] == [run.probabilities for run in result.simulation]
    assert result.scores.void_seconds == 0
    assert result.agreement is not None
    assert result.session is not None
    assert result.agreement.positions.same_slice == result.agreement.positions.paired >= WORDS
    assert result.session.health.startswith("detected ")
    assert (
        result.session.integrity.detections
        == result.session.integrity.both_witnesses
        == sum(len(run.detections) for run in result.runs)
    )
    assert board.stops == 1


def test_each_item_is_said_to_be_of_its_own_leg(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    play(plan(), FakeBoard(candidate), tmp_path)
    legs = [
        event.values["leg"]
        for event in read_raw(tmp_path / RAW_FILE)
        if event.kind in ("leg", "play") and "leg" in event.values
    ]
    check, measured = 0, 1
    assert legs == [check] * 2 + [measured] * (1 + WORDS + OTHERS + 1)


def test_a_board_that_does_not_start_is_let_go(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    board = FakeBoard(candidate, comes_back=False)
    board.boots = 1
    with pytest.raises(InfrastructureError, match="does not start"):
        play(plan(), board, tmp_path)
    assert board.stops == 1


def test_the_board_hears_the_very_samples_of_the_plan(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made, board = plan(), FakeBoard(candidate)
    play(made, board, tmp_path)
    leg = made.schedule().leg()
    assert np.array_equal(np.concatenate(board.played), np.concatenate(list(leg_audio(leg))))


def test_a_deaf_board_voids_the_session_before_anything_is_measured(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    made = plan()
    with pytest.raises(InfrastructureError, match=r"heard nothing of .*which the simulation detects"):
        play(made, FakeBoard(candidate, deaf=True), tmp_path)
    assert begun_items(tmp_path) == []
    with pytest.raises(InfrastructureError, match="no recording was played"):
        result_of(made, tmp_path, candidate)


def test_a_session_without_wake_recordings_says_that_the_check_was_not_made(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    made = plan(wake=())
    said = play(made, FakeBoard(candidate), tmp_path)
    assert "health check not made" in said[0]
    result = result_of(made, tmp_path, candidate)
    assert result.session is not None
    assert result.session.health.startswith("not made: ")
    assert result.scores.recall is None


def test_another_cutoff_is_set_on_the_board_and_again_after_a_restart(
    plan: Plan, candidate: DeviceModel, tmp_path: Path, material: Path
) -> None:
    from wakeword.device_model import load_model

    other = load_model(material / "loud.json", 0.9, None)
    made = plan()
    made = made.model_copy(
        update={"model": made.model.model_copy(update={"cutoff": 0.9, "cutoff_uint8": other.point.cutoff})}
    )
    board = FakeBoard(candidate)
    play(made, board, tmp_path)
    assert board.cutoff == other.point.cutoff != candidate.point.cutoff


def test_a_board_with_another_model_is_refused_without_a_firmware(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    with pytest.raises(InfrastructureError, match=r"runs the models .* not .*--firmware"):
        play(plan(), FakeBoard(candidate, model_sha256="0" * 64), tmp_path)


def test_a_model_that_is_disabled_is_not_measured(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    """Nothing of it would be detected, and silence would be a good figure."""
    board = FakeBoard(candidate, enabled=False)
    with pytest.raises(InfrastructureError, match=r"is disabled there, so nothing would be measured; restart"):
        play(plan(), board, tmp_path)
    assert not board.played


def test_a_result_says_that_its_model_was_delivered(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made = plan().model_copy(update={"delivered": True})
    play(made, FakeBoard(candidate), tmp_path)
    session = result_of(made, tmp_path, candidate).session
    assert session is not None
    assert session.delivered


def test_a_board_with_another_model_is_flashed(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made, board = plan(), FakeBoard(candidate, model_sha256="0" * 64)
    firmware = _Firmware(candidate.model.sha256)
    said = play(made, board, tmp_path, firmware=firmware)
    assert [one.folder for one in board.flashed] == [firmware.folder]
    assert "flashing" in said[0]
    result = result_of(made, tmp_path, candidate)
    assert recall(result) == (WORDS, WORDS)
    assert result.versions["esp-nn"] == "1.1.2"


def test_the_versions_of_a_firmware_that_the_board_does_not_run_are_not_told(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    """Another build with the same model."""
    made, board = plan(), FakeBoard(candidate)
    play(made, board, tmp_path, firmware=_Firmware(candidate.model.sha256))
    assert not board.flashed
    assert "esp-nn" not in result_of(made, tmp_path, candidate).versions


def test_a_flash_that_changes_nothing_is_an_error(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="does not run the model after"):
        play(plan(), FakeBoard(candidate, model_sha256="0" * 64), tmp_path, firmware=_Firmware("1" * 64))


class _Firmware:
    """As much of a firmware as a flash needs."""

    def __init__(self, sha256: str) -> None:
        self.name, self.folder = "fake", Path("fake")
        self.versions = {"esp-nn": "1.1.2"}
        self.models = [type("Model", (), {"sha256": sha256})]


def middle_of(plan: SessionPlan, item: int) -> int:
    placed = plan.schedule().leg().items[item]
    return (placed.start + placed.stop) // 2


@pytest.mark.parametrize("fault", ["lose_power", "reboot"])
def test_a_lost_board_voids_what_it_was_hearing_and_goes_on_with_the_next(
    plan: Plan, candidate: DeviceModel, tmp_path: Path, fault: str
) -> None:
    made = plan()
    board = FakeBoard(candidate, faults={middle_of(made, 3): lambda board: getattr(board, fault)()})
    said = play(made, board, tmp_path)
    assert "void" in said[0]
    assert begun_items(tmp_path) == list(range(WORDS + OTHERS))
    result = result_of(made, tmp_path, candidate)
    assert result.session is not None
    assert result.session.legs == 2
    assert result.session.integrity.reboots == 1
    assert [run.label for run in result.runs] == ["words", "words (leg 2)", "noise (leg 2)"]
    # No answer of the board confirmed the first words, so they are void with the one under play: nothing is claimed
    # that is not known.
    assert recall(result) == (2, 2)
    assert result.scores.void_utterances == 4
    assert score_runs(simulated_runs(result)) == result.scores


def test_words_that_an_answer_has_confirmed_count_although_the_board_is_lost_later(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    made = plan()
    collectors = Collectors()

    def heartbeat(_: FakeBoard) -> None:
        assert collectors.last is not None
        collectors.last.heartbeat()

    confirmed = made.schedule().leg().items[3].start - 16000
    board = FakeBoard(candidate, faults={confirmed: heartbeat, middle_of(made, 3): FakeBoard.lose_power})
    asyncio.run(Session(made, board, board.feed(), tmp_path, collectors, limits=AT_ONCE).run())
    result = result_of(made, tmp_path, candidate)
    assert recall(result) == (WORDS - 1, WORDS - 1)
    assert result.scores.void_utterances == 1


def test_a_gap_of_the_connection_alone_does_not_begin_a_new_leg(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    made = plan()
    board = FakeBoard(candidate, faults={middle_of(made, 3): FakeBoard.lose_connection})
    play(made, board, tmp_path)
    result = result_of(made, tmp_path, candidate)
    assert result.session is not None
    assert (result.session.legs, result.session.integrity.reconnects, result.session.integrity.reboots) == (1, 1, 0)
    assert result.scores.void_utterances >= 1
    assert begun_items(tmp_path) == list(range(WORDS + OTHERS))


def test_a_board_that_stays_away_ends_the_session_and_it_can_be_resumed(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    made = plan()
    board = FakeBoard(candidate, faults={middle_of(made, 2): FakeBoard.lose_power}, comes_back=False)
    with pytest.raises(InfrastructureError, match="does not start"):
        play(made, board, tmp_path)
    assert board.stops == 1
    assert not is_finished(read_raw(tmp_path / RAW_FILE))
    play(made, FakeBoard(candidate), tmp_path)
    assert begun_items(tmp_path) == list(range(WORDS + OTHERS))
    assert recall(result_of(made, tmp_path, candidate)) == (3, 3)


def test_a_connection_that_stays_away_ends_the_session_in_time(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    made = plan()
    collectors = Collectors()

    def cut(board: FakeBoard) -> None:
        assert collectors.last is not None
        collectors.last.patient = False
        board.lose_connection()

    board = FakeBoard(candidate, faults={middle_of(made, 2): cut})
    with pytest.raises(InfrastructureError, match=r"did not come back within 0 s.*--resume"):
        asyncio.run(Session(made, board, board.feed(), tmp_path, collectors, limits=AT_ONCE).run())


def test_a_refusal_ends_the_session_with_its_own_exit_code(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made = plan()
    collectors = Collectors()

    def refuse(board: FakeBoard) -> None:
        assert collectors.last is not None
        collectors.last.fatal = BoardRefused("another board")
        board.lose_connection()

    board = FakeBoard(candidate, faults={middle_of(made, 1): refuse})
    with pytest.raises(BoardRefused):
        asyncio.run(Session(made, board, board.feed(), tmp_path, collectors, limits=AT_ONCE).run())


def test_a_board_that_never_hears_anything_is_given_up(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made = plan()

    class Dying(FakeBoard):
        def hear(self, samples: Any) -> None:
            super().hear(samples)
            if self.streams >= 2:
                self.lose_power()

    with pytest.raises(InfrastructureError, match="lost 3 times before it had heard anything"):
        play(made, Dying(candidate), tmp_path)


# --- killed and resumed


def test_a_leg_without_its_trace_is_scored_all_the_same(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> None:
    made = plan()
    play(made, FakeBoard(candidate), tmp_path)
    with_trace = result_of(made, tmp_path, candidate)
    for trace in tmp_path.glob("*.u8"):
        trace.unlink()
    without = result_of(made, tmp_path, candidate)
    assert without.scores == with_trace.scores
    assert [run.inferences_per_file for run in without.runs] == [(0,), (0,)]
    assert without.runs[0].detections[0].average == pytest.approx(0.90, abs=0.005)


def test_a_recording_that_changed_is_refused_while_it_is_played(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    from wakeword.errors import ConfigError

    made = plan()
    recording = made.sections[0].recordings[0]
    longer = replace(
        made.sections[0],
        recordings=(replace(recording, samples=recording.samples + 1), *made.sections[0].recordings[1:]),
    )
    sections = (longer, *made.sections[1:])
    changed = made.model_copy(
        update={"sections": sections, "schedule_sha256": make_schedule(sections, made.settings).sha256}
    )
    with pytest.raises(ConfigError, match="holds 9600 samples, but 9601 when"):
        play(changed, FakeBoard(candidate), tmp_path)
