"""BC-ResNet: Kim, Chang, Lee and Sung, "Broadcasted Residual Learning for Efficient Keyword Spotting" (2021).

Its convolutions over time are padded on both sides and its head averages over the whole window, so it has no streaming
form; and its sub-spectral normalisations and swish are no operators of a device. It is for computers.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from trainer.config.architecture import Architecture
from trainer.config.network_keys import SharedKeys

FIRST_CHANNELS, LAST_CHANNELS = 16, 32
"""Of the first convolution and of the last one, times the width."""
FIRST_MEL = 20
"""Mel bins behind the first convolution."""


@dataclass(frozen=True)
class BcStage:
    """A row of the paper's table 1: blocks of one number of channels."""

    blocks: int
    channels: int
    """Times the width."""
    mel_stride: int
    """Of its first block."""
    dilation: int
    """Of its convolutions over time."""


STAGES = (BcStage(2, 8, 1, 1), BcStage(2, 12, 2, 2), BcStage(4, 16, 2, 4), BcStage(4, 20, 1, 8))


class BcResNetKeys(SharedKeys):
    """The shape of a BC-ResNet."""

    bc_resnet_width: float = Field(1.0, gt=0, le=8)
    """The paper's tau, what all numbers of channels are multiplied by: 1, 1.5, 2, 3, 6 and 8 there. 1 has about 10,000
    weights, 8 about 320,000."""

    def scaled(self, channels: int) -> int:
        """So many channels times the width."""
        return max(1, round(channels * self.bc_resnet_width))


class BcResNet:
    """See `BcResNetKeys`. A frame of its first convolution is a stride of slices; it reads a window of any length."""

    name = "bc_resnet"
    own = BcResNetKeys
    widths = ("bc_resnet_width",)
    kernels = ()
    off_devices = (
        "a BC-ResNet pads time on both sides and averages over the whole window, so it has no streaming form, and a"
        " device has no operators for its sub-spectral normalisation and swish; let it teach a model that has"
        " (training.teacher), or judge behind one (mww-judge)"
    )

    def check(self, keys: BcResNetKeys) -> None:
        """Every width is one."""

    def first_slices(self, keys: BcResNetKeys) -> int:  # noqa: ARG002
        """Its padding lets it read any number."""
        return 1

    def frame_slices(self, keys: BcResNetKeys) -> int:  # noqa: ARG002
        """Its windows may have any length."""
        return 1

    def context_frames(self, keys: BcResNetKeys) -> tuple[int, ...]:  # noqa: ARG002
        """Its convolutions are padded."""
        return ()

    def outputs(self, keys: BcResNetKeys, frames: int) -> int:
        """Of the first convolution and of the three of each block that keep the mel bins apart."""
        frames = -(-frames // keys.stride)
        total, mel = frames * FIRST_MEL * keys.scaled(FIRST_CHANNELS), FIRST_MEL
        for stage in STAGES:
            mel //= stage.mel_stride
            total += stage.blocks * 3 * frames * mel * keys.scaled(stage.channels)
        return total

    def chain(self, keys: BcResNetKeys) -> None:
        """It is none."""


ARCHITECTURE: Architecture = BcResNet()
