from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench_audio.calibration.calibration_file import read_calibration
from bench_audio.calibration.equalizer import MAX_BOOST_DB
from bench_audio.calibration.flow import STEPS, CalibrationSettings
from bench_audio.calibration.run import chosen_steps, stated_gains
from bench_audio.cli import calibrate
from harness.cli import bench_app
from wakeword.errors import ConfigError


def invoke(*arguments: str, keys: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(bench_app, ["calibrate", *arguments], input=keys)
    return result.exit_code, result.stdout, result.stderr


def only_progress(error: str) -> bool:
    """On a busy machine a line tells from time to time that it goes on."""
    return all(line.startswith("calibrating (") for line in error.splitlines())


def test_a_rehearsal_writes_file_and_page(tmp_path: Path) -> None:
    output = tmp_path / "station" / "calibration.json"
    code, out, error = invoke(
        "--simulate", "--output", str(output), "--gain", "amplifier=-12 dB", "--room", "office", "--valid-days", "7"
    )
    assert code == 0
    assert only_progress(error)
    assert "Put the calibrator (94 dB, 1 kHz) onto the microphone and switch it on." in out
    calibration = read_calibration(output)
    assert calibration.source == "simulated"
    assert calibration.gains == {"amplifier": "-12 dB"}
    assert (calibration.expires - calibration.created).days == 7
    assert calibration.response is not None
    assert calibration.response.after is not None
    assert max(calibration.response.after.highest_db, -calibration.response.after.lowest_db) < 1
    page = output.with_suffix(".html").read_text()
    assert "None of these figures is about a device" in page
    assert page.count('<img src="data:image/svg+xml;base64,') == 4
    assert "http" not in page.replace("http://www.w3.org", "")


def test_pictures_instead_of_a_page(tmp_path: Path) -> None:
    output = tmp_path / "calibration.json"
    code, out, error = invoke(
        "--simulate",
        "--output",
        str(output),
        "--report",
        "plots",
        "--steps",
        "noise,sweep",
        "--sensitivity",
        "120",
        "--no-eq",
    )
    assert code == 0
    assert only_progress(error)
    pictures = {path.name: path.read_text() for path in tmp_path.glob("*.svg")}
    assert set(pictures) == {f"calibration-{name}.svg" for name in ("response", "decay", "distortion", "noise")}
    for words in ("frequency, Hz", "level, dB", "Response of loudspeaker and room at the microphone"):
        assert words in pictures["calibration-response.svg"]
    assert "calibrator" not in out.lower()
    assert read_calibration(output).equalizer is None


def test_the_help_answers_without_heavy_imports() -> None:
    program = (
        "import sys; import harness.cli; print([name for name in ('numpy', 'scipy', 'pyfar', 'matplotlib',"
        " 'sounddevice') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.stdout.strip() == "[]"


def test_defaults_are_those_of_the_settings() -> None:
    options = inspect.signature(calibrate).parameters
    settings = CalibrationSettings()
    pairs = {
        "calibrator_level": settings.calibrator_spl,
        "level": settings.level_spl,
        "weighting": settings.weighting,
        "sweep_level": settings.sweep_dbfs,
    }
    for name, value in {**pairs, "max_boost": MAX_BOOST_DB, "eq": settings.equalize}.items():
        assert options[name].default == value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--simulate", "--speaker", "x"), "--simulate alone"),
        ((), "--simulate alone"),
        (("--speaker", "x"), "give both --speaker and --microphone"),
        (("--simulate", "--steps", "nois", "--sensitivity", "120"), "did you mean noise?"),
        (("--simulate", "--steps", "noise"), "measured or stated, one of both"),
        (("--simulate", "--gain", "amplifier"), "give KNOB=SETTING"),
        (("--simulate", "--valid-days", "0"), "--valid-days 0: give more than 0"),
        (("--simulate", "--microphone-rate", "48000"), "--simulate alone"),
        (("--simulate", "--sensitivity", "nan"), "--sensitivity nan: give 40 to 200 dB SPL"),
        (("--simulate", "--level", "120"), "--level 120: give 30 to 100 dB SPL"),
        (("--simulate", "--calibrator-level", "20"), "--calibrator-level 20: give what is printed on it"),
        (("--simulate", "--sweep-level", "3"), "--sweep-level 3: give -60 to -3.1 dBFS"),
        (("--simulate", "--max-boost", "60"), "--max-boost 60: give 0 to 24 dB"),
        (("--speaker", "x", "--microphone", "y", "--yes"), "a calibrator is put on and taken off by hand"),
        (("--simulate", "--microphone-curve", "/nonexistent.txt"), "/nonexistent.txt: No such file"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    code, _, error = invoke(*arguments, "--output", str(tmp_path / "calibration.json"))
    assert code == 2
    # A slow machine may hear of the progress before.
    (told,) = (line for line in error.splitlines() if not line.startswith("calibrating ("))
    assert message in told
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_a_folder_is_refused_before_any_sound(tmp_path: Path) -> None:
    code, out, error = invoke("--simulate", "--output", str(tmp_path))
    assert (code, out) == (2, "")
    assert "is a folder" in error


def test_a_page_never_takes_the_place_of_something_else(tmp_path: Path) -> None:
    code, out, error = invoke("--simulate", "--output", str(tmp_path / "calibration.html"))
    assert (code, out) == (2, "")
    assert "give the calibration file another one, such as" in error
    (tmp_path / "calibration.html").mkdir()
    code, out, error = invoke("--simulate", "--output", str(tmp_path / "calibration.json"))
    assert (code, out) == (2, "")
    assert "calibration.html: is a folder" in error


def test_steps_are_done_in_their_own_order() -> None:
    assert chosen_steps("level, noise", True) == ("noise", "level")
    assert chosen_steps(None, False) == STEPS
    assert chosen_steps(None, True) == STEPS[1:]


def test_gains_are_read_and_none_twice() -> None:
    assert stated_gains(["a=1", "b = -3 dB = low"]) == {"a": "1", "b": "-3 dB = low"}
    with pytest.raises(ConfigError, match="stated twice"):
        stated_gains(["a=1", "a=2"])
