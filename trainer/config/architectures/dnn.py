"""Dense layers over the past: Chen, Parada and Heigold, "Small-footprint keyword spotting using deep neural networks"
(2014).

There all frames of a window go into the first of three layers. On a device that layer alone would have 150 x 40 inputs,
so each stride of slices is first brought down to a few units, which the device computes once and keeps. kws_streaming's
`dnn` (Rybakov et al. 2020) does the same.
"""

from __future__ import annotations

from pydantic import Field

from trainer.config.architecture import Architecture, Chain, ChainArchitecture, Convolution, Dense
from trainer.config.base import written
from trainer.config.network_keys import Counts, SharedKeys


class DnnKeys(SharedKeys):
    """The shape of a network of dense layers."""

    dnn_frame_units: int = Field(16, ge=1)
    """Units that each stride of slices becomes, once, before the dense layers: what of the past is kept."""
    dnn_units: Counts = written("64,64")
    """Units of each dense layer over all that is kept; they have most of the weights."""


class Dnn(ChainArchitecture):
    """See `DnnKeys`."""

    name = "dnn"
    own = DnnKeys
    widths = ("dnn_frame_units", "dnn_units")

    def chain(self, keys: DnnKeys) -> Chain:
        """A convolution whose frames do not overlap, and the dense layers."""
        return Chain(
            (Convolution(keys.dnn_frame_units, keys.stride),),
            tuple(Dense(units) for units in keys.dnn_units),
            mel_is_channels=True,
        )


ARCHITECTURE: Architecture = Dnn()
