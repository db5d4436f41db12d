"""The public names of Python: there, kept, quick to import, and what the commands give."""

from __future__ import annotations

import contextlib
import importlib.resources
import inspect
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import wakeword
from wakeword.errors import ConfigError
from wakeword.synthetic_speech import synthetic_speech

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SIGNATURES = {
    "curve": ["model", "wake", "none", "noise_floor", "resample", "jobs", "cache_folder"],
    "detections": ["model", "probabilities", "slices"],
    "features": ["audio", "step_ms"],
    "load_model": ["manifest", "cutoff", "window"],
    "probabilities": ["model", "features"],
    "simulate": ["model", "audio", "mode", "noise_floor", "resample", "jobs", "cache_folder"],
}
ATTRIBUTES = {
    "DetCurve": ["cutoffs", "detected", "false_accepts", "false_accepts_per_hour", "hours", "recall", "utterances"],
    "Detection": ["average", "maximum", "seconds", "slice_index"],
    "DeviceModel": ["manifest", "model", "point"],
    "SimulatedStream": ["detections", "probabilities", "recordings", "seconds", "slices", "stride"],
    "Simulation": ["detected", "detections", "streams", "title"],
}


@pytest.fixture
def folder(official_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a reader of the page is: a model, an evening, and people who say the word."""
    for suffix in ("json", "tflite"):
        shutil.copy(official_models / f"alexa.{suffix}", tmp_path)
    (tmp_path / "people").mkdir()
    soundfile.write(tmp_path / "evening.flac", synthetic_speech(20.0, seed=1), 16000)
    for number in range(2):
        soundfile.write(tmp_path / "people" / f"{number}.flac", synthetic_speech(2.0, seed=number), 16000)
    monkeypatch.chdir(tmp_path)


def test_public_names_are_kept() -> None:
    assert wakeword.__all__ == sorted([*SIGNATURES, *ATTRIBUTES])
    assert set(wakeword.__all__) <= set(dir(wakeword))
    for name, parameters in SIGNATURES.items():
        assert list(inspect.signature(getattr(wakeword, name)).parameters) == parameters
    for name, attributes in ATTRIBUTES.items():
        kind = getattr(wakeword, name)
        assert [each for each in attributes if not hasattr(kind, each) and each not in kind.__dataclass_fields__] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        wakeword.nothing  # noqa: B018
    assert importlib.resources.files("wakeword").joinpath("py.typed").is_file()


def test_importing_the_package_imports_nothing_else() -> None:
    program = "import sys; before = set(sys.modules); import wakeword; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    imported = {name.split(".")[0] for name in re.findall(r"'([^']+)'", done.stdout)}
    assert imported & {"numpy", "pydantic", "typer", "tflite_micro", "soundfile"} == set()
    assert "wakeword" in imported


@pytest.mark.usefixtures("folder")
def test_the_page_does_what_it_prints() -> None:
    blocks = BLOCK.findall(PAGE.read_text())
    names: dict[str, object] = {}
    printed, checked = "", 0
    for language, text in blocks:
        if language == "text":
            assert printed == text
            checked += 1
            continue
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(text, str(PAGE), "exec"), names)
        printed = output.getvalue()
    assert checked == 3
    assert re.fullmatch(r"recall \d/2 Interval\(.+\)\nfalse accepts \d+ in 0\.01 h Interval\(.+\)\n", printed)


@pytest.mark.usefixtures("folder")
def test_samples_and_files_give_the_same() -> None:
    samples, _ = soundfile.read("evening.flac", dtype="int16")
    model = wakeword.load_model("alexa.json", cutoff=0.02, window=1)
    by_file, by_samples = (
        wakeword.simulate(model, audio, "stream").streams[0] for audio in (Path("evening.flac"), [samples])
    )
    np.testing.assert_array_equal(by_file.probabilities, by_samples.probabilities)
    np.testing.assert_array_equal(
        by_file.probabilities, wakeword.probabilities("alexa.json", wakeword.features("evening.flac"))
    )
    found = wakeword.detections(model, by_file.probabilities, by_file.slices)
    assert found == [detection for _, detection in wakeword.simulate(model, samples, "stream").detected]
    assert by_file.seconds[-1] == pytest.approx(20.0, abs=0.06)


@pytest.mark.usefixtures("folder")
def test_a_curve_counts_what_a_simulation_detects() -> None:
    curve = wakeword.curve("alexa.json", "people", ["evening.flac"])
    assert curve.utterances == 2
    assert curve.hours == pytest.approx((20 + 1.5 + 2 * (2 + 3.5)) / 3600)
    for cutoff in (1, 3, 40):
        model = wakeword.load_model("alexa.json", cutoff=(cutoff + 0.5) / 255)
        session, stream = (
            wakeword.simulate(model, "people", "session"),
            wakeword.simulate(model, "evening.flac", "stream"),
        )
        assert curve.detected[cutoff] + curve.false_accepts[cutoff] == len(session.detected) + len(stream.detected)


@pytest.mark.usefixtures("folder")
def test_noise_of_a_microphone_is_heard_by_both_calls(tmp_path: Path) -> None:
    model = wakeword.load_model("alexa.json", cutoff=0.02, window=1)
    calls = {
        level: [wakeword.simulate(model, "evening.flac", "stream", noise_floor=level) for _ in "ab"]
        for level in (None, -40.0)
    }
    plain, noisy = (calls[level][0].streams[0].probabilities for level in calls)
    np.testing.assert_array_equal(noisy, calls[-40.0][1].streams[0].probabilities)
    assert not np.array_equal(plain, noisy)
    np.testing.assert_array_equal(
        plain, wakeword.simulate(model, "evening.flac", "stream", cache_folder=tmp_path).streams[0].probabilities
    )
    assert calls[None][0].title == "Alexa, simulated: cutoff 0.02 (5/255), window 1"
    assert calls[-40.0][0].title == (
        "Alexa, simulated, with a microphone's noise of -40 dBFS: cutoff 0.02 (5/255), window 1"
    )
    for level, (simulation, _) in calls.items():
        curve = wakeword.curve(model, "people", "evening.flac", noise_floor=level)
        session = wakeword.simulate(model, "people", "session", noise_floor=level)
        assert curve.detected[5] + curve.false_accepts[5] == len(session.detected) + len(simulation.detected)


def test_features_at_another_step() -> None:
    samples = synthetic_speech(2.0)
    assert wakeword.features(samples, step_ms=20).shape == (99, 40)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("samples", [np.zeros(16000), np.zeros((16000, 2), np.int16)])
def test_other_samples_are_refused(samples: NDArray[Any]) -> None:
    for call in (lambda: wakeword.features(samples), lambda: wakeword.simulate("alexa.json", samples)):
        with pytest.raises(ConfigError, match=r"the device hears int16 \[n\] at 16000 Hz"):
            call()


@pytest.mark.usefixtures("folder")
def test_streams_follow_the_order_of_the_audio() -> None:
    samples = synthetic_speech(1.0)
    audio: list[str | Path | NDArray[np.int16]] = [
        "people/1.flac",
        samples,
        "evening.flac",
        "people",
        Path("people/1.flac"),
        samples[:8000],
    ]
    simulation = wakeword.simulate("alexa.json", audio)
    names = ["1.flac", "samples-000001.wav", "evening.flac", "0.flac", "1.flac", "1.flac", "samples-000005.wav"]
    assert [stream.recordings[0].path.name for stream in simulation.streams] == names
    assert [stream.recordings[0].samples for stream in simulation.streams] == [
        32000,
        16000,
        320000,
        32000,
        32000,
        32000,
        8000,
    ]
    (joined,) = wakeword.simulate("alexa.json", ["people/1.flac", "people/0.flac", "people/1.flac"], "stream").streams
    assert [recording.path.name for recording in joined.recordings] == ["1.flac", "0.flac", "1.flac"]
    assert wakeword.curve("alexa.json", ["people/1.flac", "people"], "evening.flac").utterances == 3


@pytest.mark.parametrize(
    ("features", "got"),
    [
        (np.zeros((30, 40), np.float32), r"float32 \[30, 40\]"),
        (np.zeros((30, 40), np.uint16), r"uint16 \[30, 40\]"),
        (np.zeros((30, 41), np.int8), r"int8 \[30, 41\]"),
        (np.zeros(1200, np.int8), r"int8 \[1200\]"),
        (np.zeros((1, 30, 40), np.int8), r"int8 \[1, 30, 40\]"),
        ([[0] * 40] * 30, "list"),
    ],
)
def test_other_features_are_refused(official_models: Path, features: Any, got: str) -> None:
    with pytest.raises(
        ConfigError, match=f"^features are {got}; a model takes int8 \\[n, 40\\], as wakeword.features gives them$"
    ):
        wakeword.probabilities(official_models / "alexa.json", features)


def test_no_features_give_no_probabilities(official_models: Path) -> None:
    assert wakeword.probabilities(official_models / "alexa.json", np.zeros((0, 40), np.int8)).shape == (0,)


SAMPLES = synthetic_speech(0.5)
M = "alexa.json"
WRONG: list[tuple[Callable[..., Any], list[Any], dict[str, Any], str]] = [
    (wakeword.simulate, [M, SAMPLES, "Stream"], {}, r"mode 'Stream': give clips, session or stream"),
    (wakeword.simulate, [M, SAMPLES, None], {}, r"mode None: give clips, session or stream"),
    (wakeword.simulate, [M, []], {}, "audio names no recording; give at least one"),
    (wakeword.simulate, [M, [], "stream"], {}, "audio names no recording; give at least one"),
    (wakeword.curve, [M, [], SAMPLES], {}, "wake names no recording; give at least one"),
    (wakeword.curve, [M, SAMPLES, []], {}, "none names no recording; give at least one"),
    (
        wakeword.simulate,
        [M, SAMPLES.tolist()],
        {},
        r"audio\[0\] is int; give paths, or int16 samples \[n\] as NumPy arrays",
    ),
    (wakeword.simulate, [M, [SAMPLES, None]], {}, r"audio\[1\] is NoneType; give paths"),
    (wakeword.simulate, [M, 5], {}, "audio is int; give paths"),
    (wakeword.curve, [M, SAMPLES, SAMPLES.tolist()], {}, r"none\[0\] is int; give paths"),
    (wakeword.simulate, [M, SAMPLES[:0]], {}, "samples are empty; give at least one"),
    (wakeword.simulate, [M, "nothing.wav"], {}, "nothing.wav: does not exist"),
    (
        wakeword.simulate,
        [M, "other.wav"],
        {},
        r"other.wav: 8000 Hz, 1 channel, but the device hears 16000 Hz mono; pass resample=True to convert",
    ),
    (wakeword.curve, [M, "people", "other.wav"], {}, r"other.wav: 8000 Hz, .*; pass resample=True to convert"),
    (wakeword.simulate, [M, SAMPLES], {"jobs": -1}, "jobs -1: give a whole number from 1"),
    (wakeword.simulate, [M, SAMPLES], {"jobs": 0}, "jobs 0: give a whole number from 1"),
    (wakeword.curve, [M, SAMPLES, SAMPLES], {"jobs": 1.5}, "jobs 1.5: give a whole number from 1"),
    (wakeword.simulate, [M, SAMPLES], {"noise_floor": 60}, "noise_floor 60: give -100 to -20 dBFS, or leave it out"),
    (wakeword.curve, [M, SAMPLES, SAMPLES], {"noise_floor": "-60"}, "noise_floor -60: give -100 to -20 dBFS"),
    (wakeword.simulate, [None, SAMPLES], {}, "model is NoneType; give a manifest's path or what load_model made of it"),
    (wakeword.features, [SAMPLES], {"step_ms": 0}, "step_ms 0: give a whole number from 1 to 30"),
    (wakeword.features, [SAMPLES], {"step_ms": 100}, "step_ms 100: give a whole number from 1 to 30"),
    (wakeword.features, ["people"], {}, "audio names 2 recordings; features are those of one"),
    (
        wakeword.features,
        [["people/0.flac", "people/1.flac"]],
        {},
        "audio names 2 recordings; features are those of one",
    ),
    (wakeword.features, [SAMPLES.tolist()], {}, r"audio\[0\] is int; give paths"),
    (wakeword.features, ["other.wav"], {}, "other.wav: 8000 Hz, .*; convert it to that first"),
    (
        wakeword.detections,
        [M, np.zeros(10, np.float32)],
        {},
        r"probabilities are float32 \[10\]; a device decides on uint8 \[n\]",
    ),
    (wakeword.detections, [M, [0] * 10], {}, "probabilities are list; a device decides"),
    (
        wakeword.detections,
        [M, np.zeros(10, np.uint8), 99],
        {},
        r"slices 99: 10 probabilities, one every 3 slices, are those of 30 to 32",
    ),
    (wakeword.load_model, [M, 1.5], {}, "cutoff 1.5: a probability is between 0 and 1"),
    (wakeword.load_model, [M], {"window": 0}, "window 0: a sliding window has 1 to 255 probabilities"),
]


@pytest.fixture(scope="module")
def refused(official_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, two short recordings, and one of another rate."""
    folder = tmp_path_factory.mktemp("refused")
    for suffix in ("json", "tflite"):
        shutil.copy(official_models / f"alexa.{suffix}", folder)
    (folder / "people").mkdir()
    for number in range(2):
        soundfile.write(folder / "people" / f"{number}.flac", SAMPLES, 16000)
    soundfile.write(folder / "other.wav", SAMPLES, 8000)
    return folder


@pytest.mark.parametrize(("call", "arguments", "options", "message"), WRONG)
def test_what_is_wrong_is_told_in_words_of_python(
    refused: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[..., Any],
    arguments: list[Any],
    options: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(refused)
    with pytest.raises(ConfigError) as told:
        call(*arguments, **options)
    text = str(told.value)
    assert re.match(message, text)
    assert "--" not in text
    assert "\n" not in text


def test_a_folder_of_one_recording_has_its_features(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.flac", SAMPLES, 16000)
    for audio in (tmp_path, tmp_path / "one.flac"):
        np.testing.assert_array_equal(wakeword.features(audio), wakeword.features(SAMPLES))


@pytest.mark.usefixtures("folder")
def test_a_simulation_says_that_it_is_one() -> None:
    text = repr(wakeword.simulate("alexa.json", "evening.flac"))
    assert text == "<Alexa, simulated: cutoff 0.9 (229/255), window 5: recordings 1, detections 0>"
