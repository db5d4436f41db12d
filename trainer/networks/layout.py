"""The weights of a MixedNet as two vectors: what is trained, and the running statistics of its normalisations.

An optimizer, a running mean and a checkpoint then each are a few operations on one array, instead of one for each of
some thirty variables. A part lies in the order in which a step computes with it; Keras' own order is a reshape and a
transposition away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.lengths import channel_groups, head_frames
from trainer.config.network import NetworkConfig
from wakeword import contract

HEAD = "head"
"""The layer that gives the logit."""


@dataclass(frozen=True)
class VectorPart:
    """A variable of Keras in a vector."""

    path: str
    """Layer and variable: `first_conv/kernel`."""
    keras_shape: tuple[int, ...]
    shape: tuple[int, ...]
    """In the vector."""
    start: int
    transposed: bool = False
    """Whether its two axes lie the other way round in Keras."""

    @property
    def size(self) -> int:
        """Numbers."""
        return math.prod(self.shape)

    def of_keras(self, value: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part `[size]`, of a variable's value."""
        if not self.transposed:
            return value.reshape(-1)
        return value.reshape(self.shape[::-1]).T.reshape(-1)

    def to_keras(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        """A variable's value, of the part `[size]`."""
        if not self.transposed:
            return part.reshape(self.keras_shape)
        return part.reshape(self.shape).T.reshape(self.keras_shape)


@dataclass(frozen=True)
class Layout:
    """Where each part of a network lies. A part's shape is what `trainer.networks.pure` computes with: `[taps, 40,
    filters]` of the first convolution, `[channels, taps]` of a depthwise one, `[filters, channels]` of a pointwise one,
    `[channels, frames]` of the head.
    """

    trained: tuple[VectorPart, ...]
    statistics: tuple[VectorPart, ...]

    @classmethod
    def of(cls, network: NetworkConfig, slices: int) -> Layout:
        """Of a MixedNet over windows of so many slices."""
        trained, statistics = list(_trained(network, slices)), []
        for path, _, shape, _ in trained:
            if path.endswith("_norm/gamma"):
                layer = path.removesuffix("/gamma")
                statistics += [(f"{layer}/{name}", shape, shape, False) for name in _STATISTICS]
        return cls(_placed(trained), _placed(statistics))

    def of_keras(self, values: Mapping[str, NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both vectors, of the values of a model's variables by path."""
        trained, statistics = (
            np.concatenate([part.of_keras(values[part.path]) for part in parts])
            for parts in (self.trained, self.statistics)
        )
        return trained, statistics

    def to_keras(self, trained: NDArray[np.float32], statistics: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """The values of a model's variables by path, of both vectors."""
        return {
            part.path: part.to_keras(vector[part.start : part.start + part.size])
            for vector, parts in ((trained, self.trained), (statistics, self.statistics))
            for part in parts
        }


def split(vector: Any, parts: Sequence[VectorPart]) -> dict[str, Any]:
    """The parts of a vector by path, each in its shape; of NumPy or of JAX."""
    return {part.path: vector[part.start : part.start + part.size].reshape(part.shape) for part in parts}


_STATISTICS = ("moving_mean", "moving_variance")
_Described = tuple[str, tuple[int, ...], tuple[int, ...], bool]


def _trained(network: NetworkConfig, slices: int) -> Iterator[_Described]:
    """Path, shape in Keras, shape in the vector, and whether that is transposed."""
    channels = network.first_conv_filters
    taps = network.first_conv_kernel_size
    mel = contract.FEATURE_CHANNELS
    yield "first_conv/kernel", (taps, 1, mel, channels), (taps, mel, channels), False
    for block, filters in enumerate(network.pointwise_filters):
        if network.residual_connection[block]:
            yield from _pointwise(f"block{block}_residual", channels, filters)
        for repetition in range(network.repeat_in_block[block]):
            name, kernels = f"block{block}_{repetition}", network.mixconv_kernel_sizes[block]
            for group, (size, share) in enumerate(zip(kernels, channel_groups(channels, len(kernels)), strict=True)):
                yield f"{name}_depthwise{group}/kernel", (size, 1, share, 1), (share, size), True
                yield f"{name}_depthwise{group}/bias", (share,), (share,), False
            yield from _pointwise(name, channels, filters)
            channels = filters
    frames = head_frames(network, slices)
    yield f"{HEAD}/kernel", (frames * channels, 1), (channels, frames), True
    yield f"{HEAD}/bias", (1,), (1,), False


def _pointwise(name: str, channels: int, filters: int) -> Iterator[_Described]:
    yield f"{name}_pointwise/kernel", (1, 1, channels, filters), (filters, channels), True
    for variable in ("gamma", "beta"):
        yield f"{name}_norm/{variable}", (filters,), (filters,), False


def _placed(described: Sequence[_Described]) -> tuple[VectorPart, ...]:
    parts, start = [], 0
    for path, keras_shape, shape, transposed in described:
        parts.append(VectorPart(path, keras_shape, shape, start, transposed))
        start += parts[-1].size
    return tuple(parts)
