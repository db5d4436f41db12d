"""Several models, ways and boards on one page: each in its own row, pairs only of what was measured alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.results.matrix import make_measurements, make_pairs, measurement_groups, model_names
from harness.results.matrix_page import write_matrix
from harness.results.schema import BoardRecord, Result, write_result
from tests.commands import run
from tests.harness.results.builders import (
    clips_run,
    device_run,
    make_device_result,
    make_result,
    session,
    stream_run,
)
from tests.harness.results.test_report import Page
from wakeword.errors import ConfigError

TRUTHS: tuple[tuple[int, Literal["wake", "none"]], ...] = ((1, "wake"), (2, "none"), (3, "wake"))


def model(number: int, **changes: Any) -> dict[str, Any]:
    return {"tflite_sha256": f"{number}" * 64, "manifest_path": f"models/model{number}.json"} | changes


def simulated(folder: Path, number: int, heights: list[int], peaks: Sequence[tuple[float, int]] = ()) -> Result:
    runs = [clips_run(folder / "w", heights), stream_run(folder / "n", [20, 20], peaks)]
    return make_result(runs, **model(number))


def on_board(folder: Path, number: int, board: str, heights: list[int], without: list[int]) -> Result:
    run = clips_run(folder / "w", heights)
    made = session(
        board=BoardRecord(name=board, kind="virtual", target="host", mac="02:00:5E:00:00:01"),
        model_sha256_on_board=f"{number}" * 64,
    )
    return make_device_result([device_run(run, without=without)], [run], made, **model(number))


def written(results: list[Result], folder: Path) -> tuple[str, Page]:
    sentence = write_matrix(measurement_groups(results), folder / "matrix.html")
    return sentence, Page((folder / "matrix.html").read_text(encoding="utf-8"))


def test_rows_are_models_ways_and_boards(tmp_path: Path) -> None:
    heights = [250, 250, 250, 100]
    results = [
        simulated(tmp_path, 1, heights),
        on_board(tmp_path, 1, "desk", heights, []),
        on_board(tmp_path, 1, "kitchen", heights, [0]),
        simulated(tmp_path, 2, heights),
    ]
    measurements = make_measurements(measurement_groups(results))
    assert [(one.number, one.name, one.board, one.way) for one in measurements] == [
        (1, "model1", "", "simulated"),
        (2, "model1", "desk", "virtual board, digital"),
        (3, "model1", "kitchen", "virtual board, digital"),
        (4, "model2", "", "simulated"),
    ]
    assert [(pair.first, pair.second) for pair in make_pairs(measurements)] == [(1, 4), (2, 3)]
    sentence, page = written(results, tmp_path)
    assert sentence.startswith("4 measurements of 2 models on 2 boards. No pair is proven to differ (2 pairs")
    assert "2 virtual board, digital 3 of 4 3 of 4, 0 found by one alone" in page.text
    assert "3 virtual board, digital 2 of 4 3 of 4, 1 found by one alone" in page.text, "the kitchen's audio"
    assert "0, 0 of 4" in page.text
    assert "0, 1" not in page.text
    assert "1, 0 of 4" in page.text, "one utterance that the desk alone found"
    assert not page.all("link") + page.all("img") + page.all("script")


def test_many_pairs_are_corrected(tmp_path: Path) -> None:
    """Seven utterances of one alone are a difference for two models (p = 0.031), and not for three."""
    worse, better = [100] * 7, [250] * 7
    two = make_measurements(measurement_groups([simulated(tmp_path, 1, worse), simulated(tmp_path, 2, better)]))
    (pair,) = make_pairs(two)
    assert pair.recall_p == pytest.approx(2 * 2 * 0.5**7), "of two tests"
    three = [simulated(tmp_path, 1, worse), simulated(tmp_path, 2, better), simulated(tmp_path, 3, worse)]
    sentence, page = written(three, tmp_path)
    assert "No pair is proven to differ (3 pairs, all p values corrected together by Holm's method)" in sentence
    assert "p = 0.094" in page.text
    many = [simulated(tmp_path, number, heights * 3) for number, heights in ((1, worse), (2, better), (3, worse))]
    sentence, _ = written(many, tmp_path)
    assert "Row 2 finds more utterances than row 1; row 2 finds more utterances than row 3" in sentence


def test_two_words_or_two_ways_through_the_command(tmp_path: Path) -> None:
    one = make_result([clips_run(tmp_path / "w", [250, 100])], **model(1))
    other_word = make_result([clips_run(tmp_path / "w", [250, 100])], **model(2, wake_word="Computer"))
    other_way = on_board(tmp_path, 3, "desk", [250, 100], [])
    for second in (other_word, other_way):
        for result, name in ((one, "one.json"), (second, "second.json")):
            write_result(result, tmp_path / name)
        done = run(None, "mww-report", tmp_path / "one.json", tmp_path / "second.json", "--output", tmp_path / "m.html")
        assert done.returncode == 0, done.stderr
        assert "2 measurements of 2 models" in done.stdout
        assert "none is compared with another" in done.stdout


def test_one_model_on_two_boards_through_the_command(tmp_path: Path) -> None:
    """Not the page of two models: it names no boards."""
    for board in ("desk", "kitchen"):
        write_result(on_board(tmp_path, 1, board, [250, 100], []), tmp_path / f"{board}.json")
    done = run(None, "mww-report", tmp_path / "desk.json", tmp_path / "kitchen.json", "--output", tmp_path / "b.html")
    assert "2 measurements of 1 model on 2 boards. No pair is proven to differ (1 pair" in done.stdout


def test_false_accepts_are_compared_too(tmp_path: Path) -> None:
    peaks = [(2.0 + second, 250) for second in range(0, 42, 6)]
    results = [simulated(tmp_path, number, [250], peaks if number == 2 else []) for number in (1, 2)]
    measurements = make_measurements(measurement_groups(results))
    (pair,) = make_pairs(measurements)
    assert pair.accepts_p == pytest.approx(2 * 2 * 0.5**7)
    assert pair.recall_p == 1
    sentence, _ = written(results, tmp_path)
    assert "Row 2 has more false accepts than row 1" in sentence


def test_what_was_not_measured_alike_is_not_compared(tmp_path: Path) -> None:
    other_word = make_result([clips_run(tmp_path / "w", [250, 100])], **model(2, wake_word="Computer"))
    elsewhere = make_result([clips_run(tmp_path / "other", [250], seconds=2)], **model(3))
    another = make_device_result(
        [device_run(clips_run(tmp_path / "w", [250, 100]))], [clips_run(tmp_path / "w", [250, 100])], **model(4)
    )
    results = [make_result([clips_run(tmp_path / "w", [250, 100])], **model(1)), other_word, elsewhere, another]
    sentence, page = written(results, tmp_path)
    assert "No two heard the same recordings in the same way" in sentence
    assert "4: No verdict: the board ran the model bbbbbbbbbbbb" in page.text
    assert page.text.count("50.0 %") == 4, "in the table and in words; not those of a board that ran another model"


def test_a_recording_with_and_without_the_word_is_refused(tmp_path: Path) -> None:
    results = [
        make_result([clips_run(tmp_path / "w", [250], truth)], **model(number))
        for number, truth in TRUTHS  # the same bytes whatever the truth
    ]
    with pytest.raises(ConfigError, match="holds the wake word in one result and not in the other"):
        write_matrix(measurement_groups(results), tmp_path / "matrix.html")
    assert not (tmp_path / "matrix.html").exists()


def test_models_are_named_apart(tmp_path: Path) -> None:
    run = clips_run(tmp_path, [250])

    def named(*models: tuple[str, float]) -> list[str]:
        changes = [
            {"tflite_sha256": f"{number}" * 64, "manifest_path": path, "cutoff": cutoff}
            for number, (path, cutoff) in enumerate(models)
        ]
        return model_names([make_result([run], **one) for one in changes])

    assert named(("a/one.json", 0.8), ("b/two.json", 0.8)) == ["one", "two"]
    assert named(("a/one.json", 0.8), ("b/one.json", 0.8)) == ["a/one", "b/one"]
    assert named(("a/one.json", 0.8), ("a/one.json", 0.9)) == ["one, cutoff 0.80", "one, cutoff 0.90"]


def test_the_command_makes_it(tmp_path: Path) -> None:
    paths = []
    for number in (1, 2, 3):
        paths.append(tmp_path / f"{number}.json")
        write_result(simulated(tmp_path, number, [250, 100]), paths[-1])
    done = run(None, "mww-report", *paths, "--output", tmp_path / "all.html")
    assert done.returncode == 0, done.stderr
    assert "3 measurements of 3 models." in done.stdout
    assert f"Report: {tmp_path / 'all.html'}" in done.stdout
