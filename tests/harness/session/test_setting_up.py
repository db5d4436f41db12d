"""The three commands of `docs/setting-up.md`, as they are printed, in a room of virtual air with a loudspeaker and a
microphone of those names.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bench_audio.devices import find_device, look_again
from tests.spoken import Spoken
from tests.virtual_audio import RATE_HZ, missing, virtual_audio

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "setting-up.md").read_text(encoding="utf-8")
CORPUS = """
name: office
full_scale_spl: 100
sources:
  - {label: alexa, kind: wake, word: alexa, path: words, licence: own}
conditions:
  - {name: quiet, voice_spl: 64}
"""


def commands() -> list[list[str]]:
    """The commands below "Three commands"."""
    block = re.search(r"## Three commands\n\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    return [shlex.split(line) for line in block.group(1).splitlines()]


@pytest.fixture(scope="module")
def office() -> Iterator[dict[str, str]]:
    """The page's loudspeaker and microphone; the variables of a process that finds them."""
    absent = missing()
    if absent is not None:
        pytest.skip(f"no virtual audio here: {absent}")
    before = dict(os.environ)
    with virtual_audio("KH 80", "UMIK") as audio:
        os.environ.update(audio.variables)
        look_again()
        yield dict(os.environ)
        os.environ.clear()
        os.environ.update(before)
    look_again()


@pytest.fixture
def folder(official_models: Path, generated_speech: Spoken, calibration: Path, tmp_path: Path) -> Path:
    """Where the reader stands: the page's inventory, a model, a corpus, the calibration."""
    inventory = re.search(r"```yaml\n(boards:.*?)```", PAGE, re.DOTALL)
    assert inventory is not None
    rates = f"    speaker_rate: {RATE_HZ}\n    microphone_rate: {RATE_HZ}\n"
    (tmp_path / "boards.yaml").write_text(inventory.group(1) + rates)
    for ending in (".json", ".tflite"):
        (tmp_path / f"okay_house{ending}").write_bytes(
            (official_models / f"alexa{ending}").read_bytes().replace(b"alexa.tflite", b"okay_house.tflite")
        )
    (tmp_path / "words").mkdir()
    for path in generated_speech.words[:2]:
        (tmp_path / "words" / path.name).symlink_to(path)
    (tmp_path / "office.yaml").write_text(CORPUS)
    shutil.copy(calibration, tmp_path / calibration.name)
    return tmp_path


def run(command: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / command[0]
    own = variables | {"MWW_CACHE_DIR": str(folder / "cache"), "MWW_LOCK_DIR": str(folder / "locks"), "COLUMNS": "160"}
    return subprocess.run(
        [program, *command[1:]], cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=250
    )


@pytest.fixture(scope="module")
def calibration(office: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first command writes, of a computed room, then made one of these devices: hands at a calibrator are no
    test's.
    """
    folder = tmp_path_factory.mktemp("calibration")
    command = commands()[0]
    assert command[:2] == ["mww-bench", "calibrate"]
    gains = [part for option, value in pairwise(command) if option == "--gain" for part in (option, value)]
    assert gains
    done = run(
        ["mww-bench", "calibrate", "--simulate", *gains, "--report", "none", "--no-eq", "--output", command[-1]],
        folder,
        office,
    )
    assert done.returncode == 0, done.stderr
    path = folder / command[-1]
    content = json.loads(path.read_text())
    devices = {"speaker": find_device("KH 80", "output", RATE_HZ), "microphone": find_device("UMIK", "input", RATE_HZ)}
    facts = {
        word: {"name": device.name, "host_api": device.host_api, "sample_rate": device.rate}
        for word, device in devices.items()
    }
    path.write_text(json.dumps(content | facts | {"source": "measured"}))
    return path


def test_the_plan_needs_no_gain_stated_again(folder: Path, office: dict[str, str]) -> None:
    _, plan, measure = commands()
    done = run(plan, folder, office)
    assert done.returncode == 0, done.stderr
    assert "gains are taken to stand as they were calibrated: amplifier=-12dB" in done.stderr
    assert "nothing was played" in done.stdout
    refused = run([*plan, "--gain", "amplifier=-6dB"], folder, office)
    assert refused.returncode == 2
    assert "gain 'amplifier' was -12dB and now is -6dB; set it back or calibrate anew" in refused.stderr
    # The third command gets as far as there is a board: no firmware was built here, so nobody knows its key.
    done = run(measure, folder, office)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: board 'desk': its API key is not known; set MWW_API_KEY")


def test_a_cycle_is_refused_before_it_trains(folder: Path, office: dict[str, str]) -> None:
    cycle = ["python", str(ROOT / "scripts" / "cycle.py"), "--board", "desk", "--output", "out"]
    for options, complaint in (
        (["--calibration", "none.json"], "none.json"),
        (
            ["--calibration", "calibration.json", "--gain", "amplifier=-6dB"],
            "gain 'amplifier' was -12dB and now is -6dB",
        ),
        (["--calibration", "calibration.json"], "api_key, wifi_ssid, wifi_password missing"),
    ):
        done = run([*cycle, *options], folder, office)
        assert done.returncode == 2, done.stderr
        assert complaint in done.stderr
        assert done.stdout == ""
        assert not (folder / "out").exists()
