"""MixedNet, the architecture of microWakeWord and of ESPHome's official v2 models."""

from __future__ import annotations

from pydantic import Field

from trainer.config.architecture import Architecture
from trainer.config.base import written
from trainer.config.network_keys import Counts, KernelGroups, SharedKeys, Switches


class MixedNetKeys(SharedKeys):
    """The shape of a MixedNet, one entry a block in the lists; the defaults are those of the official v2 models.

    A first convolution over `first_conv_kernel_size` slices advances by `stride` slices, which is also the number of
    slices that the exported model takes per inference. Then one block an entry of `pointwise_filters`: a depthwise
    convolution whose channels are shared out between the block's kernel sizes, a pointwise convolution, batch
    normalisation and ReLU, `repeat_in_block` times, with a residual connection from the block's input where
    `residual_connection` is 1.
    """

    first_conv_filters: int = Field(30, ge=1)
    """Channels of the first convolution."""
    first_conv_kernel_size: int = 5
    """Slices that the first convolution sees."""
    pointwise_filters: Counts = written("60,60,60,60")
    """Channels of each block."""
    mixconv_kernel_sizes: KernelGroups = written("[5],[9],[13],[21]")
    """Kernel sizes of each block; a block's channels are shared out between its kernels."""
    repeat_in_block: Counts = written("1,1,1,1")
    """How often each block is repeated."""
    residual_connection: Switches = written("0,0,0,0")
    """1 adds a block's input to its output."""


class MixedNet:
    """See `MixedNetKeys`."""

    name = "mixednet"
    own = MixedNetKeys
    widths = ("first_conv_filters", "pointwise_filters")
    kernels = ("mixconv_kernel_sizes",)
    off_devices = ""

    def check(self, keys: MixedNetKeys) -> None:
        """Raise `ValueError` for lists of different lengths, and for more kernels than channels."""
        if keys.first_conv_kernel_size < keys.stride:
            raise ValueError(
                f"model.first_conv_kernel_size {keys.first_conv_kernel_size} is below model.stride, which is"
                f" {keys.stride}: slices would be skipped; give {keys.stride} or more"
            )
        blocks = len(keys.pointwise_filters)
        for name in ("mixconv_kernel_sizes", "repeat_in_block", "residual_connection"):
            if (count := len(getattr(keys, name))) != blocks:
                raise ValueError(
                    f"model.{name} has {count} entries, but model.pointwise_filters has {blocks}; give one entry a"
                    " block to each"
                )
        channels = keys.first_conv_filters
        for block, (kernels, filters, repeat) in enumerate(
            zip(keys.mixconv_kernel_sizes, keys.pointwise_filters, keys.repeat_in_block, strict=True), 1
        ):
            narrowest = channels if repeat == 1 else min(channels, filters)
            if len(kernels) > narrowest:
                raise ValueError(
                    f"model.mixconv_kernel_sizes: block {block} shares {narrowest} channels between {len(kernels)}"
                    " kernels; give fewer kernels, or more channels in model.first_conv_filters or"
                    " model.pointwise_filters"
                )
            channels = filters

    def first_slices(self, keys: MixedNetKeys) -> int:
        """The first convolution's kernel."""
        return keys.first_conv_kernel_size

    def frame_slices(self, keys: MixedNetKeys) -> int:
        """The stride."""
        return keys.stride

    def context_frames(self, keys: MixedNetKeys) -> tuple[int, ...]:
        """Of each repetition of each block: the largest kernel less one."""
        return tuple(
            max(kernels) - 1
            for kernels, repeat in zip(keys.mixconv_kernel_sizes, keys.repeat_in_block, strict=True)
            for _ in range(repeat)
        )

    def outputs(self, keys: MixedNetKeys, frames: int) -> int:
        """Of the first convolution and of the pointwise ones."""
        contexts = iter(self.context_frames(keys))
        frames += sum(self.context_frames(keys))
        outputs = frames * keys.first_conv_filters
        for filters, repeat in zip(keys.pointwise_filters, keys.repeat_in_block, strict=True):
            for _ in range(repeat):
                frames -= next(contexts)
                outputs += frames * filters
        return outputs

    def chain(self, keys: MixedNetKeys) -> None:
        """It is none: its kernels share out channels, and blocks may have residual connections."""


ARCHITECTURE: Architecture = MixedNet()
