"""A virtual board as the collector sees it: an address, a key, and a power switch."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.virtual.program import VirtualProgram


@dataclass
class EsphomeBoard:
    """ESPHome's own API server on loopback."""

    address: str
    port: int
    key: str
    name: str
    mac: str
    program: VirtualProgram | None

    def start(self) -> None:
        """Power on; returns when it listens."""
        assert self.program is not None
        self.program.start()

    def stop(self) -> None:
        """Power off."""
        assert self.program is not None
        self.program.kill()
