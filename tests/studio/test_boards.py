"""Boards: the inventory, what is refused at its field, the commands, and the virtual board measured from the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware.boards.entry import VIRTUAL_BOARD
from firmware.boards.inventory import find_board
from firmware.build import RECORD_FILE, Firmware, FirmwareModel, _record
from firmware.toolenv import ToolEnvironment
from harness.session.plan import PLAN_FILE
from studio.bench import actions, begin_action, lacks
from studio.jobs.records import JobPhase
from studio.workspace import Workspace
from tests.spoken import Spoken
from tests.studio.axe import violations
from tests.studio.servers import DEAF, StudioServer, end_jobs
from wakeword.contract import ESPHOME_VERSION
from wakeword.model.flatbuffer import read_model

if TYPE_CHECKING:
    from playwright.sync_api import Page

INVENTORY = """boards:
  - name: desk
    kind: serial
    target: esp32-s3-box-3
    mac: "A0:85:E3:12:34:56"
    address: 192.0.2.1
    room: office
    speaker: KH 80
"""
BUILD_MS = 900_000


def with_model(workspace: Workspace, official_models: Path) -> None:
    workspace.models.mkdir(parents=True, exist_ok=True)
    for suffix in (".json", ".tflite"):
        shutil.copy(official_models / f"alexa{suffix}", workspace.models)


@pytest.fixture
def workspace(tmp_path: Path, official_models: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = Workspace(tmp_path)
    made.own.mkdir()
    with_model(made, official_models)
    monkeypatch.chdir(tmp_path)
    return made


def test_each_action_is_a_command_and_a_board_does_one_at_a_time(workspace: Workspace) -> None:
    (workspace.root / "boards.yaml").write_text(INVENTORY)
    desk = find_board("desk", workspace.root / "boards.yaml")
    assert [one.name for one in actions(VIRTUAL_BOARD)][:2] == ["build", "measure"]
    assert [one.name for one in actions(desk)][:3] == ["build", "flash", "measure"]
    (workspace.root / "evening.txt").touch()
    form = {"model": "models/alexa.json", "none": "evening.txt"}
    try:
        workspace.desk.place("Busy", "test", [DEAF], lane="board desk")
        jobs = [begin_action(workspace, desk, name, form)[0] for name in ("build", "flash", "measure", "measure")]
        commands = [job.order.steps[0].line for job in jobs if job is not None]
        assert commands == [
            "mww-firmware build --target esp32-s3-box-3 --model models/alexa.json --output firmware/esp32-s3-box-3",
            "mww-firmware flash --board desk --firmware firmware/esp32-s3-box-3",
            (
                "mww-bench measure --board desk --model models/alexa.json --firmware firmware/esp32-s3-box-3"
                " --none evening.txt --report --output results/measure_desk_alexa"
            ),
            (
                "mww-bench measure --board desk --model models/alexa.json --firmware firmware/esp32-s3-box-3"
                " --none evening.txt --report --output results/measure_desk_alexa_2"
            ),
        ]
        assert {job.order.lane for job in jobs if job is not None} == {"board desk"}
        measured = jobs[-1]
        assert measured is not None
        step = measured.order.steps[0]
        (workspace.root / "results" / "measure_desk_alexa_2").mkdir(parents=True)
        assert step.command_in(workspace.root) == step.command
        (workspace.root / "results" / "measure_desk_alexa_2" / PLAN_FILE).touch()
        assert step.command_in(workspace.root) == (*step.command, "--resume"), "a session that was begun goes on"
    finally:
        end_jobs(workspace, at_once=True)


def built(workspace: Workspace, name: str) -> None:
    """What a build of a model leaves."""
    folder = workspace.firmware / "esp32-s3-box-3"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = workspace.models / f"{name}.json"
    model = read_model(manifest.with_suffix(".tflite"))
    held = FirmwareModel(f"ww_{name}", name, manifest, model.sha256, 1, 229, 5, 22_348)
    program = folder / "program.bin"
    program.touch()
    made = Firmware("esp32-s3-box-3", "mww-desk", folder, program, (held,), ESPHOME_VERSION, program, program, program)
    (folder / RECORD_FILE).write_text(json.dumps(_record(made)))


def test_a_board_is_measured_with_the_firmware_that_will_have_the_model(
    workspace: Workspace, official_models: Path
) -> None:
    (workspace.root / "boards.yaml").write_text(INVENTORY)
    desk = find_board("desk", workspace.root / "boards.yaml")
    for suffix in (".json", ".tflite"):
        shutil.copy(official_models / f"okay_nabu{suffix}", workspace.models)
    (workspace.root / "evening.txt").touch()

    def begun(action: str, model: str) -> bool:
        job, faults = begin_action(workspace, desk, action, {"model": f"models/{model}.json", "none": "evening.txt"})
        assert job is not None, faults
        return "--firmware" in job.order.steps[0].command

    try:
        workspace.desk.place("Busy", "test", [DEAF], lane="board desk")
        assert not begun("measure", "alexa"), "none was built"
        built(workspace, "okay_nabu")
        assert not begun("measure", "alexa"), "another model's"
        assert begun("measure", "okay_nabu")
        begun("build", "alexa")
        assert begun("measure", "alexa"), "it will be built before"
        assert not begun("measure", "okay_nabu"), "it will be another's"
    finally:
        end_jobs(workspace, at_once=True)


def test_what_is_wrong_is_told_at_its_field(workspace: Workspace) -> None:
    def faults(name: str, **form: str) -> dict[str, str]:
        return begin_action(workspace, VIRTUAL_BOARD, name, form)[1]

    assert faults("build", model="models/none.json") == {"model": "choose a model of the workspace"}
    assert set(faults("measure")) == {"model", "wake"}
    missing = faults("measure", model="models/alexa.json", wake="nowhere", none="also-nowhere")
    assert missing == {
        one: f"{path}: there is no such file or folder" for one, path in (("wake", "nowhere"), ("none", "also-nowhere"))
    }
    assert "explode" in faults("explode")[""]
    assert not workspace.desk.jobs()


def test_a_machine_without_esphome_is_told_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWW_TOOLS_DIR", str(tmp_path))
    (line,) = lacks()
    assert line.startswith("ESPHome 20")
    assert "first build fetches it" in line


def test_the_inventory_is_shown_and_its_faults(visit: Callable[..., Page], studio: StudioServer) -> None:
    inventory = studio.workspace.root / "boards.yaml"
    inventory.write_text(INVENTORY)
    page = visit("/boards/", width=420)
    assert page.get_by_role("heading", level=2).all_inner_texts() == ["virtual", "desk"]
    assert violations(page) == []
    page.get_by_role("link", name="desk").click()
    page.get_by_text("secrets.yaml in the workspace").wait_for()
    page.get_by_role("button", name="Measure").click()
    page.locator("#model-error").get_by_text("choose a model of the workspace").wait_for()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    inventory.write_text("boards: 7\n")
    page.goto(f"{studio.origin}/boards/")
    page.get_by_text("an inventory is one key 'boards'").wait_for()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_virtual_board_is_measured_from_the_page(
    visit: Callable[..., Page],
    studio: StudioServer,
    official_models: Path,
    generated_speech: Spoken,
    esphome: ToolEnvironment,
) -> None:
    assert esphome.version
    with_model(studio.workspace, official_models)
    words = studio.workspace.root / "datasets" / "alexa" / "positive"
    words.mkdir(parents=True)
    for number, word in enumerate(generated_speech.words[:3]):
        shutil.copy(word, words / f"{number}.wav")
    page = visit("/boards/virtual/")
    assert page.get_by_label("Recordings of the wake word").input_value() == "datasets/alexa/positive"
    page.get_by_role("button", name="Measure").click()
    page.get_by_text("Done", exact=True).wait_for(timeout=BUILD_MS)
    page.goto(f"{studio.origin}/boards/virtual/")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="report").click()
    opened.value.get_by_text("virtual board").first.wait_for()
    (job,) = studio.workspace.desk.jobs()
    assert job.phase is JobPhase.DONE
