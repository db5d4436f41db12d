"""`mww-simulate --judge` and what the report says of it, against a slow reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from harness.results.schema import Result, read_result
from tests.commands import Run, one_line_error
from tests.judge.models import other_alexa
from tests.spoken import Spoken, listed
from wakeword.audio import read_samples
from wakeword.contract import quantise
from wakeword.device_model import load_model
from wakeword.engines import open_engine
from wakeword.frontend import open_frontend
from wakeword.scoring.rates import clopper_pearson, garwood

LOW = ("--cutoff", "0.2", "--window", "1")
"""The device answers readily, so that there is something to judge."""


def whole_stream(paths: list[Path], before: int, gap: int, after: int) -> NDArray[np.int16]:
    parts = [np.zeros(before, np.int16)]
    for number, path in enumerate(paths):
        parts += [np.zeros(gap if number else 0, np.int16), read_samples(path)]
    return np.concatenate([*parts, np.zeros(after, np.int16)])


def reference_score(manifest: Path, clip: NDArray[np.int16]) -> float:
    model = load_model(manifest)
    step = model.manifest.micro.feature_step_size
    engine, _ = open_engine(model.model, "reference")
    frontend = open_frontend(step)
    engine.run(quantise(frontend.process(np.zeros(2400 * step, np.int16))))
    levels = engine.run(quantise(frontend.process(clip))).astype(int)
    window = model.point.window
    best = max(sum(levels[at : at + window]) for at in range(len(levels) - window + 1)) / (window * 255)
    return float(min(max(best, 0.5 / 255), 1 - 0.5 / 255))


def reference_answers(lines: list[dict[str, Any]], stream: NDArray[np.int16], judge: Path) -> dict[int, float]:
    """The judge's score of each detection, by its slice: sound cut out of the whole stream."""
    scores = {}
    for line in lines:
        for found in line["detections"]:
            heard = 480 + 160 * found["slice"]
            clip = np.concatenate([stream[max(0, heard - 32_000) : heard + 8000], np.zeros(8000, np.int16)])
            scores[found["slice"]] = reference_score(judge, clip[: min(heard, 32_000) + 8000])
    return scores


@pytest.fixture
def judge(official_models: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "judge"
    folder.mkdir()
    return other_alexa(official_models, folder)


def test_counts_with_a_judge_are_those_of_a_slow_reference(
    run: Run, spoken: Spoken, official_models: Path, judge: Path, tmp_path: Path
) -> None:
    """A stream without the word, and a session of it: detections, kept ones, false accepts, words, intervals."""
    speech = [*spoken.speech[:6], *spoken.words[:6]]  # words among speech, so that some are detected
    for mode, truth, recordings, layout in (
        ("stream", "none", sorted(speech, key=Path.as_posix), (0, 8000, 0)),
        ("session", "wake", list(spoken.words[:14]), (24_000, 56_000, 56_000)),
    ):
        output, result_path = tmp_path / f"{mode}.jsonl", tmp_path / f"{mode}.json"
        done = run(
            "mww-simulate", official_models / "alexa.json", listed(tmp_path / f"{mode}.txt", recordings), "--mode",
            mode, "--truth", truth, "--judge", judge, "--judge-cutoff", "0.3", "--json", output, "--result",
            result_path, *LOW,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        stream = whole_stream([Path(line["path"]) for line in lines], *layout)
        expected = reference_answers(lines, stream, judge)
        told = {one["slice"]: one["judge"] for line in lines for one in line["detections"]}
        assert {found: one["score"] for found, one in told.items()} == {
            found: pytest.approx(score, abs=1e-6) for found, score in expected.items()
        }
        kept = [found for found, score in sorted(expected.items()) if score >= 0.3]
        assert [found for found, one in sorted(told.items()) if one["yes"]] == kept
        assert 0 < len(kept) < len(expected), "a judge that says the same of all shows nothing"
        check_scores(read_result(result_path), mode, kept, len(expected))
        assert "with the judge judge/alexa.json: cutoff 0.3" in " ".join(done.stdout.split())


def check_scores(result: Result, mode: str, kept: list[int], detections: int) -> None:
    (measured,) = result.runs
    moments = [(480 + 160 * found) / 16_000 for found in kept]
    assert result.judge is not None
    assert (result.judge.cutoff, result.judge.before_seconds, result.judge.after_seconds) == (0.3, 2.0, 0.5)
    assert result.judged_scores is not None
    rate, alone = result.judged_scores.false_accepts_per_hour, result.scores.false_accepts_per_hour
    assert rate is not None
    assert alone is not None
    assert rate.of == alone.of
    found = set()
    if mode == "session":
        for number, file in enumerate(measured.files):
            if any(file.stream_start <= moment <= file.stream_start + file.seconds + 0.75 for moment in moments):
                found.add(number)
        recall = result.judged_scores.recall
        assert recall is not None
        assert (recall.count, recall.of) == (len(found), len(measured.files))
        interval = clopper_pearson(len(found), len(measured.files))
        assert (recall.low, recall.high) == (interval.low, interval.high)
    else:
        assert alone.count == detections
    assert rate.count == len(kept) - len(found)
    assert (rate.low, rate.high) == (garwood(rate.count, rate.of).low, garwood(rate.count, rate.of).high)


def test_the_report_shows_both_and_refuses_to_mix_judges(
    run: Run, spoken: Spoken, official_models: Path, judge: Path, tmp_path: Path
) -> None:
    alexa, page = official_models / "alexa.json", tmp_path / "report.html"
    words, speech = (
        listed(tmp_path / f"{n}.txt", paths) for n, paths in (("w", spoken.words[:12]), ("s", spoken.speech[:4]))
    )
    made = {}
    for name, audio, given in (
        ("wake", words, ("--truth", "wake", "--judge", judge, "--judge-cutoff", "0.3")),
        ("none", speech, ("--truth", "none", "--mode", "stream", "--judge", judge, "--judge-cutoff", "0.3")),
        ("other", speech, ("--truth", "none", "--mode", "stream", "--judge", judge, "--judge-cutoff", "0.4")),
        ("alone", speech, ("--truth", "none", "--mode", "stream")),
    ):
        made[name] = tmp_path / f"{name}.json"
        done = run("mww-simulate", alexa, audio, *given, *LOW, "--result", made[name])
        assert done.returncode == 0, done.stderr
    told = run("mww-report", made["wake"], made["none"], "--output", page)
    assert told.returncode == 0, told.stderr
    results = [read_result(made[name]) for name in ("wake", "none")]
    recall, rate = results[0].judged_scores, results[1].judged_scores
    assert recall is not None
    assert recall.recall is not None
    assert rate is not None
    assert rate.false_accepts_per_hour is not None
    sentence = told.stdout.splitlines()[1]
    assert sentence.startswith(f"With the judge: {rate.false_accepts_per_hour.count} false accept")
    assert f"{recall.recall.count} of 12 recognised" in sentence
    html = page.read_text()
    assert sentence in html
    for words_of_page in ("Device alone", "With the judge", "Figures by the judge&#39;s cutoff", "simulated"):
        assert words_of_page in html or words_of_page.replace("&#39;", "'") in html
    for other in ("other", "alone"):
        refused = one_line_error(run("mww-report", made["wake"], made[other], "--output", tmp_path / "no.html"))
        assert "different judges, or with and without one" in refused
    assert not (tmp_path / "no.html").exists()


def test_a_judge_that_says_yes_to_all_changes_nothing(
    run: Run, spoken: Spoken, official_models: Path, judge: Path, tmp_path: Path
) -> None:
    result_path = tmp_path / "result.json"
    done = run(
        "mww-simulate", official_models / "alexa.json", *spoken.words[:8], "--truth", "wake", "--judge", judge,
        "--judge-cutoff", "0", "--judge-before", "1", "--judge-after", "0.2", "--noise-floor", "-60", "--result",
        result_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = read_result(result_path)
    assert result.scores == result.judged_scores
    assert result.runs[0].judged
    assert result.runs[0].with_judge.detections == result.runs[0].detections
    values = json.loads(result_path.read_text())
    values["runs"][0]["judged"].pop()
    result_path.write_text(json.dumps(values))
    assert "other answers of a judge than it has detections" in one_line_error(
        run("mww-report", result_path, "--output", tmp_path / "page.html")
    )


def test_bad_input_of_a_judge_is_one_line(run: Run, official_models: Path, tmp_path: Path) -> None:
    tone = tmp_path / "tone.wav"
    soundfile.write(tone, np.zeros(16_000, np.int16), 16_000)
    for arguments, message in (
        (("--judge-cutoff", "0.5"), "are settings of a judge; give --judge too"),
        (("--judge", tmp_path / "gone"), "does not exist"),
        (("--judge", official_models / "hey_jarvis.json"), "knows the wake word 'Hey Jarvis', not 'Alexa'"),
        (("--judge", official_models / "alexa.json", "--judge-cutoff", "2"), "--judge-cutoff 2: a score is between"),
        (("--judge", official_models / "alexa.json", "--judge-after", "-1"), "--judge-after -1: give 0 to 5 seconds"),
    ):
        assert message in one_line_error(run("mww-simulate", official_models / "alexa.json", tone, *arguments))
