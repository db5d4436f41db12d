"""Convolutions over time and mel: `cnn-trad-fpool3` of Sainath and Parada, "Convolutional neural networks for
small-footprint keyword spotting" (2015).

Two convolutions, a maximum over three mel bins behind the first, a linear layer of low rank, a dense layer. Theirs has
64 filters and 1.3 million multiplications a frame, beyond a device's processor: the defaults are narrower, and the
first convolution advances by the stride.
"""

from __future__ import annotations

from pydantic import Field

from trainer.config.architecture import Architecture, Chain, ChainArchitecture, Convolution, Dense
from trainer.config.base import written
from trainer.config.network_keys import Counts, KernelGroups, SharedKeys


class CnnKeys(SharedKeys):
    """The shape of a network of convolutions over time and mel."""

    cnn_filters: Counts = written("12,12")
    """Filters of each convolution."""
    cnn_kernels: KernelGroups = written("[20,8],[4,4]")
    """Time and mel that the kernel of each convolution reads: slices (of the first) or frames, and mel bins."""
    cnn_mel_pool: int = Field(3, ge=1)
    """Mel bins behind the first convolution of which the largest goes on: a speaker's formants may lie a little
    higher."""
    cnn_linear_units: int = Field(16, ge=1)
    """Units of the linear layer between convolutions and dense layers; it has most of the weights."""
    cnn_units: Counts = written("64")
    """Units of each dense layer."""


class Cnn(ChainArchitecture):
    """See `CnnKeys`."""

    name = "cnn"
    own = CnnKeys
    widths = ("cnn_filters", "cnn_linear_units", "cnn_units")
    kernels = ("cnn_kernels",)

    def check(self, keys: CnnKeys) -> None:
        """Raise `ValueError` for kernels that are not a time and a mel size a convolution."""
        if len(keys.cnn_kernels) != len(keys.cnn_filters) or any(len(kernel) != 2 for kernel in keys.cnn_kernels):
            raise ValueError(
                "model.cnn_kernels: give one bracket a convolution, as many as model.cnn_filters has numbers, each of"
                ' time and mel, such as "[20,8],[4,4]"'
            )
        super().check(keys)

    def chain(self, keys: CnnKeys) -> Chain:
        """Convolutions, the linear layer, dense layers."""
        return Chain(
            tuple(
                Convolution(filters, time, mel, mel_pool=1 if place else keys.cnn_mel_pool)
                for place, (filters, (time, mel)) in enumerate(zip(keys.cnn_filters, keys.cnn_kernels, strict=True))
            ),
            (Dense(keys.cnn_linear_units, relu=False), *(Dense(units) for units in keys.cnn_units)),
            mel_is_channels=False,
        )


ARCHITECTURE: Architecture = Cnn()
