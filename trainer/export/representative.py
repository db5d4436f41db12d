"""The inputs that the converter measures activation ranges on, and that quantisation-aware training takes its ranges
from: the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.data.dataset import select_records
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.data.training_sets import Counting, recorded_clips
from trainer.networks.scaling import FLOAT_MAX, dequantise
from wakeword import contract
from wakeword.errors import ConfigError

WINDOWS = 500
REPRESENTATIVE_SECONDS = 1800
"""Training recordings of each kind, drawn by the seed, from which the windows are taken."""


def representative_records(records: Sequence[SampleRecord], seed: int) -> Iterator[SampleRecord]:
    """Enough training recordings of each kind to draw the converter's windows from, the same for the same seed."""
    for labels in ((Label.POSITIVE,), (Label.NEGATIVE, Label.HARD_NEGATIVE)):
        kind = select_records(records, Split.TRAIN, *labels)
        seconds = 0.0
        for index in np.random.default_rng(seed).permutation(len(kind)):
            if seconds < REPRESENTATIVE_SECONDS:
                yield kind[index]
            seconds += kind[index].duration


def representative_features(
    records: Sequence[SampleRecord], slices: int, seed: int, counting: Counting, jobs: int | None = None
) -> list[NDArray[np.int8]]:
    """Features of representative recordings, int8 `[n, 40]` each. Raises `ConfigError` for one that cannot be read."""
    return recorded_clips(records, slices, seed, counting, jobs).clips()


def representative_stream(
    clips: Sequence[NDArray[np.int8]], stride: int, slices: int, seed: int = 0, windows: int = WINDOWS
) -> NDArray[np.float32]:
    """The chunks that the converter is given, as one stream, float32 `[n, 40]`. Raises as `representative_chunks`
    does.
    """
    return np.concatenate([chunk[0] for chunk in representative_chunks(clips, stride, slices, seed, windows)])


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
