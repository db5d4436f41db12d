"""How the shape of a network is written: lists with an entry a block or a layer, and the keys that all architectures
share.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from trainer.config.base import Section

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


class SharedKeys(Section):
    """Keys of every architecture."""

    stride: int = Field(3, ge=1, le=MAX_STRIDE)
    """Slices (10 ms each) from one inference to the next."""
    dropout_rate: float = Field(0.0, ge=0, lt=1)
    """Share of the inputs of the last layers that training drops."""
    l2_regularization: float = Field(0.0, ge=0)
    """Weight of the squared convolution and dense kernels in the loss."""
