"""The quantiser is the device's integer arithmetic, not the float rounding that looks like it."""

from __future__ import annotations

import numpy as np
import pytest

from wakeword import contract


def test_quantiser_over_all_features() -> None:
    features = np.arange(1 << 16, dtype=np.uint16)
    expected = [max(-128, min(127, (value * 256 + 333) // 666 - 128)) for value in range(1 << 16)]
    assert contract.quantise(features).tolist() == expected


def test_quantiser_differs_from_rounding_the_declared_scale() -> None:
    features = np.arange(0, 667, dtype=np.uint16)
    rounded = np.round(features * 0.0390625 / contract.INPUT_SCALE) + contract.INPUT_ZERO_POINT
    assert 0.02 < np.mean(contract.quantise(features) != rounded) < 0.5


@pytest.mark.parametrize(
    ("probability", "cutoff"), [(0.9, 229), (0.97, 247), (0.95, 242), (0.85, 216), (0.0, 0), (1.0, 255), (0.5, 127)]
)
def test_cutoffs_are_truncated(probability: float, cutoff: int) -> None:
    assert contract.cutoff_to_uint8(probability) == cutoff
