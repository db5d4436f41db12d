"""The device contract: the constants of ESPHome's `micro_wake_word` and its one integer quantiser.

Read from ESPHome's sources (`esphome/components/micro_wake_word`). Nothing here is a choice of ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ESPHOME_VERSION = "2026.10.0"
"""The ESPHome whose rules stand here, and which builds the bench's firmware."""

SAMPLE_RATE_HZ = 16_000
WINDOW_MS = 30
STEP_MS = 10
"""Of models of the second format, for which the bench trains and measures boards. A manifest may state another one,
which the simulated board runs."""
WINDOW_SAMPLES = SAMPLE_RATE_HZ * WINDOW_MS // 1000
STEP_SAMPLES = SAMPLE_RATE_HZ * STEP_MS // 1000
FEATURE_CHANNELS = 40

INPUT_SCALE = 26 / 255
"""Scale of a v2 model's int8 input; the quantiser below does not read it, the trainer must match it."""
INPUT_ZERO_POINT = -128

FEATURE_MAX = 1420
"""The frontend's log of a 32-bit value, times 2**6: 64 * ln(2**32) is 1419.6 (`log_scale.c` of TFLM's microfrontend,
with the device's shift of 6)."""
FLOAT_FEATURE_SCALE = 0.0390625
"""What pymicro-features multiplies the frontend's uint16 values by (10 / 256), exactly."""

HOLD_OFF_SLICES = 100
"""Slices with a probability below the cutoff that must pass after a detection (`MIN_SLICES_BEFORE_DETECTION`)."""
PROBABILITY_MAX = 255
"""A uint8 output of 255 is probability 1: ESPHome scales the cutoff by 255, not by 256."""
MAX_WINDOW = 255
"""`sliding_window_size` is a uint8 on the device."""


def quantise(features: NDArray[np.uint16]) -> NDArray[np.int8]:
    """Quantise frontend features as the device does, whatever scale the model declares.

    `q = clip((u * 256 + 333) // 666 - 128, -128, 127)`; shape is kept.
    """
    scaled = (features.astype(np.int32) * 256 + 333) // 666 - 128
    return np.clip(scaled, -128, 127).astype(np.int8)


def cutoff_to_uint8(probability_cutoff: float) -> int:
    """The integer cutoff that the device compares with; ESPHome computes it in Python when it generates `main.cpp`."""
    return int(probability_cutoff * PROBABILITY_MAX)


def slice_end_samples(slice_index: int, step_ms: int = STEP_MS) -> int:
    """Samples of stream that the device has heard when it decides on this slice: up to the end of the slice's 30 ms
    window.
    """
    return WINDOW_SAMPLES + slice_index * step_samples(step_ms)


def slice_end_seconds(slice_index: int, step_ms: int = STEP_MS) -> float:
    """`slice_end_samples` in seconds."""
    return slice_end_samples(slice_index, step_ms) / SAMPLE_RATE_HZ


def slice_count(samples: int, step_ms: int = STEP_MS) -> int:
    """Number of feature slices that a stream of so many samples gives."""
    return 0 if samples < WINDOW_SAMPLES else (samples - WINDOW_SAMPLES) // step_samples(step_ms) + 1


def step_samples(step_ms: int) -> int:
    """Samples from one feature slice to the next at a manifest's `feature_step_size`."""
    return step_ms * SAMPLE_RATE_HZ // 1000
