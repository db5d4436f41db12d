"""The virtual board: ESPHome's own detection code, native API and OTA as a program on Linux, with TFLM reference
kernels.

Never "on-device": no microphone, no room, no ESP32-S3 kernels are in it.
"""

from __future__ import annotations

from firmware.virtual.host import HostSupport, prepare_host

__all__ = ["HostSupport", "prepare_host"]
