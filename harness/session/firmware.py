"""The firmware that a board is to run in a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.boards.entry import HOST_TARGET, BoardEntry
from firmware.boards.registry import kind_of
from wakeword.device_model import DeviceModel
from wakeword.errors import ConfigError
from wakeword.files import cache_folder

if TYPE_CHECKING:
    from firmware.build import Firmware


def find_firmware(
    entry: BoardEntry,
    candidate: DeviceModel,
    folder: Path | None,
    *,
    digital: bool = False,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Firmware | None:
    """The firmware that a board is to run.

    Args:
        entry: The board's.
        candidate: The model under test.
        folder: Of a finished build; None: built for a board that is a program on this machine, else none.
        digital: The board is to be played samples.
        report: Takes a line for each stage of a build.
        progress: Takes the compiler's steps: done, all.

    Returns the firmware; None where a board must run the model already.

    Raises `ConfigError` for a firmware without this model, with another window or microphone; and what building
    raises.
    """
    from firmware.build import build, read_firmware

    manifest = candidate.manifest_path
    if folder is None:
        return (
            build(HOST_TARGET, [manifest], _firmware_folder(entry), report=report, progress=progress)
            if kind_of(entry).runs_here
            else None
        )
    firmware = read_firmware(folder)
    own = next((model for model in firmware.models if model.sha256 == candidate.model.sha256), None)
    if own is None:
        held = ", ".join(f"{model.wake_word!r} {model.sha256[:12]}" for model in firmware.models)
        raise ConfigError(
            f"{folder}: holds {held}, not the model {candidate.model.sha256[:12]}; build it with mww-firmware build"
            f" --model {manifest}"
        )
    if firmware.digital != digital and firmware.target != HOST_TARGET:
        built, way = ("with", "digital") if firmware.digital else ("without", "air")
        raise ConfigError(
            f"{folder}: was built {built} --digital, which hears by --source {way} alone; give that, or build it anew"
        )
    if own.window != candidate.point.window:
        raise ConfigError(
            f"{folder}: has a sliding window of {own.window}, the manifest says {candidate.point.window}; build it"
            f" again with {manifest}"
        )
    return firmware


def _firmware_folder(entry: BoardEntry) -> Path:
    """One folder a board, which its lock protects: a build of the next model compiles only what changed."""
    return cache_folder("firmware") / entry.name
