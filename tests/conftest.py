"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wakeword.errors import MwwError

if TYPE_CHECKING:
    from firmware.build import Firmware
    from harness.boards.virtual import VirtualBoard

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"


def pytest_configure() -> None:
    """A shell starts background jobs with Ctrl-C ignored, and so would all programs be that the tests start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The development corpus beside the checkout."""
    if not CORPUS.is_dir():
        pytest.skip(f"the development corpus is not at {CORPUS}; users do not have it")
    return CORPUS


@pytest.fixture(scope="session")
def official_models() -> Path:
    """Folder of the official v2 models and manifests that pymicro-wakeword ships."""
    import pymicro_wakeword

    return Path(pymicro_wakeword.__file__).parent / "models"


@pytest.fixture(scope="session")
def host_firmware(official_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    """The official alexa model in a program for this machine, compiled once for all tests."""
    from firmware.build import build

    try:
        return build("host", [official_models / "alexa.json"], tmp_path_factory.mktemp("firmware") / "alexa")
    except MwwError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no virtual board can be built here: {error}")


@pytest.fixture
def virtual_board(host_firmware: Firmware) -> VirtualBoard:
    """A virtual board with the alexa model, as fast as it goes; the test starts and stops it."""
    from harness.boards.inventory import VIRTUAL_BOARD
    from harness.boards.virtual import VirtualBoard

    return VirtualBoard(VIRTUAL_BOARD, host_firmware)
