"""The tensor arena of a model: measured here, estimated for the device, and what a manifest should ask for."""

from __future__ import annotations

from wakeword.model.arena_esp32s3 import ArenaEstimate, esp32s3_estimate, estimate_arena
from wakeword.model.arena_host import HostArena, host_arena
from wakeword.model.arena_kernels import aligned

__all__ = ["ArenaEstimate", "HostArena", "esp32s3_estimate", "estimate_arena", "host_arena", "recommended_arena"]

MARGIN = 0.05
"""Share added to an estimate: it came within 1 % of three measured models, and other ESPHome releases pin other
kernels."""
MANIFEST_GRANULARITY = 256
"""Bytes to which a manifest's figure is rounded up, so that it does not claim a precision that it has not."""


def recommended_arena(estimate: int) -> int:
    """The `tensor_arena_size` of a manifest for an estimated arena, in bytes.

    Generous on purpose: the device shrinks its arena to what the model used after loading it once, while a size that
    is too small costs it another attempt at 1.5 and at 2 times the size, and fails on releases that do not try again.
    """
    return aligned(round(estimate * (1 + MARGIN)), MANIFEST_GRANULARITY)
