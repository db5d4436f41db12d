"""SpecAugment: rectangles of a batch's features, over time or over mel bins, are replaced by silence.

After Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition" (2019), section 2,
without time warping: a mask's size is uniform over 0 to its maximum, its start uniform over the places where it fits.

*What is written* is -128 in int8 features, which is 0.0 in dequantised ones. That is the device's own silence: the
frontend's 0, the model's input zero point, and what `trainer.data.batches` puts before a clip. The paper writes the
mean of normalised features, which is 0 there for the same reason as 0.0 is right here: the first convolution has no
bias, so a masked value contributes nothing. An int8 0 would be 13.05 of 26, a loud sound.

*Where it runs.* Masks are drawn on the host by NumPy from (seed, step), so they are the same on any device. They are
applied by one function of the array module that is passed in, NumPy or CuPy: one pass, on a GPU one kernel, for each
kind of mask and the whole batch.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.errors import ConfigError
from wakeword.extras import install

_STREAM: Final = 1
"""Sets the masks' random numbers apart from the batch's, which come from (seed, step). Not 0: `SeedSequence` takes
trailing zeros for nothing."""
_INSTALL = install("gpu")


@dataclass(frozen=True)
class MaskSettings:
    """Masks of one training phase; a size or count of 0 is no mask."""

    time_mask_max_size: int = 0
    """Slices (10 ms each)."""
    time_mask_count: int = 0
    freq_mask_max_size: int = 0
    """Mel bins, at most 40."""
    freq_mask_count: int = 0


@dataclass(frozen=True)
class Stretches:
    """What one kind of mask silences in a batch, as numbers."""

    starts: NDArray[np.int64]
    """The first masked slice or bin, `[batch, masks]`."""
    sizes: NDArray[np.int64]
    """Slices or bins, `[batch, masks]`."""

    def mask(self, length: int) -> NDArray[np.bool_]:
        """`[batch, length]`, the union of the masks of a row."""
        places, starts, sizes = np.arange(length), self.starts[:, :, None], self.sizes[:, :, None]
        masked: NDArray[np.bool_] = ((places >= starts) & (places < starts + sizes)).any(axis=1)
        return masked


@dataclass(frozen=True)
class Masks:
    """What is silenced in one batch, on the host. None where no mask of the kind is wanted."""

    time: NDArray[np.bool_] | None
    """`[batch, slices]`."""
    frequency: NDArray[np.bool_] | None
    """`[batch, 40]`."""


def draw_masks(settings: MaskSettings, batch: int, slices: int, seed: int, step: int) -> Masks:
    """The masks of one batch, which are those of `draw_stretches`."""
    time, frequency = draw_stretches(settings, batch, slices, seed, step)
    return Masks(time.mask(slices) if time else None, frequency.mask(contract.FEATURE_CHANNELS) if frequency else None)


def draw_stretches(
    settings: MaskSettings, batch: int, slices: int, seed: int, step: int
) -> tuple[Stretches | None, Stretches | None]:
    """What the masks over time and over mel bins cover in one batch; None where no mask of the kind is wanted. They
    depend on the arguments alone; those over time not on the settings of those over mel bins, nor these on those.
    """
    time, frequency = np.random.SeedSequence((seed, step, _STREAM)).spawn(2)
    return (
        _drawn(settings.time_mask_max_size, settings.time_mask_count, batch, slices, np.random.default_rng(time)),
        _drawn(
            settings.freq_mask_max_size,
            settings.freq_mask_count,
            batch,
            contract.FEATURE_CHANNELS,
            np.random.default_rng(frequency),
        ),
    )


def _drawn(max_size: int, count: int, batch: int, length: int, generator: np.random.Generator) -> Stretches | None:
    if not max_size or not count:
        return None
    sizes = generator.integers(0, min(max_size, length), (batch, count), endpoint=True)
    return Stretches(generator.integers(0, length - sizes, endpoint=True), sizes)


def apply_masks(features: Any, masks: Masks, xp: ModuleType | Any = np) -> None:
    """Silence the masked parts of `features` `[batch, slices, 40]`, int8 or float, in place. `xp` is the module that
    the array belongs to.

    Silence is the least value that a feature has, so it is written by a minimum with a ceiling: silence under a mask,
    no ceiling elsewhere. On a CPU that takes a third of the time of a masked copy. Raises `ValueError` when masks and
    features differ in shape, and for other types.
    """
    silence, highest = _range(features.dtype)
    batch, slices, channels = features.shape
    for mask, shape, axis in ((masks.time, (batch, slices), 2), (masks.frequency, (batch, channels), 1)):
        if mask is None:
            continue
        if mask.shape != shape:  # NumPy would silently repeat a mask of one row over the whole batch
            raise ValueError(f"a mask of {mask.shape} does not fit features of {features.shape}")
        ceiling = np.expand_dims(np.where(mask, silence, highest), axis)
        xp.minimum(features, xp.asarray(ceiling), out=features)


def _range(dtype: Any) -> tuple[np.generic, np.generic]:
    """Silence, and a value that no feature exceeds: int8 as the device has them, or dequantised to 0.0 to 26.0."""
    kind = np.dtype(dtype)
    if kind == np.int8:
        return np.int8(contract.INPUT_ZERO_POINT), np.int8(127)
    if kind.kind == "f":
        return kind.type(0), kind.type(np.inf)
    raise ValueError(f"features are int8 or float, got {kind}")


def spec_augment(
    features: NDArray[np.int8] | Any, settings: MaskSettings, seed: int, step: int, xp: ModuleType | Any = np
) -> Any:
    """A batch of features `[batch, slices, 40]`, on the host or the device, masked, as an array of `xp` on its device.

    The array that is given is left as it is.
    """
    array = xp.array(features)
    apply_masks(array, draw_masks(settings, features.shape[0], features.shape[1], seed, step), xp)
    return array


def to_tensor(array: Any, xp: ModuleType | Any = np) -> Any:
    """A TensorFlow tensor of an array of `xp`: on a GPU over the same memory (DLPack), so the array must not be written
    to afterwards.
    """
    import tensorflow as tf

    if xp is np:
        return tf.constant(array)
    # TensorFlow's streams do not wait for CuPy's, and the capsule carries no stream: the masks must be there before it
    # reads.
    xp.cuda.get_current_stream().synchronize()
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def from_tensor(tensor: Any, xp: ModuleType | Any = np) -> Any:
    """An array of `xp` of a TensorFlow tensor: on a GPU over the same memory (DLPack), so writing to it changes the
    tensor.

    On the host it is a copy, since NumPy's view of a tensor may be shared with others.
    """
    import tensorflow as tf

    if xp is np:
        return np.array(tensor)
    return xp.from_dlpack(tf.experimental.dlpack.to_dlpack(tensor))


def choose_array_module(gpu_only: bool) -> ModuleType:
    """CuPy where it and TensorFlow both have a GPU, else NumPy.

    Raises `ConfigError`, which says what to install, when `gpu_only` asks for a GPU and there is none.
    """
    cupy, missing = _usable_cupy()
    if cupy is not None:
        return cupy
    if gpu_only:
        raise ConfigError(
            f"performance.gpu_only is true, and {missing}; or set performance.gpu_only=false to train on the CPU"
        )
    return np


def _usable_cupy() -> tuple[ModuleType | None, str]:
    """CuPy, or None with what is missing and what to do."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        return None, f"CuPy is not installed; {_INSTALL}"
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return None, f"CuPy finds no GPU ({error}); install NVIDIA's driver, and {_INSTALL}"
    if not devices:
        return None, "CuPy finds no GPU; see whether nvidia-smi lists one and CUDA_VISIBLE_DEVICES does not hide it"
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return None, f"TensorFlow finds no GPU, though CuPy does; {_INSTALL}"
    return cupy, ""
