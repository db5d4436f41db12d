"""`mww-simulate` with manifests of the first format, which ESPHome runs at 20 ms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.results.runs import run_streams
from harness.results.schema import read_result
from tests.commands import Run
from tests.manifests import first_format
from tests.spoken import Spoken, listed
from wakeword.contract import slice_count

FIRST_MODELS = Path(__file__).parents[3] / "shared" / "models" / "v1"


@pytest.fixture
def first_alexa(official_models: Path, tmp_path: Path) -> Path:
    """A manifest of version 1, at a cutoff that finds words."""
    return first_format(official_models, tmp_path, probability_cutoff=0.02)


def test_times_in_results_are_those_of_the_step(run: Run, first_alexa: Path, spoken: Spoken, tmp_path: Path) -> None:
    words = listed(tmp_path / "words.txt", spoken.words[:8])
    done = run(
        "mww-simulate",
        first_alexa,
        words,
        "--truth",
        "wake",
        "--result",
        tmp_path / "r.json",
        "--json",
        tmp_path / "r.jsonl",
    )
    assert done.returncode == 0, done.stderr
    assert "step 20 ms" in " ".join(done.stdout.split())
    result = read_result(tmp_path / "r.json")
    (measured,) = result.runs
    assert result.model.feature_step_ms == 20
    assert measured.protocol.lead_in_seconds == 3.0
    assert measured.detections, "the low cutoff finds something"
    for detection in measured.detections:
        assert detection.seconds == pytest.approx(0.03 + 0.02 * detection.slice)
        file = measured.files[detection.file_index]
        assert file.stream_start < detection.seconds < file.stream_start + file.seconds + measured.protocol.tail_seconds
    for line in map(json.loads, (tmp_path / "r.jsonl").read_text().splitlines()):
        for entry in line["detections"]:
            assert entry["seconds"] == pytest.approx(0.03 + 0.02 * entry["slice"])
    for stream in run_streams(measured, result.model.stride, result.model.feature_step_ms):
        (file,) = stream.files
        assert stream.stream.slices == slice_count(round((file.stream_start + file.seconds + 0.75) * 16_000), 20)
        assert stream.inference_seconds()[-1] == pytest.approx(
            0.03 + 0.02 * (len(stream.stream.probabilities) * result.model.stride - 1)
        )
    assert run("mww-report", tmp_path / "r.json", "--output", tmp_path / "report.html").returncode == 0


def test_what_works_at_ten_milliseconds_alone_says_so(
    run: Run, first_alexa: Path, spoken: Spoken, tmp_path: Path
) -> None:
    measured = run(
        "mww-bench",
        "measure",
        "--board",
        "virtual",
        "--model",
        first_alexa,
        "--wake",
        spoken.words[0],
        "--output",
        tmp_path / "out",
    )
    for done in (measured, run("mww-evaluate", "--tflite", first_alexa)):
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "a feature slice every 20 ms" in line
        assert "mww-simulate runs it at its own step" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.corpus
@pytest.mark.skipif(not FIRST_MODELS.is_dir(), reason="needs ../shared/models/v1 beside the checkout")
@pytest.mark.parametrize(("name", "folder", "count", "least"), [("alexa", "alexa", 40, 38)])
def test_a_real_model_of_the_first_format_is_as_good_as_it_was(
    run: Run, corpus: Path, tmp_path: Path, name: str, folder: str, count: int, least: int
) -> None:
    clips = listed(tmp_path / "clips.txt", sorted((corpus / folder).iterdir())[:count])
    done = run("mww-simulate", FIRST_MODELS / f"{name}.json", clips, "--truth", "wake", "--result", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    recall = read_result(tmp_path / "r.json").scores.recall
    assert recall is not None
    assert (recall.count, recall.of) == (least, count)
