"""`session.json`: written before the work, and what must not change after it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.session.known_positive import choose_known_positive
from harness.session.measure import RequiredRates, measure
from harness.session.plan import PLAN_FILE, changed_files, read_plan, what_changed
from harness.session.request import SessionRequest, make_plan
from tests.harness.session.conftest import Plan
from tests.harness.session.loud import loud_model, words
from wakeword.device_model import DeviceModel, load_model
from wakeword.engines import open_engine
from wakeword.errors import ConfigError


def test_a_plan_is_read_as_it_was_written(plan: Plan, tmp_path: Path) -> None:
    made = plan(seed=5)
    assert read_plan(tmp_path) == made
    assert made.schedule().sha256 == made.schedule_sha256
    assert read_plan(tmp_path / "elsewhere") is None
    assert "key" not in json.loads((tmp_path / PLAN_FILE).read_text())["board"]


def test_a_plan_of_an_earlier_program_is_read_and_would_be_written_as_it_was() -> None:
    folder = Path(__file__).with_name("version-1")
    plan = read_plan(folder)
    assert plan is not None
    assert json.loads(plan.model_dump_json(exclude_unset=True)) == json.loads((folder / PLAN_FILE).read_text())
    assert len(plan.schedule().items) == 9
    assert not plan.digital


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 2}'])
def test_a_damaged_plan_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / PLAN_FILE).write_text(text)
    with pytest.raises(ConfigError, match=f"{PLAN_FILE}.*; begin a new session in another folder$"):
        read_plan(tmp_path)


def test_what_changed_is_said(plan: Plan, material: Path, tmp_path: Path) -> None:
    made = plan()
    assert what_changed(made, plan()) == []
    assert what_changed(made, plan(seed=1)) == ["seed"]
    assert what_changed(made, plan(known_positive=made.sections[0].recordings[3].path)) == ["known positive"]
    assert what_changed(made, plan(realtime=True)) == ["speed of playback"]
    assert what_changed(made, plan(margin=0.05)) == ["margin"]
    assert what_changed(made, plan(digital=True)) == ["source of the sound"]
    assert what_changed(made, made.model_copy(update={"delivered": True})) == ["--deliver"]
    assert what_changed(made, plan(none=())) == ["3 of 9 recordings (gone, or with other content, label or truth)"]
    more = words(tmp_path / "more", 2, seed=9)
    assert what_changed(made, plan(none=(material / "noise", more))) == ["2 recordings more"]


def test_another_model_is_another_session(plan: Plan, tmp_path: Path) -> None:
    made = plan()
    other = load_model(loud_model(tmp_path / "other", bias=-5.9), None, None)
    request = SessionRequest(
        board="virtual",
        model=other.manifest_path,
        wake=tuple(section.recordings[0].path.parent for section in made.sections[:1]),
    )
    assert what_changed(made, make_plan(request, made.board, other))[0] == "model"


def test_recordings_that_changed_under_a_plan_are_named(plan: Plan, material: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(material / "words", corpus)
    made = plan(wake=(corpus,), none=())
    assert changed_files(made) == []
    (corpus / "0.wav").unlink()
    shutil.copy(corpus / "2.wav", corpus / "1.wav")
    assert changed_files(made) == [f"{corpus / '0.wav'} is gone", f"{corpus / '1.wav'} holds another recording"]


def test_a_folder_with_a_session_is_not_begun_again_and_one_without_not_resumed(
    plan: Plan, material: Path, tmp_path: Path
) -> None:
    plan()
    asked = {
        "board": "virtual",
        "model": material / "loud.json",
        "wake": (material / "words",),
        "none": (material / "noise",),
    }
    with pytest.raises(ConfigError, match=r"already holds a session.*--resume"):
        measure(SessionRequest(**asked, output=tmp_path))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="holds no session to resume"):
        measure(SessionRequest(**asked, output=tmp_path / "none", resume=True))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--resume needs the session's folder"):
        measure(SessionRequest(**asked, resume=True))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="changed since the session began: margin"):
        measure(SessionRequest(**asked, output=tmp_path, resume=True, margin=0.1))  # type: ignore[arg-type]


def test_a_known_positive_that_the_simulation_does_not_detect_is_refused(
    plan: Plan, candidate: DeviceModel, tmp_path: Path
) -> None:
    made = plan()
    silent = words(tmp_path / "silent", 1, loudness=0.0) / "0.wav"
    engine, _ = open_engine(candidate.model)
    with pytest.raises(ConfigError, match="the simulation does not detect it"):
        choose_known_positive(engine, made.model, made.schedule(), silent)
    given = choose_known_positive(engine, made.model, made.schedule(), made.sections[0].recordings[2].path)
    assert (given.recording, given.chosen) == (made.sections[0].recordings[2], "given by the user")


def test_input_that_cannot_be_right_is_refused_before_any_work(material: Path) -> None:
    manifest = material / "loud.json"
    with pytest.raises(ConfigError, match="nothing to play"):
        measure(SessionRequest(board="virtual", model=manifest))
    with pytest.raises(ConfigError, match="--margin 1"):
        measure(SessionRequest(board="virtual", model=manifest, wake=(material,), margin=1.0))
    with pytest.raises(ConfigError, match="no such board"):
        measure(SessionRequest(board="desk", model=manifest, wake=(material,)))
    assert RequiredRates() == RequiredRates(None, None)


def test_what_a_list_says_of_its_recordings_goes_with_them(plan: Plan, material: Path, tmp_path: Path) -> None:
    listed = tmp_path / "test_positive.txt"
    listed.write_text(
        "# note: one speaker, split by session\n"
        + "".join(f"{path}\n" for path in sorted((material / "words").iterdir()))
    )
    made = plan(wake=(listed,))
    assert [section.notes for section in made.sections] == [("one speaker, split by session",), ()]
    assert read_plan(tmp_path) == made
    assert made.schedule().sections[0].notes == made.sections[0].notes
