"""What is done with boards, as jobs: firmware built and flashed, a model measured, a board that does not wake asked."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware.boards.entry import BoardEntry
from firmware.boards.registry import kind_of
from firmware.build import read_firmware
from firmware.toolenv import MARKER, default_tools_folder
from harness.cli import bench_app
from harness.session.plan import PLAN_FILE
from studio.jobs.desk import StudioJob
from studio.jobs.records import JobStep
from studio.live.models import found_models
from studio.workspace import FIRMWARE_FOLDER, RESULTS_FOLDER, Workspace
from wakeword.contract import ESPHOME_VERSION
from wakeword.device_model import load_model
from wakeword.errors import ConfigError
from wakeword.extras import install

BOARD = "board"
"""Kind of the jobs."""


@dataclass(frozen=True)
class BoardAction:
    """Something that can be done with a board, by one command."""

    name: str
    title: str
    help: str
    hears: bool = False
    """Whether it needs recordings."""


_BUILD = BoardAction("build", "Build", "Compile a firmware with this model. The first build installs ESPHome.")
_FLASH = BoardAction("flash", "Flash", "Bring the firmware to the board, and prove that it is there.")
_MEASURE = BoardAction(
    "measure", "Measure", "Let the board hear recordings, beside the simulation of the same audio.", hears=True
)
_DIAGNOSE = BoardAction(
    "diagnose",
    "Diagnose",
    "Ask a board that does not wake, and say why. Its microphone is listened to for some seconds, and nothing is kept"
    " but levels: begin it when all who can be heard there agree.",
)


def actions(board: BoardEntry) -> tuple[BoardAction, ...]:
    """What can be done with a board. The virtual one is a program of this machine: nothing is flashed."""
    flashed = () if kind_of(board).runs_here else (_FLASH,)
    commands = {command.name or getattr(command.callback, "__name__", "") for command in bench_app.registered_commands}
    return (_BUILD, *flashed, _MEASURE, *((_DIAGNOSE,) if "diagnose" in commands else ()))


def lacks() -> list[str]:
    """What this machine lacks for boards, and what installs it, a line each."""
    lines = []
    if importlib.util.find_spec("aioesphomeapi") is None:
        lines.append(f"To talk to boards: {install('bench')}")
    if not (default_tools_folder() / f"esphome-{ESPHOME_VERSION}" / MARKER).is_file():
        lines.append(
            f"ESPHome {ESPHOME_VERSION} is not here yet: the first build fetches it with pip into an environment of its"
            " own."
        )
    return lines


def begin_action(
    workspace: Workspace, board: BoardEntry, name: str, form: Mapping[str, str]
) -> tuple[StudioJob | None, dict[str, str]]:
    """Begin what a form asks for, or say what is wrong at which field. One thing at a time is done with a board."""
    action = next((one for one in actions(board) if one.name == name), None)
    if action is None:
        return None, {"": f"nothing is called {name!r} that can be done with {board.name}"}
    faults = _faults(workspace, action, form)
    if faults:
        return None, faults
    # A folder that is free is free until the job has it.
    with workspace.desk.undisturbed():
        command, folder = _command(workspace, board, action, form)
        step = JobStep(title=action.title, command=tuple(command))
        if action is _MEASURE:
            step = step.model_copy(update={"resumed": ("--resume",), "begun": f"{folder}/{PLAN_FILE}"})
        job = workspace.desk.place(f"{action.title} {board.name}", BOARD, [step], lane=_lane(board), folder=folder)
    return job, {}


def lines_of(workspace: Workspace, board: BoardEntry, form: Mapping[str, str]) -> list[str]:
    """The command of each action for what a form holds, for a shell."""
    return [shlex.join(_command(workspace, board, action, form)[0]) for action in actions(board)]


def jobs_of(workspace: Workspace, board: BoardEntry) -> list[StudioJob]:
    """What was done with a board, the newest first."""
    return [job for job in workspace.desk.jobs() if job.order.lane == _lane(board)]


def firmware_of(board: BoardEntry) -> Path:
    """The folder of the firmware for boards of one target, from the workspace."""
    return FIRMWARE_FOLDER / board.target


def page_of(workspace: Workspace, job: StudioJob) -> str | None:
    """The page that a job of a board has written, from the workspace."""
    folder = workspace.root / job.order.folder
    pages = [folder / name for name in ("report.html", "diagnosis.html")] if job.order.folder else []
    return next((workspace.relative(page) for page in pages if page.is_file()), None)


def _lane(board: BoardEntry) -> str:
    return f"board {board.name}"


def _faults(workspace: Workspace, action: BoardAction, form: Mapping[str, str]) -> dict[str, str]:
    faults = {}
    if action.name != "flash" and form.get("model", "") not in {one.path for one in found_models(workspace)}:
        faults["model"] = "choose a model of the workspace"
    if not action.hears:
        return faults
    heard = {name: _paths(form, name) for name in ("wake", "none")}
    if not any(heard.values()):
        faults["wake"] = "give recordings with the wake word here, or without it below"
    for name, paths in heard.items():
        if missing := [path for path in paths if not (workspace.root / path).exists()]:
            faults[name] = f"{missing[0]}: there is no such file or folder"
    return faults


def _command(
    workspace: Workspace, board: BoardEntry, action: BoardAction, form: Mapping[str, str]
) -> tuple[list[str], str]:
    """A command, and the folder that it fills."""
    firmware, model = firmware_of(board), form.get("model", "")
    if action is _BUILD:
        return ["mww-firmware", "build", "--target", board.target, "--model", model, "--output", str(firmware)], str(
            firmware
        )
    if action is _FLASH:
        return ["mww-firmware", "flash", "--board", board.name, "--firmware", str(firmware)], ""
    output = _new_folder(workspace, f"{action.name}_{board.name}_{Path(model).stem}")
    command = ["mww-bench", action.name, "--board", board.name, "--model", model]
    if _will_hold(workspace, firmware, model):
        command += ["--firmware", str(firmware)]
    if action is _MEASURE:
        for option in ("wake", "none"):
            command += [part for path in _paths(form, option) for part in (f"--{option}", path)]
        command.append("--report")
    else:
        # The form says that the room is listened to.
        command.append("--yes")
        if data := _paths(form, "wake"):
            command += ["--data", data[0]]
    return [*command, "--output", str(output)], str(output)


def _will_hold(workspace: Workspace, firmware: Path, model: str) -> bool:
    """Whether the firmware of a folder will be one with this model when a job that is placed now begins: the last build
    that is at work or waits decides, else the one that is there.
    """
    builds = (
        job.order.steps[0].command
        for job in workspace.desk.jobs()
        if job.alive and (job.order.kind, job.order.folder) == (BOARD, str(firmware))
    )
    build = next(builds, None)
    if build is not None:
        return build[build.index("--model") + 1] == model
    try:
        held = {one.sha256 for one in read_firmware(workspace.root / firmware).models}
        return load_model(workspace.root / model, None, None).model.sha256 in held
    except ConfigError:
        return False


def _paths(form: Mapping[str, str], name: str) -> list[str]:
    return [line.strip() for line in form.get(name, "").splitlines() if line.strip()]


def _new_folder(workspace: Workspace, name: str) -> Path:
    taken = {job.order.folder for job in workspace.desk.jobs()}
    for number in range(1, 10_000):
        folder = RESULTS_FOLDER / (f"{name}_{number}" if number > 1 else name)
        if str(folder) not in taken and not (workspace.root / folder).exists():
            return folder
    raise AssertionError("there is always another folder")
