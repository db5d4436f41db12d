"""A real esptool, and firmware whose image it takes for a real one's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.build import RECORD_FILE, Firmware, FirmwareModel, _record, read_firmware
from firmware.credentials import SECRETS_FILE, new_api_key, write
from firmware.toolenv import ToolEnvironment
from tests.firmware.rom_loader.images import write_images
from wakeword.contract import ESPHOME_VERSION
from wakeword.model.flatbuffer import read_model

TARGET = "esp32-s3-devkitc-1"
BUILD_TIME = "2026-11-21 08:00:00 +0000"
SMALL, ONE_MEGABYTE = 150_000, 1_000_000

type MakeFirmware = Callable[..., Firmware]


@pytest.fixture
def quick_esptool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, esphome: ToolEnvironment) -> ToolEnvironment:
    """The real esptool, which gives up a silent board after three rounds instead of seven."""
    configuration = tmp_path / "esptool.cfg"
    configuration.write_text("[esptool]\nconnect_attempts = 3\n")
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(configuration))
    return esphome


@pytest.fixture
def make_firmware(tmp_path: Path, official_models: Path, esphome: ToolEnvironment) -> MakeFirmware:
    """`make_firmware(model="alexa", app_bytes=SMALL)`: a finished build's folder, its image around the real model's
    bytes, without the compiler.
    """

    def make(model: str = "alexa", app_bytes: int = SMALL, build_time: str = BUILD_TIME, **images: int) -> Firmware:
        folder = tmp_path / f"firmware-{model}-{app_bytes}"
        build = folder / ".esphome" / "build" / "mww-desk" / "build"
        content = (official_models / f"{model}.tflite").read_bytes()
        factory = write_images(build, esphome.folder / "bin" / "esptool", content, build_time, app_bytes, **images)
        elf = build / "mww-desk.elf"
        elf.touch()
        described = FirmwareModel(
            f"ww_{model}",
            model,
            official_models / f"{model}.json",
            _sha256(official_models, model),
            len(content),
            229,
            5,
            22_348,
        )
        ota = build / "firmware.ota.bin"
        made = Firmware(TARGET, "mww-desk", folder, ota, (described,), ESPHOME_VERSION, ota, factory, elf)
        (folder / RECORD_FILE).write_text(json.dumps(_record(made)))
        write(folder / SECRETS_FILE, {"api_key": new_api_key()})
        return read_firmware(folder)

    return make


def _sha256(models: Path, model: str) -> str:
    return read_model(models / f"{model}.tflite").sha256
