from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench_audio.calibration.microphone import read_microphone_curve
from wakeword.errors import ConfigError


@pytest.mark.parametrize(
    "text",
    [
        '"Sens Factor =-1.234dB, SERNO: 7000001"\n20.0\t-1.0\n1000.0\t0.5\n20000.0\t2.5\n',
        "* frequency level phase\n20 -1.0 0\n1000 0.5 0\n20000 2.5 0\n",
        "Hz;dB\r\n20;-1.0\r\n1000;0.5\r\n20000;2.5\r\n",
    ],
)
def test_makers_files_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "7000001.txt"
    path.write_text(text)
    curve = read_microphone_curve(path)
    assert list(curve.frequencies_hz) == [20, 1000, 20_000]
    # 0 dB at 1 kHz, where the calibrator is; held at the ends.
    np.testing.assert_allclose(curve.levels_at(np.array([0.0, 20, 1000, 20_000, 30_000])), [-1.5, -1.5, 0, 2, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "no response"),
        ("20 1\n10 2\n", "rising"),
        ("20 nan\n30 1\n", "not a number"),
        ("0 1\n30 1\n", "no response"),
    ],
)
def test_what_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "curve.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_microphone_curve(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.txt: No such file"):
        read_microphone_curve(tmp_path / "none.txt")
