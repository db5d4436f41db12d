"""Other rooms, microphones and levels for the windows of a batch, drawn anew at each step: some windows are raised or
lowered as a whole, tilted over frequency, and channel by channel.

After Nam et al., "FilterAugment: An Acoustic Environmental Data Augmentation Method" (2022), which weights bands of a
log-mel spectrogram. Here the weights are added to the device's features, which are logarithmic too, so clips need not
go through the frontend again. Silence (-128) stays silence: a filter makes no sound of none.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.config.batch_settings import FilterAugment
from wakeword import contract

_STREAM: Final = 2
"""Sets these random numbers apart from the batch's and the masks' of the same seed and step."""
_LOWEST, _HIGHEST = np.iinfo(np.int8).min, np.iinfo(np.int8).max


def draw_filters(settings: FilterAugment, batch: int, seed: int, step: int) -> NDArray[np.int16]:
    """What is added to each channel of each window, `[batch, 40]` in steps of int8; zeros where a window is left as it
    is. They depend on the arguments alone.
    """
    draw = np.random.default_rng(np.random.SeedSequence((seed, step, _STREAM)))
    slope = np.linspace(-1, 1, contract.FEATURE_CHANNELS)
    filtered = draw.random((batch, 1)) < settings.share
    gain, tilt = (draw.uniform(-most, most, (batch, 1)) for most in (settings.gain, settings.tilt))
    ripple = draw.uniform(-settings.ripple, settings.ripple, (batch, contract.FEATURE_CHANNELS))
    return np.where(filtered, np.rint(gain + tilt * slope + ripple), 0).astype(np.int16)


def filter_augment(
    features: NDArray[np.int8], settings: FilterAugment, seed: int, step: int, xp: ModuleType | Any = np
) -> Any:
    """A batch of features int8 `[batch, slices, 40]` on the host, filtered, as an int8 array of `xp`, NumPy or CuPy.

    The host's array is left as it is.
    """
    array = xp.asarray(features)
    added = xp.asarray(draw_filters(settings, len(features), seed, step))[:, None, :]
    louder = xp.clip(array.astype(xp.int16) + added, _LOWEST, _HIGHEST).astype(xp.int8)
    return xp.where(array == contract.INPUT_ZERO_POINT, array, louder)
