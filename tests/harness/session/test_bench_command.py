"""`mww-bench` as a user runs it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from firmware.boards.entry import BoardEntry
from firmware.boards.lock import hold_board
from firmware.build import Firmware
from firmware.credentials import api_key
from harness.results.schema import IntervalRecord, Result, read_result
from harness.session.journal import RAW_FILE
from harness.session.measure import RequiredRates, measure
from harness.session.request import SessionRequest
from harness.session.session_result import make_session_result
from harness.session.table import session_table
from tests.commands import Run
from tests.harness.session.conftest import Plan
from tests.harness.session.fakes import FakeBoard
from tests.harness.session.test_runner import WORDS, play
from tests.spoken import Spoken, listed
from wakeword.device_model import DeviceModel
from wakeword.errors import ConfigError, InfrastructureError, MeasurementFailure


@pytest.fixture
def result(plan: Plan, candidate: DeviceModel, tmp_path: Path) -> Result:
    """Of a session in which nothing went wrong, with a board inside the test."""
    made = plan()
    play(made, FakeBoard(candidate), tmp_path)
    return make_session_result(made, tmp_path, candidate)


def test_help_imports_nothing_heavy() -> None:
    heavy = "numpy", "scipy", "aioesphomeapi", "pydantic"
    code = f"import sys, harness.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_the_exit_codes(run: Run) -> None:
    done = run("mww-bench", "measure", "--help")
    assert done.returncode == 0
    assert "Exit code 0: measured." in done.stdout


def test_boards_lists_the_inventory_and_who_holds_what(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = tmp_path / "station.yaml"
    inventory.write_text(
        "boards: [{name: desk, kind: serial, mac: 'A0:85:E3:12:34:56', room: office}, {name: shelf, kind: serial,"
        " usb_serial: F41, room: office}]"
    )
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))
    with hold_board(BoardEntry(name="desk", kind="serial", mac="A0:85:E3:12:34:56", room="office")):
        done = run("mww-bench", "boards", "--boards", inventory)
    assert done.returncode == 0, done.stderr
    rows = {
        name: line for line in done.stdout.splitlines() if line.startswith("│") and (name := line.split("│")[1].strip())
    }
    assert list(rows) == ["virtual", "desk", "shelf"]
    assert "pid " in rows["desk"]
    assert "room: pid " in rows["shelf"]
    assert "pid " not in rows["virtual"]


def test_a_real_board_is_refused_in_clear_words(run: Run, material: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "station.yaml"
    inventory.write_text("boards: [{name: desk, kind: serial, mac: 'A0:85:E3:12:34:56'}]")
    asked = (
        "--board",
        "desk",
        "--boards",
        inventory,
        "--model",
        material / "loud.json",
        "--wake",
        material / "words",
        "--output",
        tmp_path / "session",
    )
    done = run("mww-bench", "measure", *asked)
    assert done.returncode == 2
    assert "loudspeaker" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_the_client_it_says_what_to_install(material: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InfrastructureError, match=r'pip install "\.\[bench\]"'):
        measure(SessionRequest(board="virtual", model=material / "loud.json", wake=(material / "words",)))


def test_a_session_that_another_one_began_meanwhile_is_not_overwritten(
    plan: Plan, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setattr("harness.session.measure.find_firmware", lambda *_, **__: plan(seed=7))
    with pytest.raises(ConfigError, match="already holds a session"):
        measure(
            SessionRequest(board="virtual", model=material / "loud.json", wake=(material / "words",), output=tmp_path)
        )
    assert json.loads((tmp_path / "session.json").read_text())["settings"]["seed"] == 7


def test_the_table_shows_both_sides(result: Result) -> None:
    console = Console(width=120, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(session_table(result))
    rows = {
        cells[0].strip(): [cell.strip() for cell in cells[1:3]]
        for line in captured.get().splitlines()
        if len(cells := line.strip("│").split("│")) == 3
    }
    assert rows["recall"] == [f"{WORDS}/{WORDS} = 100.0\N{NO-BREAK SPACE}%"] * 2
    assert rows["detections"][0] == rows["detections"][1]
    assert rows["only on this side"] == ["0", "0"]
    assert rows["on the same 10\N{NO-BREAK SPACE}ms slice"][0] == "{0} of {0} pairs".format(rows["detections"][0])


def test_limits_are_met_missed_or_cannot_be_known(result: Result) -> None:
    accepts = result.scores.false_accepts_per_hour
    assert accepts is not None
    assert accepts.rate is not None
    RequiredRates().check(result)
    RequiredRates(min_recall=1.0, max_fah=accepts.rate).check(result)
    with pytest.raises(MeasurementFailure, match="above --max-fah"):
        RequiredRates(max_fah=accepts.rate / 2).check(result)
    low = _with(result, recall=IntervalRecord(count=1, of=4, rate=0.25, low=0.0, high=0.8, method=""))
    with pytest.raises(MeasurementFailure, match=r"recall 0.2500 is below --min-recall 0.9"):
        RequiredRates(min_recall=0.9).check(low)
    nothing = IntervalRecord(count=0, of=0, rate=None, low=None, high=None, method="")
    with pytest.raises(InfrastructureError, match="no utterance was measured"):
        RequiredRates(min_recall=0.9).check(_with(result, recall=nothing))
    with pytest.raises(InfrastructureError, match="everything that was played is void"):
        RequiredRates().check(_with(result, recall=nothing, false_accepts_per_hour=nothing))


def _with(result: Result, **scores: object) -> Result:
    return result.model_copy(update={"scores": result.scores.model_copy(update=scores)})


def test_measure_shows_writes_reports_and_resumes_to_nothing(
    run: Run,
    host_firmware: Firmware,
    official_models: Path,
    spoken: Spoken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))
    clips = spoken.words[:12]
    folder = tmp_path / "session"
    asked = [
        "--board",
        "virtual",
        "--model",
        official_models / "alexa.json",
        "--firmware",
        host_firmware.folder,
        "--output",
        folder,
    ]
    asked += [
        "--wake",
        listed(tmp_path / "words.txt", clips),
        "--none",
        listed(tmp_path / "speech.txt", spoken.speech[:3]),
        "--cutoff",
        0.6,
        "--seed",
        3,
    ]
    done = run("mww-bench", "measure", *asked, "--report", "--min-recall", 0.1)
    assert done.returncode == 0, done.stderr
    measured = read_result(folder / "result.json")
    assert measured.seed == 3
    assert measured.model.cutoff_uint8 == 153
    assert measured.arena.probed is not None
    assert measured.session is not None
    assert measured.session.model_sha256_on_board == measured.model.tflite_sha256
    assert [run.detections for run in measured.runs] == [run.detections for run in measured.simulation]
    assert [run.probabilities for run in measured.runs] == [run.probabilities for run in measured.simulation]
    assert (folder / "report.html").is_file()
    assert str(folder / "result.json") in done.stdout
    key = api_key(host_firmware.folder)
    assert not [path for path in folder.iterdir() if key.encode() in path.read_bytes()]

    raw = (folder / RAW_FILE).read_bytes()
    (folder / "result.json").unlink()
    again = run("mww-bench", "measure", *asked, "--resume", "--min-recall", 1.0, "--max-fah", 0)
    assert (folder / RAW_FILE).read_bytes() == raw
    assert read_result(folder / "result.json").scores == measured.scores
    assert again.returncode in (0, 1)
    changed = run("mww-bench", "measure", *asked, "--resume", "--seed", 4)
    assert changed.returncode == 2
    assert "changed since the session began: seed" in changed.stderr
    plan = json.loads((folder / "session.json").read_text())
    assert plan["known_positive"]["recording"]["path"] in map(str, clips)
