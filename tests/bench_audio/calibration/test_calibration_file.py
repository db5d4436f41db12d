"""The file of a calibration: written whole, read as it was written, and valid for what it was measured with."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from bench_audio.calibration import calibration_file
from bench_audio.calibration.calibration_file import Circumstances, save
from bench_audio.calibration.flow import Measured
from bench_audio.duplex import DeviceFacts
from bench_audio.simulated_rig import Rig, SimulatedRig
from tests.bench_audio.calibration.rigs import NOW, RATE, STATED, calibrated
from wakeword.errors import ConfigError


@pytest.fixture
def saved(done: tuple[SimulatedRig, Measured], tmp_path: Path) -> tuple[calibration_file.Calibration, Path]:
    rig, measured = done
    path = tmp_path / "calibration.json"
    return save(measured, rig, Circumstances({"amplifier": "-12 dB"}, "office", "1 m", 30), path, NOW), path


def valid(calibration: calibration_file.Calibration, path: Path, **changes: object) -> None:
    facts = {
        "speaker": DeviceFacts("simulated loudspeaker", "none", RATE),
        "microphone": DeviceFacts("simulated microphone", "none", RATE),
    }
    arguments = {**facts, "gains": {"amplifier": "-12 dB"}, "source": "simulated", "now": NOW} | changes
    calibration_file.require_valid(calibration, path, **arguments)  # type: ignore[arg-type]


def test_a_file_is_read_as_it_was_written(
    saved: tuple[calibration_file.Calibration, Path], done: tuple[SimulatedRig, Measured]
) -> None:
    calibration, path = saved
    assert calibration_file.read_calibration(path) == calibration
    equalizer, swept = calibration_file.read_equalizer(calibration, path), done[1].swept
    assert equalizer is not None
    assert swept is not None
    assert swept.equalizer is not None
    np.testing.assert_array_equal(equalizer.taps, swept.equalizer.taps)
    valid(calibration, path)
    valid(calibration, path, microphone=None)


def test_a_file_of_an_earlier_program_is_read_and_would_be_written_as_it_was() -> None:
    path = Path(__file__).with_name("version-1.json")
    assert json.loads(calibration_file.read_calibration(path).model_dump_json()) == json.loads(path.read_text())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"speaker": DeviceFacts("other", "none", RATE)},
            "holds for the loudspeaker 'simulated loudspeaker' .* not for 'other'",
        ),
        ({"speaker": DeviceFacts("simulated loudspeaker", "ALSA", RATE)}, "not for 'simulated loudspeaker' .ALSA"),
        ({"speaker": DeviceFacts("simulated loudspeaker", "none", 48_000)}, "ran at 24000 Hz and now runs at 48000 Hz"),
        ({"microphone": DeviceFacts("other", "none", RATE)}, "holds for the microphone"),
        ({"gains": {"amplifier": "-6 dB"}}, "gain 'amplifier' was -12 dB and now is -6 dB"),
        ({"gains": {}}, "now is not stated"),
        ({"gains": {"amplifier": "-12 dB", "slider": "80 %"}}, "gain 'slider' was not stated"),
        ({"source": "measured"}, "a simulated calibration, and the session is measured"),
        ({"now": NOW + timedelta(days=30)}, "expired on 2026-12-21 12:00 UTC"),
    ],
)
def test_a_calibration_of_something_else_is_refused(
    saved: tuple[calibration_file.Calibration, Path], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        valid(saved[0], saved[1], **changes)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"schema_version": 1', '"schema_version": 2', "version 2, this program reads version 1"),
        ('"room": "office"', '"rooms": "office"', "rooms: Extra inputs are not permitted"),
        ('"method": "calibrator"', '"method": "guessed"', "sensitivity.method"),
        ('"full_scale_spl": 1', '"full_scale_spl": NaN, "x": 1', "sensitivity"),
        ('"expires": "2026', '"expires": "2025', "expires before it was made"),
        ("{", "{{", "not JSON"),
    ],
)
def test_a_file_that_was_changed_is_refused(
    saved: tuple[calibration_file.Calibration, Path], before: str, after: str, message: str
) -> None:
    _, path = saved
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(ConfigError, match=message):
        calibration_file.read_calibration(path)


def test_an_inverse_filter_that_was_changed_or_lost_is_refused(
    saved: tuple[calibration_file.Calibration, Path],
) -> None:
    calibration, path = saved
    assert calibration.equalizer is not None
    taps = path.parent / calibration.equalizer.file
    content = bytearray(taps.read_bytes())
    content[-1] ^= 1
    taps.write_bytes(content)
    with pytest.raises(ConfigError, match="is not the inverse filter"):
        calibration_file.read_equalizer(calibration, path)
    taps.unlink()
    with pytest.raises(ConfigError, match=r"belongs beside calibration\.json"):
        calibration_file.read_equalizer(calibration, path)


def test_a_calibration_that_is_not_finished_leaves_the_one_before(
    saved: tuple[calibration_file.Calibration, Path],
    done: tuple[SimulatedRig, Measured],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calibration, path = saved
    rig, measured = done
    swept = measured.swept
    assert swept is not None
    assert swept.equalizer is not None
    other = replace(measured, swept=replace(swept, equalizer=replace(swept.equalizer, taps=swept.equalizer.taps / 2)))

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(calibration_file, "write_record", full_disk)
    with pytest.raises(OSError, match="No space"):
        save(other, rig, Circumstances(), path, NOW)
    assert calibration_file.read_calibration(path) == calibration
    assert calibration_file.read_equalizer(calibration, path) is not None
    assert not list(path.parent.glob("*.partial"))


def test_the_same_measurement_is_the_same_bytes(done: tuple[SimulatedRig, Measured], tmp_path: Path) -> None:
    rig, measured = done
    for name in ("one", "two"):
        save(measured, rig, Circumstances(), tmp_path / name / "calibration.json", NOW)
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [path.name for path in one] == [path.name for path in two]
    assert all(first.read_bytes() == second.read_bytes() for first, second in zip(one, two, strict=True))


def test_parts_that_were_not_done_are_not_there(tmp_path: Path) -> None:
    rig = SimulatedRig(Rig(sample_rate=RATE))
    measured = calibrated(rig, replace(STATED, steps=("noise",)))
    calibration = save(measured, rig, Circumstances(), tmp_path / "noise.json", NOW)
    assert (calibration.response, calibration.level, calibration.equalizer) == (None, None, None)
    assert calibration.sensitivity.method == "stated"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise.json"]
    assert math.isfinite(calibration.noise.la_eq if calibration.noise else math.nan)
