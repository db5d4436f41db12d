"""A real board's stand-in: a simulated ESP32-S3 on a serial port, and the virtual board behind its address as soon as
that starts an image.

It hears with a microphone of the virtual air. Nothing of it is known to the harness but what `boards.yaml` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench_audio.devices import find_device
from bench_audio.playback.capture import Microphone
from firmware import project
from firmware.build import RECORD_FILE, Firmware, _record, api_key, build
from firmware.credentials import SECRETS_FILE
from firmware.native_api import ask, make_target
from firmware.project import host_mac_address
from firmware.toolenv import ToolEnvironment
from firmware.virtual.program import VirtualProgram
from tests.firmware.rom_loader.chip import Chip
from tests.firmware.rom_loader.images import write_images
from tests.firmware.rom_loader.servers import on_socket
from tests.microphone_client import MicrophoneClient
from tests.virtual_audio import MICROPHONE, RATE_HZ, SPEAKER

APP_BYTES = 150_000
ASK_SECONDS = 30.0


class Board(Chip):
    """The chip; where its flash holds an app, starting it starts `program`."""

    program: VirtualProgram | None = None

    def boot(self) -> None:
        """Reset with IO0 high."""
        super().boot()
        if self.program is not None and self.starts_app:
            # The board's network is up some time after its serial port has spoken.
            threading.Thread(target=self.program.restart, name="the board starts").start()

    @property
    def starts_app(self) -> bool:
        """Whether there is something in the flash to start."""
        return self.flash[0] == 0xE9 and self.flash[0x10000] == 0xE9


@dataclass(frozen=True)
class Desk:
    """The stand-in; `firmware` is an image of what it will run, `boards` the inventory that names it `desk`."""

    chip: Board
    program: VirtualProgram
    firmware: Path
    boards: Path


@contextmanager
def desk(host: Firmware, esphome: ToolEnvironment, folder: Path, *, hears: bool = True) -> Iterator[Desk]:
    """A blank board that will run the program of `host` once it is flashed. Without `hears` it is deaf, and needs no
    virtual audio.
    """
    assert host.program is not None
    program = VirtualProgram(host.program)
    mac = host_mac_address(host.name)
    try:
        program.start()
        running = asyncio.run(
            ask(make_target("127.0.0.1", program.api_port, api_key(host.folder), "desk", mac), ASK_SECONDS)
        )
        program.stop()
        chip = Board(mac=mac)
        chip.program = program
        image = flash_image(host, esphome, running.built, folder / "firmware")
        with on_socket(chip) as port, _ear(program, api_key(host.folder)) if hears else contextlib.nullcontext():
            boards = folder / "boards.yaml"
            entry = {
                "name": "desk",
                "kind": "serial",
                "target": host.target,
                "mac": mac,
                "port": port,
                "address": "127.0.0.1",
                "api_port": program.api_port,
            }
            sound = {
                "speaker": SPEAKER,
                "reference_microphone": MICROPHONE,
                "speaker_rate": RATE_HZ,
                "microphone_rate": RATE_HZ,
            }
            boards.write_text(json.dumps({"boards": [entry | sound]}))
            yield Desk(chip, program, image, boards)
    finally:
        program.stop()
        program.remove()


def build_as_a_board(model: Path, folder: Path) -> Firmware:
    """A program for this machine that tells no place in its stream, as boards do not: the virtual board's is its own
    stream's, which nobody here began.
    """
    with pytest.MonkeyPatch.context() as patch:
        configs = folder / "configs"
        shutil.copytree(project.CONFIGS, configs)
        package = configs / "packages" / "bench.yaml"
        assert package.read_text().count("(${sample})") == 1
        package.write_text(package.read_text().replace("(${sample})", "(-1)"))
        patch.setattr(project, "CONFIGS", configs)
        return build("host", [model], folder / "program")


def flash_image(host: Firmware, esphome: ToolEnvironment, built: str, folder: Path) -> Path:
    """The folder of a finished build, as for an ESP32-S3: its image is what esptool takes for one, and holds the model
    and the time of the build.
    """
    (model,) = host.models
    content = model.manifest_path.with_suffix(".tflite").read_bytes()
    factory = write_images(folder / "build", esphome.folder / "bin" / "esptool", content, built, APP_BYTES)
    ota, elf = factory.with_name("firmware.ota.bin"), factory.with_name("firmware.elf")
    elf.touch()
    made = replace(host, folder=folder, program=ota, ota_image=ota, factory_image=factory, elf=elf)
    (folder / RECORD_FILE).write_text(json.dumps(_record(made)))
    shutil.copy(host.folder / SECRETS_FILE, folder / SECRETS_FILE)
    return folder


@contextmanager
def _ear(program: VirtualProgram, key: str) -> Iterator[None]:
    """What the microphone hears goes to the program, while it runs."""
    blocks: queue.Queue[NDArray[np.int16] | None] = queue.Queue()

    def feed() -> None:
        line: MicrophoneClient | None = None
        while (block := blocks.get()) is not None:
            try:
                if line is None:
                    line = MicrophoneClient(program.microphone_port, key)
                    line.start()
                line.play(block.astype("<i2").tobytes())
                with contextlib.suppress(BlockingIOError):
                    line.line.recv(1 << 16, socket.MSG_DONTWAIT)
            except OSError:  # it is off, or has just been started again
                if line is not None:
                    line.line.close()
                line = None
        if line is not None:
            line.line.close()

    microphone = Microphone(find_device(MICROPHONE, "input", RATE_HZ), stages=[])
    thread = threading.Thread(target=feed, name="the board's ear")
    thread.start()
    try:
        microphone.start()
        microphone.listen(blocks.put)
        yield
    finally:
        microphone.close()
        blocks.put(None)
        thread.join()
