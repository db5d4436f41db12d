"""Audio to features: the device's own microfrontend, streamed, and the int8 values that its model sees."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from wakeword import contract

FEATURE_UNIT = 0.0390625
"""`pymicro-features` returns the device's uint16 features multiplied by this (10 / 256), exactly."""

FRONTEND_ID = "pymicro-features-2.0.2"
"""Names the frontend's arithmetic in cache keys and results; the version is pinned in pyproject.toml."""


class Frontend:
    """The recursive frontend of one stream. Features depend on everything since the stream began."""

    def __init__(self) -> None:
        from pymicro_features import MicroFrontend

        self._frontend = MicroFrontend()
        self._pending = b""

    def reset(self) -> None:
        """Begin a new stream: forget the noise estimate and the samples of an unfinished window."""
        self._frontend.reset()
        self._pending = b""

    def process(self, samples: NDArray[np.int16]) -> NDArray[np.uint16]:
        """Feed 16 kHz mono samples `[n]` and return the slices that they complete, uint16 `[slices, 40]`."""
        block_bytes = contract.STEP_SAMPLES * samples.itemsize
        data = self._pending + np.ascontiguousarray(samples, np.int16).tobytes()
        usable = len(data) - len(data) % block_bytes
        self._pending = data[usable:]
        # The reader takes at most one step of samples a call, so whole steps are fed one by one.
        process_samples = self._frontend.process_samples
        values = array("f")
        for start in range(0, usable, block_bytes):
            values.extend(process_samples(data[start : start + block_bytes]).features)
        features = np.frombuffer(values, np.float32).reshape(-1, contract.FEATURE_CHANNELS)
        return np.rint(features / np.float32(FEATURE_UNIT)).astype(np.uint16)


def compute_features(samples: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Features of one whole stream from silence: int16 `[n]` to uint16 `[contract.slice_count(n), 40]`."""
    return Frontend().process(samples)


def device_features(samples: NDArray[np.int16]) -> NDArray[np.int8]:
    """What the model sees on the device for one whole stream: int8 `[contract.slice_count(n), 40]`."""
    return contract.quantise(compute_features(samples))
