"""The fixed-point arithmetic of TFLM's int8 kernels, on arrays: multipliers, double-rounding requantisation, clamps.

Sources: `kernels/internal/quantization_util.cc` (`QuantizeMultiplier`), `kernels/internal/common.cc`
(`MultiplyByQuantizedMultiplier`, built with double rounding) and `kernels/kernel_util.cc` of tflite-micro.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

INT8_MIN, INT8_MAX = -128, 127
SMALLEST_SHIFT = -31


class Multiplier:
    """Real multipliers as `quantised / 2**31 * 2**shift`, one or one a channel (int64 arrays)."""

    def __init__(self, quantised: NDArray[np.int64], shift: NDArray[np.int64]) -> None:
        self.quantised = quantised
        self.shift = shift
        self._left = np.maximum(shift, 0)
        self._right = np.maximum(-shift, 0)
        self._half = np.where(self._right > 0, np.int64(1) << np.maximum(self._right - 1, 0), 0)
        self._shifts_right = (self._right > 0).astype(np.int64)

    def apply(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Multiply int32-valued int64 numbers; the last axis is the channel. Rounds twice, as the kernels do."""
        high: NDArray[np.int64] = ((values << self._left) * self.quantised + (1 << 30)) >> 31
        nudged: NDArray[np.int64] = high + self._half - (high < 0) * self._shifts_right
        return nudged >> self._right


def quantise_multiplier(real: ArrayLike) -> Multiplier:
    """`QuantizeMultiplier`: real multipliers >= 0 (float64) to 31-bit mantissas and exponents."""
    mantissa, exponent = np.frexp(np.atleast_1d(np.asarray(real, np.float64)))
    quantised = np.floor(mantissa * 2.0**31 + 0.5).astype(
        np.int64
    )  # rounds half away from zero: mantissas are positive
    shift = exponent.astype(np.int64)
    carried = quantised == 1 << 31
    quantised, shift = np.where(carried, quantised // 2, quantised), shift + carried
    vanishes = shift < SMALLEST_SHIFT
    return Multiplier(np.where(vanishes, 0, quantised), np.where(vanishes, 0, shift))


def rounded_half_away(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """`TfLiteRound`: C's `round`, half away from zero, in float32."""
    return np.trunc(values + np.copysign(np.float32(0.5), values)).astype(np.float32)


def activation_range(activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    """Lowest and highest int8 value after a fused activation (`CalculateActivationRangeQuantized`).

    Raises `KeyError` for an activation that the kernels do not fuse.
    """
    bounds: dict[str, tuple[float | None, float | None]] = {
        "NONE": (None, None),
        "RELU": (0.0, None),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
    }
    low, high = bounds[activation]

    def quantised(bound: float) -> int:
        return zero_point + int(rounded_half_away(np.float32(bound) / np.asarray(scale, np.float32)))

    return (
        INT8_MIN if low is None else max(INT8_MIN, quantised(low)),
        INT8_MAX if high is None else min(INT8_MAX, quantised(high)),
    )
