"""What a MixedNet is made of, checked before any graph is built."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from wakeword.errors import ConfigError

MAX_STRIDE = 255
"""ESPHome keeps the stride in a uint8."""


@dataclass(frozen=True)
class MixedNetConfig:
    """The shape of a MixedNet; the defaults are those of the official v2 models.

    A first convolution over `first_conv_kernel_size` slices advances by `stride` slices, which is also the number of slices
    that the exported model takes per inference. Then one block an entry of `pointwise_filters`: a depthwise convolution
    whose channels are shared out between the block's kernel sizes, a pointwise convolution, batch normalisation and ReLU,
    `repeat_in_block` times, with a residual connection from the block's input where `residual_connection` is 1.

    Raises `ConfigError` when a value is out of range or the per-block lists differ in length.
    """

    first_conv_filters: int = 30
    first_conv_kernel_size: int = 5
    stride: int = 3
    pointwise_filters: tuple[int, ...] = (60, 60, 60, 60)
    mixconv_kernel_sizes: tuple[tuple[int, ...], ...] = ((5,), (9,), (13,), (21,))
    repeat_in_block: tuple[int, ...] = (1, 1, 1, 1)
    residual_connection: tuple[int, ...] = (0, 0, 0, 0)
    dropout_rate: float = 0.0
    """Share of the head's inputs that training drops."""
    l2_regularization: float = 0.0
    """Weight of the squared convolution and head kernels in the loss."""

    def __post_init__(self) -> None:
        _require(1 <= self.stride <= MAX_STRIDE, f"model.stride is {self.stride}; give 1 to {MAX_STRIDE}")
        _require(self.first_conv_filters >= 1, f"model.first_conv_filters is {self.first_conv_filters}; give 1 or more")
        _require(
            self.first_conv_kernel_size >= self.stride,
            f"model.first_conv_kernel_size {self.first_conv_kernel_size} is below the stride {self.stride}, which would skip slices; "
            f"give {self.stride} or more",
        )
        _require(0 <= self.dropout_rate < 1, f"model.dropout_rate is {self.dropout_rate}; give 0 up to, but not including, 1")
        _require(self.l2_regularization >= 0, f"model.l2_regularization is {self.l2_regularization}; give 0 or more")
        _require(len(self.pointwise_filters) >= 1, "model.pointwise_filters is empty; give one number a block")
        for name in ("mixconv_kernel_sizes", "repeat_in_block", "residual_connection"):
            count = len(getattr(self, name))
            _require(
                count == len(self.pointwise_filters),
                f"model.{name} has {count} entries, but model.pointwise_filters has {len(self.pointwise_filters)}; give one entry a block to each",
            )
        _require(min(self.pointwise_filters) >= 1, f"model.pointwise_filters is {self.pointwise_filters}; give 1 or more a block")
        _require(min(self.repeat_in_block) >= 1, f"model.repeat_in_block is {self.repeat_in_block}; give 1 or more a block")
        _require(set(self.residual_connection) <= {0, 1}, f"model.residual_connection is {self.residual_connection}; give 0 or 1 a block")
        self._check_kernels()

    def _check_kernels(self) -> None:
        channels = self.first_conv_filters
        for block, (kernels, filters, repeat) in enumerate(zip(self.mixconv_kernel_sizes, self.pointwise_filters, self.repeat_in_block, strict=True), 1):
            _require(
                bool(kernels) and min(kernels, default=0) >= 1,
                f"model.mixconv_kernel_sizes: block {block} has {list(kernels)}; give kernel sizes of 1 or more",
            )
            narrowest = channels if repeat == 1 else min(channels, filters)
            _require(
                len(kernels) <= narrowest,
                f"model.mixconv_kernel_sizes: block {block} shares {narrowest} channels between {len(kernels)} kernels; give fewer kernels",
            )
            channels = filters

    @property
    def context_frames(self) -> tuple[int, ...]:
        """Past frames that each repetition of each block needs, in order: the largest kernel less one."""
        return tuple(max(kernels) - 1 for kernels, repeat in zip(self.mixconv_kernel_sizes, self.repeat_in_block, strict=True) for _ in range(repeat))


def parse_counts(text: str, key: str) -> tuple[int, ...]:
    """Read a per-block list such as `60,60,60,60`; `key` names the setting in messages.

    Raises `ConfigError` when the text is no list of whole numbers.
    """
    values = _parse_list(text)
    if values is None or not values or not all(_is_whole(value) for value in values):
        raise ConfigError(f'{key} is {text!r}; give whole numbers with commas between, such as "60,60,60,60"')
    return tuple(values)


def parse_kernel_groups(text: str, key: str = "model.mixconv_kernel_sizes") -> tuple[tuple[int, ...], ...]:
    """Read kernel sizes such as `[5],[7,11],[9,15],[23]`, one bracket a block.

    Raises `ConfigError` when the text is no list of lists of whole numbers.
    """
    values = _parse_list(text)
    if values is None or not values or not all(isinstance(group, list) and group and all(map(_is_whole, group)) for group in values):
        raise ConfigError(f'{key} is {text!r}; give one bracket of kernel sizes a block, such as "[5],[7,11],[9,15],[23]"')
    return tuple(tuple(group) for group in values)


def channel_groups(channels: int, groups: int) -> tuple[int, ...]:
    """Share channels out between the kernels of a MixConv: equal parts, the remainder to the first (as microWakeWord does)."""
    part = channels // groups
    return (channels - part * (groups - 1), *[part] * (groups - 1))


def _parse_list(text: str) -> list[Any] | None:
    try:
        values = json.loads(f"[{text}]")
    except json.JSONDecodeError:
        return None
    return values if isinstance(values, list) else None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)
