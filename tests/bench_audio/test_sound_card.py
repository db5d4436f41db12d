"""The real command through a real audio system, whose null sink is loudspeaker, air and microphone: PulseAudio, no
sound card.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench_audio.calibration.calibration_file import read_calibration
from tests.virtual_audio import MICROPHONE, RATE_HZ, SPEAKER, VirtualAudio, missing, virtual_audio

COMMAND = [
    sys.executable,
    "-c",
    "from harness.cli import bench_app; bench_app()",
    "calibrate",
    "--yes",
    "--sensitivity",
    "94",
    "--report",
    "none",
    "--speaker-rate",
    str(RATE_HZ),
    "--microphone-rate",
    str(RATE_HZ),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def audio() -> Iterator[VirtualAudio]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with virtual_audio() as running:
        yield running


def environment(audio: VirtualAudio) -> dict[str, str]:
    return {**os.environ, **audio.variables, "PYTHONPATH": str(ROOT)}


def run(audio: VirtualAudio, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(audio), capture_output=True, text=True, check=False, timeout=250
    )


def test_a_wire_is_flat_and_its_level_is_known(audio: VirtualAudio, tmp_path: Path) -> None:
    output = tmp_path / "calibration.json"
    done = run(
        audio, "--speaker", SPEAKER, "--microphone", MICROPHONE, "--output", str(output), "--steps", "sweep", "--no-eq"
    )
    if done.returncode == 3 and "reported" in done.stderr:
        pytest.skip(f"this machine is too busy for sound in real time: {done.stderr.strip()}")
    # Without a terminal, long work says a line of progress now and then.
    told = [line for line in done.stderr.splitlines() if not line.startswith("calibrating")]
    assert (done.returncode, told) == (0, [])
    calibration = read_calibration(output)
    assert calibration.source == "measured"
    assert (calibration.speaker.sample_rate, calibration.microphone.sample_rate) == (RATE_HZ, RATE_HZ)
    assert (calibration.speaker.name, calibration.microphone.name) == (SPEAKER, MICROPHONE)
    assert calibration.response is not None
    assert calibration.distortion is not None
    # A null sink changes no sample; 16 bits are all the noise there is.
    assert max(calibration.response.before.highest_db, -calibration.response.before.lowest_db) < 0.2
    # 94 dB SPL stand for full scale here, and the sweep has -20 dBFS.
    assert calibration.response.sweep_spl == pytest.approx(94 - 20, abs=0.7)  # C-weighted from 50 Hz on
    assert max(calibration.distortion.percent) < 0.1


def test_devices_that_are_not_there_are_named(audio: VirtualAudio, tmp_path: Path) -> None:
    done = run(
        audio, "--speaker", "nowhere", "--microphone", MICROPHONE, "--output", str(tmp_path / "calibration.json")
    )
    assert done.returncode == 2
    assert f"no loudspeaker 'nowhere' on this machine; there are: '{SPEAKER}'" in done.stderr or SPEAKER in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_interrupt_leaves_nothing_half_written(audio: VirtualAudio, tmp_path: Path) -> None:
    arguments = [
        "--speaker",
        SPEAKER,
        "--microphone",
        MICROPHONE,
        "--output",
        str(tmp_path / "calibration.json"),
        "--steps",
        "sweep",
    ]
    with subprocess.Popen(
        [*COMMAND, *arguments], env=environment(audio), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        until = time.monotonic() + 60
        while not audio.control("list", "short", "sink-inputs").strip():
            assert running.poll() is None
            assert time.monotonic() < until
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=60)
    assert running.returncode == 130
    assert error == "error: interrupted; nothing half-written was kept under a final name\n"
    assert list(tmp_path.iterdir()) == []
