"""`mww-simulate` as a user runs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harness.results.clips import ClipReader
from harness.results.evidence import PairedStream, misses
from harness.results.runs import run_streams
from harness.results.schema import read_result, unpack_probabilities
from tests.commands import Run
from tests.model_builder import ModelBuilder
from tests.spoken import Spoken


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


REFERENCE = {
    "alexa": [169, 0, 0, 4, 2, 0],
    "hey_jarvis": [0, 0, 12, 4, 0, 0],
    "hey_mycroft": [3, 0, 0, 4, 0, 0],
}
SETS = [
    ("clips", ["alexa"], 174),
    ("clips", ["computer"], 411),
    ("clips", ["jarvis"], 384),
    ("clips", ["golden_a", "golden_b"], 21),
    ("stream", ["speech_librispeech", "speech_precise", "speech_speechocean762"], 920),
    ("stream", ["noise_esc10", "noise_precise", "noise_speech_commands"], 175),
]


@pytest.mark.corpus
@pytest.mark.slow
def test_every_reference_count_of_the_corpus(run: Run, corpus: Path, official_models: Path, tmp_path: Path) -> None:
    for model, expected in REFERENCE.items():
        for (mode, folders, files), count in zip(SETS, expected, strict=True):
            output = tmp_path / "out.jsonl"
            done = run(
                "mww-simulate",
                official_models / f"{model}.json",
                *(corpus / name for name in folders),
                "--mode",
                mode,
                "--json",
                output,
            )
            assert done.returncode == 0, done.stderr
            found = lines(output)
            assert len(found) == files
            detections = [len(line["detections"]) for line in found]
            assert (sum(detections) if mode == "stream" else sum(map(bool, detections))) == count, (model, folders)


def test_lines_and_result_tell_the_same(run: Run, spoken: Spoken, official_models: Path, tmp_path: Path) -> None:
    output, result_path = tmp_path / "golden.jsonl", tmp_path / "golden.json"
    done = run(
        "mww-simulate",
        official_models / "alexa.json",
        *spoken.words[:20],
        "--truth",
        "wake",
        "--json",
        output,
        "--result",
        result_path,
    )
    assert done.returncode == 0, done.stderr
    assert "recall" in done.stdout
    assert "simulated" in done.stdout
    result = read_result(result_path)
    (measured,) = result.runs
    found = lines(output)
    assert [line["path"] for line in found] == [file.path for file in measured.files]
    assert sum(len(line["detections"]) for line in found) == len(measured.detections)
    detection, record = next(line["detections"][0] for line in found if line["detections"]), measured.detections[0]
    assert (detection["slice"], detection["average"]) == (record.slice, pytest.approx(record.average, abs=1e-6))
    assert sum(measured.inferences_per_file) == len(unpack_probabilities(measured.probabilities))
    assert result.scores.recall is not None
    assert result.scores.recall.count == len({record.file_index for record in measured.detections})
    assert result.arena.manifest == 22348
    assert result.arena.probed is None
    assert result.arena.esp32s3_estimate == pytest.approx(22348, rel=0.03)
    assert measured.provenance == ("unknown" if spoken.recorded else "synthetic")


def test_misses_are_told_and_sorted_by_what_could_have_been_a_detection(
    run: Run, manifest: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(8)
    noise = np.repeat(rng.uniform(0, 9000, 17), 1500)[:24000] * rng.normal(0, 0.4, 24000)
    for name, samples in (("a silence", np.zeros(16000)), ("b noise", noise)):
        soundfile.write(tmp_path / f"{name}.wav", samples.clip(-32768, 32767).astype(np.int16), 16000)
    output, result = tmp_path / "out.jsonl", tmp_path / "result.json"
    given = [
        tmp_path / "a silence.wav",
        tmp_path / "b noise.wav",
        "--truth",
        "wake",
        "--json",
        output,
        "--result",
        result,
    ]
    done = run("mww-simulate", manifest, *given)
    assert done.returncode == 0, done.stderr
    # The model answers 9 of 255 just after boot, before it has heard anything.
    assert [line["max_probability"] for line in lines(output)] == [0, pytest.approx(3 / 255, abs=1e-6)]
    measured = read_result(result)
    streams = [PairedStream(stream) for stream in run_streams(measured.runs[0], measured.model.stride)]
    assert [Path(one.path).name for one in misses(streams, measured.model, 9, ClipReader()).exhibits] == [
        "b noise.wav",
        "a silence.wav",
    ]


def test_a_session_tells_recall_and_a_rate(run: Run, manifest: Path, clips: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    # At cutoff 0.004 (1/255) noise alone detects.
    at_one = ["--cutoff", "0.004", "--window", "1"]
    done = run("mww-simulate", manifest, clips, "--mode", "session", "--truth", "wake", "--result", result, *at_one)
    assert done.returncode == 0, done.stderr
    assert {"recall", "false accepts", "per hour"} <= {cell.strip() for cell in done.stdout.splitlines()[2].split("┃")}
    measured = read_result(result)
    assert measured.scores.false_accepts_per_hour is not None
    assert measured.scores.false_accepts_per_hour.of == pytest.approx((1.5 + 1 + 2 + 3 + 3 * 3.5) / 3600)
    assert measured.scores.recall is not None
    assert measured.scores.recall.count + measured.scores.false_accepts_per_hour.count == len(
        measured.runs[0].detections
    )
    refused = run("mww-simulate", manifest, clips, "--mode", "session", "--truth", "none")
    assert refused.returncode == 2
    assert "--mode session presents words with pauses" in refused.stderr
    assert (
        "has no meaning in --mode session"
        in run("mww-simulate", manifest, clips, "--mode", "session", "--truth", "wake", "--gap", "2").stderr
    )


def test_a_stream_names_the_file_of_each_detection(run: Run, manifest: Path, clips: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    # At cutoff 0.004 (1/255) noise alone detects.
    done = run(
        "mww-simulate", manifest, clips, "--mode", "stream", "--cutoff", "0.004", "--window", "1", "--json", output
    )
    assert done.returncode == 0, done.stderr
    found = lines(output)
    assert [line["seconds"] for line in found] == [1, 2, 3]
    detections = [(line["path"], detection) for line in found for detection in line["detections"]]
    for path, detection in detections:
        assert detection["file"] == path
        assert set(detection) == {"slice", "seconds", "average", "max", "file"}
        assert detection["seconds"] == pytest.approx(0.03 + detection["slice"] * 0.01)


def test_noise_of_a_microphone_is_heard_and_said(
    run: Run, spoken: Spoken, official_models: Path, tmp_path: Path
) -> None:
    """The same recordings without noise, twice with it, and in the reverse order: the report refuses to join them."""
    listed = {"forth": spoken.words[:6], "back": spoken.words[5::-1]}
    for name, paths in listed.items():
        (tmp_path / f"{name}.txt").write_text("".join(f"{path}\n" for path in paths))
    given = {"plain": ["forth"], "noisy": ["forth", "--noise-floor", "-40"], "again": ["back", "--noise-floor", "-40"]}
    results = {}
    for name, (order, *noise) in given.items():
        result = tmp_path / f"{name}.json"
        done = run(
            "mww-simulate", official_models / "alexa.json", tmp_path / f"{order}.txt", "--truth", "wake",
            "--result", result, "--json", tmp_path / f"{name}.jsonl", *noise,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said = " ".join(done.stdout.split()).count("Alexa, simulated, with a microphone's noise of -40 dBFS: cutoff")
        assert said == (name != "plain")
        results[name] = read_result(result).runs[0]
    assert [one.protocol.noise_floor_dbfs for one in results.values()] == [None, -40.0, -40.0]
    assert results["noisy"].probabilities == results["again"].probabilities != results["plain"].probabilities
    assert lines(tmp_path / "noisy.jsonl") == lines(tmp_path / "again.jsonl")
    page = tmp_path / "report.html"
    apart = run("mww-report", tmp_path / "plain.json", tmp_path / "noisy.json", "--output", page)
    assert "2 measurements of 1 model. No two heard the same recordings in the same way" in apart.stdout
    assert "simulated, with a microphone's noise of -40 dBFS" in page.read_text().replace("&#39;", "'")
    told = run("mww-report", tmp_path / "noisy.json", "--output", page)
    assert told.stdout.startswith("Alexa, simulated, with a microphone's noise of -40 dBFS: ")
    assert "with a microphone's noise of -40 dBFS" in page.read_text().replace("&#39;", "'")


def test_litert_is_named_wherever_its_figures_are_and_never_mixed(
    run: Run, spoken: Spoken, official_models: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "words.txt"
    listed.write_text("".join(f"{path}\n" for path in spoken.words[:6]))
    manifest, results = official_models / "alexa.json", {}
    for engine in ("litert", "reference"):
        result, output = tmp_path / f"{engine}.json", tmp_path / f"{engine}.jsonl"
        written = ["--result", result, "--json", output]
        done = run("mww-simulate", manifest, listed, "--truth", "wake", "--engine", engine, *written)
        assert done.returncode == 0, done.stderr
        assert "XNNPACK" not in done.stderr
        assert ("Alexa, simulated, with LiteRT's kernels: cutoff" in " ".join(done.stdout.split())) == (
            engine == "litert"
        )
        results[engine] = read_result(result)
        assert [one.engine for one in results[engine].runs] == [engine]
        assert {line["engine"] for line in lines(output)} == {engine}
        assert ("ai-edge-litert" in results[engine].versions) == (engine == "litert")
    page = tmp_path / "report.html"
    apart = run("mww-report", tmp_path / "litert.json", tmp_path / "reference.json", "--output", page)
    assert "2 measurements of 1 model. No two heard the same recordings in the same way" in apart.stdout
    assert "simulated, with LiteRT's kernels" in page.read_text().replace("&#39;", "'")
    told = run("mww-report", tmp_path / "litert.json", "--output", page)
    assert told.stdout.startswith("Alexa, simulated, with LiteRT's kernels: ")
    text = page.read_text()
    assert "no ESPHome device does, and its probabilities may differ" in text
    assert "bit for bit, and through" not in text


def test_stereo_at_another_rate_is_refused_and_can_be_converted(run: Run, manifest: Path, tmp_path: Path) -> None:
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, np.zeros((44100, 2)), 44100)
    refused = run("mww-simulate", manifest, stereo)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "44100 Hz, 2 channels" in refused.stderr
    assert "--resample" in refused.stderr
    assert run("mww-simulate", manifest, stereo, "--resample").returncode == 0


def _spoil_nothing(_: Path) -> None:
    pass


def _truncate_model(manifest: Path) -> None:
    model = manifest.with_suffix(".tflite")
    model.write_bytes(model.read_bytes()[:30000])


def _no_flatbuffer(manifest: Path) -> None:
    manifest.with_suffix(".tflite").write_bytes(b"not a model at all")


def _unregistered_op(manifest: Path) -> None:
    builder = ModelBuilder()
    source = builder.tensor("input", "INT8", (1, 3, 40), scales=26 / 255, zero_points=-128)
    result = builder.tensor("output", "UINT8", (1, 1), scales=1 / 256)
    builder.operator("TANH", [source], [result])
    builder.interface([source], [result])
    manifest.with_suffix(".tflite").write_bytes(builder.build())


def _missing_model(manifest: Path) -> None:
    manifest.with_suffix(".tflite").unlink()


def _no_json(manifest: Path) -> None:
    manifest.write_text("{\n 'wake_word'")


def _manifest_cutoff(manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace("0.95", "1.5"))


def _unreadable_audio(manifest: Path) -> None:
    (manifest.parent / "clips" / "1.wav").write_bytes(b"RIFF" + bytes(100))


def _truncated_audio(manifest: Path) -> None:
    path = manifest.parent / "clips" / "1.wav"
    path.write_bytes(path.read_bytes()[:20000])


def _empty_folder(manifest: Path) -> None:
    shutil.rmtree(manifest.parent / "clips")
    (manifest.parent / "clips").mkdir()


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (_truncate_model, [], "damaged or truncated TFLite model"),
        (_no_flatbuffer, [], "not a TFLite model"),
        (_unregistered_op, [], "uses TANH, which the device does not register"),
        (_missing_model, [], "names the model 'hey_mycroft.tflite'"),
        (_no_json, [], "not JSON (Expecting property name enclosed in double quotes: line 2"),
        (_manifest_cutoff, [], "micro.probability_cutoff"),
        (_unreadable_audio, [], "1.wav"),
        (_truncated_audio, [], "truncated"),
        (_empty_folder, [], "no recordings in this folder"),
        (_spoil_nothing, ["--cutoff", "1.5"], "error: --cutoff 1.5: a probability is between 0 and 1"),
        (_spoil_nothing, ["--window", "0"], "error: --window 0: a sliding"),
        (_spoil_nothing, ["--gap", "1"], "--gap has no meaning in --mode clips"),
        (_spoil_nothing, ["--lead-in", "-1"], "give seconds from 0"),
        (
            _spoil_nothing,
            ["--noise-floor", "-5"],
            "--noise-floor -5: give -100 to -20 dBFS, or leave it out for no noise",
        ),
        (_spoil_nothing, ["--noise-floor", "nan"], "--noise-floor nan: give -100 to -20 dBFS"),
        (_spoil_nothing, ["--result", "r.json"], "--result needs --truth"),
        (_spoil_nothing, ["--jobs", "0"], "--jobs 0: give 1 or more"),
        (_spoil_nothing, ["--json", "."], "is a folder"),
        (_spoil_nothing, ["--json", "/dev/null/out.jsonl"], "/dev/null is not a folder"),
    ],
)
def test_bad_input_gets_one_line_and_its_exit_code(
    spoil: Callable[[Path], None],
    arguments: list[str],
    message: str,
    run: Run,
    manifest: Path,
    clips: Path,
    tmp_path: Path,
) -> None:
    spoil(manifest)
    output = tmp_path / "out.jsonl"
    done = run("mww-simulate", manifest, clips, "--json", output, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not output.exists()
    assert not list(tmp_path.rglob("*.partial"))


def test_no_input_is_overwritten(run: Run, manifest: Path, clips: Path) -> None:
    for victim in (manifest, manifest.with_suffix(".tflite"), clips / "1.wav"):
        before = victim.read_bytes()
        done = run("mww-simulate", manifest, clips, "--json", victim)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "would be overwritten" in done.stderr
        assert victim.read_bytes() == before


def test_a_cutoff_at_which_nothing_can_be_detected_is_named(run: Run, manifest: Path, clips: Path) -> None:
    for cutoff, reason in (("0", "hold-off after boot never ends"), ("1", "no average is above it")):
        assert reason in run("mww-simulate", manifest, clips, "--cutoff", cutoff).stdout
    assert "nothing can be detected" not in run("mww-simulate", manifest, clips).stdout
