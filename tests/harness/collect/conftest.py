"""A running board for tests of the collector."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firmware.build import Firmware, api_key
from firmware.project import host_mac_address
from firmware.virtual.program import VirtualProgram
from tests.harness.collect.esphome_board import EsphomeBoard


@pytest.fixture(scope="session")
def esphome_board(host_firmware: Firmware) -> Iterator[EsphomeBoard]:
    """A running virtual board; a test that stops it starts it again."""
    assert host_firmware.program is not None
    program = VirtualProgram(host_firmware.program)
    program.start()
    try:
        yield EsphomeBoard(
            "127.0.0.1",
            program.api_port,
            api_key(host_firmware.folder),
            host_firmware.name,
            host_mac_address(host_firmware.name),
            program,
        )
    finally:
        program.remove()
