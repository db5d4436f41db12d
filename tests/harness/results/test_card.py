"""The card and its badge: what was measured, with intervals, and how; nothing of the machine."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.results.card import ModelCard, badge, make_card, without_folders
from harness.results.other_cutoff import result_at
from harness.results.schema import Result, write_result
from tests.commands import run
from tests.harness.results.builders import CUTOFF_UINT8, clips_run, make_device_result, make_result, session, stream_run
from wakeword.errors import ConfigError
from wakeword.records import read_record


@pytest.fixture
def result(tmp_path: Path) -> Result:
    words = clips_run(tmp_path / "words", [250] * 9 + [90])
    return make_result([words, stream_run(tmp_path / "none", [40.0], [(3.0, 245)])])


def words_of(svg: str) -> list[str]:
    return [str(one.text) for one in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_card_holds_counts_intervals_corpora_and_the_command(result: Result) -> None:
    card = make_card(result)
    figures = {one.title: one for one in card.figures}
    assert card.source == "simulated"
    assert figures["Recall"].figure == result.scores.recall
    assert figures["Recall"].counted == "9 of 10"
    assert figures["False accepts per hour"].figure == result.scores.false_accepts_per_hour
    assert [figures[name].grade for name in ("Recall", "False accepts per hour")] == [
        "not enough utterances yet: at least 22",
        "too many",
    ]
    assert [(one.name, one.truth, one.recordings) for one in card.corpora] == [
        ("test clips", "wake", 10),
        ("read speech", "none", 1),
    ]
    assert card.command == result.command
    assert card.model.file == "hey_test.json"
    assert str(result.runs[0].files[0].path) not in card.model_dump_json()


def test_the_badge_says_how_it_was_measured_and_the_intervals(result: Result) -> None:
    parts = words_of(badge(make_card(result)))
    assert parts[0] == "Hey Test · simulated"
    assert parts[1].startswith("recall 90.0 % (55.5\N{EN DASH}99.7)")
    assert parts[2].endswith("false accepts/h")
    assert len(parts) == 3


def test_synthetic_speech_is_said_on_the_badge(result: Result) -> None:
    runs = tuple(run.model_copy(update={"provenance": "synthetic"}) for run in result.runs)
    assert words_of(badge(make_card(result.model_copy(update={"runs": runs}))))[-1] == "synthetic speech"


def test_a_wake_word_is_escaped_on_the_badge(result: Result) -> None:
    model = result.model.model_copy(update={"wake_word": '<script>"&'})
    assert words_of(badge(make_card(result.model_copy(update={"model": model}))))[0].startswith('<script>"& ·')


def test_no_card_is_made_of_another_model_s_figures(tmp_path: Path) -> None:
    words = clips_run(tmp_path, [250])
    device = words.model_copy(update={"source": "virtual board"})
    result = make_device_result([device], [words], session(model_sha256_on_board="0" * 64))
    with pytest.raises(ConfigError, match="no card"):
        make_card(result)


def test_no_card_is_made_of_figures_that_its_command_does_not_give(result: Result) -> None:
    lower, back = result_at(result, 60), result_at(result_at(result, 60), CUTOFF_UINT8)
    with pytest.raises(ConfigError, match=r"no card: its figures are at cutoff .* simulate it again with --cutoff"):
        make_card(lower)
    assert make_card(back).figures == make_card(result).figures


def test_a_card_names_no_folder_of_the_machine() -> None:
    given = "mww-simulate '/home/someone/my models/a.json' people/ --result=/tmp/x/a.json ~/b --cutoff 0.9"
    kept = "mww-simulate a.json people/ --result=a.json b --cutoff 0.9"
    assert without_folders(given) == kept
    assert without_folders(f"{given}\nmww-simulate '/a\nb/c d.json' --set x=/root/y") == (
        f"{kept}\nmww-simulate 'c d.json' --set x=y"
    )
    for word in ("/home/anna/lr=0.1/a.json", "file:///home/anna/a.json", "../anna/secret/a.json", "../../anna/a.json"):
        assert without_folders(f"mww-simulate {word}") == "mww-simulate a.json", word
    assert without_folders("mww-simulate --data=/home/anna/k=v/x.wav") == "mww-simulate --data=x.wav"
    assert without_folders("""mww-train --set 'paths.x=["/home/anna/x", ~/y]'""") == (
        """mww-train --set 'paths.x=["x", y]'"""
    )
    assert without_folders("mww-simulate runs/house/a.json a/../b.json") == "mww-simulate runs/house/a.json a/../b.json"
    assert without_folders("mww-simulate /home/a/b's.json") == """mww-simulate 'b'"'"'s.json'"""


def test_a_figure_is_found_by_its_name(result: Result) -> None:
    """Whatever the report's words are."""
    card = make_card(result)
    said = {one.name: one.model_copy(update={"title": "another"}) for one in card.figures}
    again = card.model_copy(update={"figures": tuple(said.values())})
    assert words_of(badge(again)) == words_of(badge(card))
    assert said["recall"].figure == result.scores.recall


def test_a_report_is_not_written_where_the_card_cannot_be(tmp_path: Path) -> None:
    words = clips_run(tmp_path / "words", [250])
    device = words.model_copy(update={"source": "virtual board"})
    other = make_device_result([device], [words], session(model_sha256_on_board="0" * 64))
    write_result(other, tmp_path / "result.json")
    given = ["--output", tmp_path / "r.html", "--card", tmp_path / "card.json"]
    done = run(None, "mww-report", tmp_path / "result.json", *given)
    assert done.returncode == 2
    assert "no card" in done.stderr
    assert not (tmp_path / "r.html").exists()


def test_the_command_writes_card_and_badge_beside_the_report(result: Result, tmp_path: Path) -> None:
    write_result(result, tmp_path / "result.json")
    done = run(
        None,
        "mww-report",
        tmp_path / "result.json",
        "--output",
        tmp_path / "r.html",
        "--card",
        tmp_path / "my.card.json",
    )
    assert done.returncode == 0, done.stderr
    assert "my.card.svg" in done.stdout
    card = read_record(tmp_path / "my.card.json", ModelCard, "card", "", "")
    assert card == make_card(result)
    assert (tmp_path / "my.card.svg").read_text() == badge(card)
    assert json.loads((tmp_path / "my.card.json").read_text())["figures"][1]["figure"]["low"] == pytest.approx(
        0.555, abs=1e-3
    )


def test_a_card_of_another_ending_or_of_two_models_is_refused(result: Result, tmp_path: Path) -> None:
    write_result(result, tmp_path / "one.json")
    other = result.model_copy(update={"model": result.model.model_copy(update={"tflite_sha256": "c" * 64})})
    write_result(other, tmp_path / "two.json")
    done = run(
        None, "mww-report", tmp_path / "one.json", "--output", tmp_path / "r.html", "--card", tmp_path / "card.svg"
    )
    assert done.returncode == 2
    assert "a card is JSON" in done.stderr
    done = run(
        None,
        "mww-report",
        tmp_path / "one.json",
        tmp_path / "two.json",
        "--output",
        tmp_path / "r.html",
        "--card",
        tmp_path / "c.json",
    )
    assert done.returncode == 2
    assert "--card is of one model" in done.stderr
    assert not (tmp_path / "r.html").exists()
