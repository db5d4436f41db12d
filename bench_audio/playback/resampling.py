"""What a stream passes on its way to a device and back: another rate, a filter; block by block, with no seam."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray


class Stage(Protocol):
    """Something that sound passes on its way, such as `bench_audio.synthetic_room.ConvolutionStage`."""

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next block `[n]`, full scale 1; gives as many samples as it has."""
        ...


class Resampling:
    """A stream from one rate to another, without a change of its place in time; where both rates are the same nothing
    is computed.
    """

    def __init__(self, from_rate: float, to_rate: float) -> None:
        self._stream = (
            None if from_rate == to_rate else soxr.ResampleStream(from_rate, to_rate, 1, np.float32, quality="VHQ")
        )

    def process(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """The next block: float32 `[n]` to float32 `[about n * to_rate / from_rate]`; after the `last` one nothing may
        follow.
        """
        if self._stream is None:
            return samples
        converted: NDArray[np.float32] = self._stream.resample_chunk(
            np.ascontiguousarray(samples, np.float32), last=last
        )
        return converted


class FilterStage:
    """A stream through a filter `[taps]`: that of the whole stream, whatever its blocks. What the filter rings on with
    after the last block is left out.
    """

    def __init__(self, taps: NDArray[np.float64]) -> None:
        self._taps = taps
        self._tail = np.zeros(len(taps) - 1)

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next block: float32 `[n]`, as many as it has."""
        from scipy.signal import oaconvolve

        if not len(samples):
            return samples
        full = oaconvolve(samples.astype(np.float64), self._taps)
        full[: len(self._tail)] += self._tail
        self._tail = full[len(samples) :]
        return full[: len(samples)].astype(np.float32)
