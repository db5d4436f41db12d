"""The inputs that the converter measures activation ranges on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.mixednet.scaling import FLOAT_MAX, dequantise
from wakeword import contract
from wakeword.errors import ConfigError

WINDOWS = 500


def representative_chunks(
    clips: Sequence[NDArray[np.int8]], stride: int, slices: int, seed: int = 0, windows: int = WINDOWS
) -> Iterator[NDArray[np.float32]]:
    """Yield float32 `[1, stride, 40]` chunks: `windows` seeded windows of at most `slices` from the clips, each as
    consecutive strides.

    The ring buffers so hold what they hold on a device. The first chunk contains 0.0 and 26.0, the ends of the input's
    range, so that its scale becomes 26/255 and its zero point -128 whatever the clips reach. Raises `ConfigError` when
    no clip has a whole stride.
    """
    usable = [clip for clip in clips if len(clip) >= stride]
    if not usable:
        raise ConfigError(
            f"no training clip has {stride} feature slices to measure the model's ranges on; give longer recordings"
        )
    generator = np.random.default_rng(seed)
    first = True
    for _ in range(windows):
        clip = usable[generator.integers(len(usable))]
        length = min(slices, len(clip)) // stride * stride
        start = generator.integers(len(clip) - length + 1)
        chunks = dequantise(clip[start : start + length]).reshape(-1, 1, stride, contract.FEATURE_CHANNELS)
        if first:
            chunks[0].flat[:2] = 0.0, FLOAT_MAX
            first = False
        yield from chunks
