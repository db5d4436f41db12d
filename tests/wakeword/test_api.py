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
    "curve": ["model", "wake", "none", "resample", "jobs", "cache_folder"],
    "detections": ["model", "probabilities", "slices"],
    "features": ["audio", "step_ms"],
    "load_model": ["manifest", "cutoff", "window"],
    "probabilities": ["model", "features"],
    "simulate": ["model", "audio", "mode", "resample", "jobs", "cache_folder"],
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
    by_file, by_samples = (wakeword.simulate(model, audio, "stream").streams[0] for audio in (Path("evening.flac"), [samples]))
    np.testing.assert_array_equal(by_file.probabilities, by_samples.probabilities)
    np.testing.assert_array_equal(by_file.probabilities, wakeword.probabilities("alexa.json", wakeword.features("evening.flac")))
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
        session, stream = wakeword.simulate(model, "people", "session"), wakeword.simulate(model, "evening.flac", "stream")
        assert curve.detected[cutoff] + curve.false_accepts[cutoff] == len(session.detected) + len(stream.detected)


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
def test_a_simulation_says_that_it_is_one() -> None:
    text = repr(wakeword.simulate("alexa.json", "evening.flac"))
    assert text == "<Alexa, simulated: cutoff 0.9 (229/255), window 5: recordings 1, detections 0>"
