"""The shape of a MixedNet: its section of a configuration."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from trainer.config.base import Section, written

MAX_STRIDE = 255
"""ESPHome keeps the stride in a uint8."""

_Whole = Annotated[int, Field(strict=True, ge=1)]


def _counts(given: object) -> object:
    """A per-block list such as `60,60,60,60`."""
    values = _listed(given)
    if not values or not all(map(_is_whole, values)):
        raise ValueError('give whole numbers with commas between, such as "60,60,60,60"')
    return values


def _kernel_groups(given: object) -> object:
    """Kernel sizes such as `[5],[7,11],[9,15],[23]`, one bracket a block."""
    values = _listed(given)
    if not values or not all(
        isinstance(group, list | tuple) and group and all(map(_is_whole, group)) for group in values
    ):
        raise ValueError('give one bracket of kernel sizes a block, such as "[5],[7,11],[9,15],[23]"')
    return values


def _is_whole(value: object) -> bool:
    """Whether a value is a whole number; `true` is none, though Python counts with it."""
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(given: object) -> Any:
    """The list that a text holds; None where it holds none."""
    if isinstance(given, list | tuple):
        return given
    try:
        return json.loads(f"[{given}]")
    except json.JSONDecodeError:
        return None


def _text(values: tuple[Any, ...]) -> str:
    return ",".join(f"[{_text(value)}]" if isinstance(value, tuple) else str(value) for value in values)


Counts = Annotated[tuple[_Whole, ...], BeforeValidator(_counts, json_schema_input_type=str), PlainSerializer(_text)]
"""A number a block, written as text."""
Switches = Annotated[
    tuple[Literal[0, 1], ...], BeforeValidator(_counts, json_schema_input_type=str), PlainSerializer(_text)
]
"""0 or 1 a block, written as text."""
KernelGroups = Annotated[
    tuple[tuple[_Whole, ...], ...], BeforeValidator(_kernel_groups, json_schema_input_type=str), PlainSerializer(_text)
]
"""Kernel sizes, a bracket a block, written as text."""


class MixedNetConfig(Section):
    """The shape of the MixedNet, one entry a block in the lists; the defaults are those of the official v2 models.

    A first convolution over `first_conv_kernel_size` slices advances by `stride` slices, which is also the number of
    slices that the exported model takes per inference. Then one block an entry of `pointwise_filters`: a depthwise
    convolution whose channels are shared out between the block's kernel sizes, a pointwise convolution, batch
    normalisation and ReLU, `repeat_in_block` times, with a residual connection from the block's input where
    `residual_connection` is 1.
    """

    architecture: Literal["mixednet"] = "mixednet"
    """The only one that there is."""
    first_conv_filters: int = Field(30, ge=1)
    """Channels of the first convolution."""
    first_conv_kernel_size: int = 5
    """Slices that the first convolution sees."""
    stride: int = Field(3, ge=1, le=MAX_STRIDE)
    """Slices (10 ms each) from one inference to the next."""
    pointwise_filters: Counts = written("60,60,60,60")
    """Channels of each block."""
    mixconv_kernel_sizes: KernelGroups = written("[5],[9],[13],[21]")
    """Kernel sizes of each block; a block's channels are shared out between its kernels."""
    repeat_in_block: Counts = written("1,1,1,1")
    """How often each block is repeated."""
    residual_connection: Switches = written("0,0,0,0")
    """1 adds a block's input to its output."""
    dropout_rate: float = Field(0.0, ge=0, lt=1)
    """Share of the head's inputs that training drops."""
    l2_regularization: float = Field(0.0, ge=0)
    """Weight of the squared convolution and head kernels in the loss."""

    @model_validator(mode="after")
    def _blocks_fit(self) -> Self:
        if self.first_conv_kernel_size < self.stride:
            raise ValueError(
                f"model.first_conv_kernel_size {self.first_conv_kernel_size} is below model.stride, which is"
                f" {self.stride}: slices would be skipped; give {self.stride} or more"
            )
        blocks = len(self.pointwise_filters)
        for name in ("mixconv_kernel_sizes", "repeat_in_block", "residual_connection"):
            if (count := len(getattr(self, name))) != blocks:
                raise ValueError(
                    f"model.{name} has {count} entries, but model.pointwise_filters has {blocks}; give one entry a"
                    " block to each"
                )
        channels = self.first_conv_filters
        for block, (kernels, filters, repeat) in enumerate(
            zip(self.mixconv_kernel_sizes, self.pointwise_filters, self.repeat_in_block, strict=True), 1
        ):
            narrowest = channels if repeat == 1 else min(channels, filters)
            if len(kernels) > narrowest:
                raise ValueError(
                    f"model.mixconv_kernel_sizes: block {block} shares {narrowest} channels between {len(kernels)}"
                    " kernels; give fewer kernels, or more channels in model.first_conv_filters or"
                    " model.pointwise_filters"
                )
            channels = filters
        return self

    @property
    def context_frames(self) -> tuple[int, ...]:
        """Past frames that each repetition of each block needs, in order: the largest kernel less one."""
        return tuple(
            max(kernels) - 1
            for kernels, repeat in zip(self.mixconv_kernel_sizes, self.repeat_in_block, strict=True)
            for _ in range(repeat)
        )
