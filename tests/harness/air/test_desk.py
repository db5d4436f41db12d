"""The tests of `tests/hardware` on a board of kind `serial`, as `docs/device-loop.md` has it: flashed over its serial
port, heard through the air.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from firmware.boards.board import ForeignFirmware, NoAnswer
from firmware.build import Firmware
from firmware.toolenv import ToolEnvironment
from harness.session.measure import measure
from harness.session.request import SessionRequest
from tests.desk import Desk, build_as_a_board, desk
from tests.spoken import Spoken
from wakeword.errors import ConfigError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.delenv("MWW_API_KEY", raising=False)


@pytest.fixture
def heard_board(air: object, host_firmware: Firmware, esphome: ToolEnvironment, tmp_path: Path) -> Iterator[Desk]:
    assert air is not None
    with desk(host_firmware, esphome, tmp_path) as stand_in:
        yield stand_in


@pytest.fixture
def deaf_board(air: object, host_firmware: Firmware, esphome: ToolEnvironment, tmp_path: Path) -> Iterator[Desk]:
    assert air is not None
    with desk(host_firmware, esphome, tmp_path, hears=False) as stand_in:
        yield stand_in


def suite(stand_in: Desk, *arguments: str) -> str:
    """Run the suite in a process of its own, on generated speech: in real time that is minutes, the corpus a quarter of
    an hour. What it printed.
    """
    options = ["--board", "desk", "--boards", stand_in.boards, "--firmware", stand_in.firmware]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "-m",
        "hardware",
        ROOT / "tests" / "hardware",
        *options,
        *arguments,
    ]
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=os.environ | {"MWW_TEST_CORPUS": "none"},
        capture_output=True,
        text=True,
        check=False,
        timeout=3000,
    )
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_a_blank_board_is_flashed_and_passes(heard_board: Desk) -> None:
    said = suite(heard_board, "--flash", "-k", "not simulation")
    assert "3 passed, 1 deselected" in said, said
    assert heard_board.chip.starts_app
    # By the first test; the others found the model on it.
    assert heard_board.chip.log.count("FLASH_DEFL_BEGIN") <= 2


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("air")
def test_the_whole_suite_passes(official_models: Path, esphome: ToolEnvironment, tmp_path: Path) -> None:
    with desk(build_as_a_board(official_models / "alexa.json", tmp_path), esphome, tmp_path) as stand_in:
        said = suite(stand_in, "--flash")
    assert "4 passed" in said, said
    assert "skipped" not in said


def request(stand_in: Desk, official_models: Path, spoken: Spoken, folder: Path) -> SessionRequest:
    return SessionRequest(
        board="desk",
        boards=stand_in.boards,
        model=official_models / "alexa.json",
        wake=(spoken.words[0],),
        output=folder / "session",
    )


def test_what_is_not_the_benchs_is_never_flashed_unasked(
    deaf_board: Desk, official_models: Path, spoken: Spoken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(request(deaf_board, official_models, spoken, tmp_path), firmware=deaf_board.firmware)
    command = f"mww-firmware flash --board desk --firmware {deaf_board.firmware}"
    with pytest.raises(NoAnswer, match=f"no connection .*{command}"):
        measure(asked)
    # The same program to another key is foreign firmware.
    deaf_board.program.start()
    monkeypatch.setenv("MWW_API_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=")
    with pytest.raises(ForeignFirmware, match=f"refuses the API key.*{command}"):
        measure(replace(asked, output=tmp_path / "another"))
    assert not deaf_board.chip.was_written_to
    with pytest.raises(ConfigError, match="--flash needs the firmware to write"):
        measure(replace(asked, firmware=None, flash=True))


def test_a_board_without_its_key_is_refused_before_recordings_are_read(
    deaf_board: Desk, official_models: Path, spoken: Spoken, tmp_path: Path
) -> None:
    asked = replace(request(deaf_board, official_models, spoken, tmp_path), wake=(tmp_path / "nothing",))
    with pytest.raises(ConfigError, match="its API key is not known; set MWW_API_KEY"):
        measure(asked)
