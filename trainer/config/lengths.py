"""How many feature slices go in, how many frames come out, and which channels each kernel has.

All padding is valid, so a window of T slices gives `(T - k) // stride + 1` frames after a first convolution of kernel
size k, each block then shortens it by its largest kernel less one, and the head reads all frames that are left. A slice
is 10 ms; a frame is `stride` slices.
"""

from __future__ import annotations

from trainer.config.network import NetworkConfig
from wakeword import contract
from wakeword.errors import ConfigError


def head_frames(config: NetworkConfig, slices: int) -> int:
    """Frames that the head reads of a window of so many slices; below 1 when the window is too short for the model."""
    return (slices - config.first_slices) // config.frame_slices + 1 - sum(config.context_frames)


def encoder_receptive_field(config: NetworkConfig) -> int:
    """Slices that one frame before the head depends on; also the shortest window that the model can be trained on."""
    return config.first_slices + config.frame_slices * sum(config.context_frames)


def receptive_field(config: NetworkConfig, frames: int) -> int:
    """Slices that one probability depends on when the head reads so many frames."""
    return encoder_receptive_field(config) + config.frame_slices * (frames - 1)


def fit_slices(config: NetworkConfig, slices: int) -> int:
    """The longest window of at most `slices` whose last slice the model reads: a receptive field of a whole number of
    frames.

    204 slices become 203 with a kernel of 5 and a stride of 3. Raises `ConfigError` when no window is that short.
    """
    frames = head_frames(config, slices)
    if frames < 1:
        shortest = encoder_receptive_field(config)
        raise ConfigError(
            f"a training window of {slices} slices is too short for this model, which reads at least {shortest}"
            f" ({shortest * contract.STEP_MS} ms); lengthen the clips or take smaller kernels"
        )
    return receptive_field(config, frames)


def channel_groups(channels: int, groups: int) -> tuple[int, ...]:
    """Share channels out between the kernels of a MixConv: equal parts, the remainder to the first (as microWakeWord
    does).
    """
    part = channels // groups
    return (channels - part * (groups - 1), *[part] * (groups - 1))


def window_slices(config: NetworkConfig, clip_duration_ms: int) -> int:
    """Training window for clips of a given duration, always valid.

    microWakeWord adds to the clip's slices what the convolutions drop (`first_conv_kernel_size - 1` plus each block's
    context, 54 for the official models: 1500 ms give 204) and fails on lengths that then do not fit. Here the nearest
    window that fits is taken: 203 for 1500 ms, and never less than the model can read.
    """
    wanted = clip_duration_ms // contract.STEP_MS + config.first_slices - 1 + sum(config.context_frames)
    frames = round((wanted - encoder_receptive_field(config)) / config.frame_slices) + 1
    return receptive_field(config, max(1, frames))
