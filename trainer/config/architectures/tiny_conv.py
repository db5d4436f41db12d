"""One convolution over time and mel, and the head: `tiny_conv` of TensorFlow's speech_commands example
(`tensorflow/examples/speech_commands/models.py`, `create_tiny_conv_model`), the network of TFLM's first demonstration.

Theirs has 8 filters of 10 slices and 8 mel bins and advances by two of both; here time advances by the stride.
"""

from __future__ import annotations

from pydantic import Field

from trainer.config.architecture import Architecture, Chain, ChainArchitecture, Convolution
from trainer.config.base import written
from trainer.config.network_keys import KernelGroups, SharedKeys


class TinyConvKeys(SharedKeys):
    """The shape of a network of one convolution."""

    tiny_conv_filters: int = Field(8, ge=1)
    """Filters of the convolution: what of the past is kept, times the mel bins that are left."""
    tiny_conv_kernel: KernelGroups = written("[10,8]")
    """Slices and mel bins that it reads."""
    tiny_conv_mel_stride: int = Field(2, ge=1)
    """Mel bins from one place of it to the next; more makes everything behind it smaller."""


class TinyConv(ChainArchitecture):
    """See `TinyConvKeys`."""

    name = "tiny_conv"
    own = TinyConvKeys
    widths = ("tiny_conv_filters",)
    kernels = ("tiny_conv_kernel",)

    def check(self, keys: TinyConvKeys) -> None:
        """Raise `ValueError` for a kernel that is not a time and a mel size."""
        if [len(kernel) for kernel in keys.tiny_conv_kernel] != [2]:
            raise ValueError('model.tiny_conv_kernel: give one bracket of slices and mel bins, such as "[10,8]"')
        super().check(keys)

    def chain(self, keys: TinyConvKeys) -> Chain:
        """The convolution; the head is a dense layer already."""
        time, mel = keys.tiny_conv_kernel[0]
        return Chain(
            (Convolution(keys.tiny_conv_filters, time, mel, keys.tiny_conv_mel_stride),), (), mel_is_channels=False
        )


ARCHITECTURE: Architecture = TinyConv()
