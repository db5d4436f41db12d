"""What each layer of a network costs: parameters, multiply-accumulates an inference, bytes of state, bytes of weights
on the device.

Conventions: an inference is one call of the streaming model, every `stride` slices of 10 ms. A multiply-accumulate
(MAC) is one product that is added up in a convolution or in the head; biases, activations and copying of states are not
counted, as is usual. Parameters are Keras's, batch normalisation's four a channel included; on the device that is
folded into the weights before it. Weights are int8, biases int32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.config.architecture import Chain
from trainer.config.lengths import channel_groups, head_frames
from trainer.config.network import NetworkConfig
from trainer.networks.models import refuse_off_devices
from wakeword.contract import FEATURE_CHANNELS

NORMALISATION_PARAMETERS = 4
"""Scale, offset, mean and variance of a channel."""


@dataclass(frozen=True)
class LayerCost:
    """One layer with what belongs to it: its ring buffer before, its normalisation behind."""

    name: str
    parameters: int
    macs: int
    state_bytes: int
    """Of the ring buffer that keeps its past, int8."""
    weight_bytes: int
    """Int8 weights and int32 biases on the device."""


def layer_costs(config: NetworkConfig, slices: int) -> tuple[LayerCost, ...]:
    """Every layer of the model for windows of so many `slices`, in order. Raises `ConfigError` for a network that no
    device runs.
    """
    refuse_off_devices(config)
    return tuple(_layers(config, slices) if config.chain is None else _chain(config, config.chain, slices))


def _layers(config: NetworkConfig, slices: int) -> Iterator[LayerCost]:
    kernel = config.first_conv_kernel_size * FEATURE_CHANNELS * config.first_conv_filters
    # The converter gives the first convolution a bias even though the model has none.
    yield LayerCost(
        "first_conv",
        kernel,
        kernel,
        (config.first_conv_kernel_size - config.stride) * FEATURE_CHANNELS,
        kernel + 4 * config.first_conv_filters,
    )
    channels = config.first_conv_filters
    shapes = zip(
        config.pointwise_filters,
        config.mixconv_kernel_sizes,
        config.repeat_in_block,
        config.residual_connection,
        strict=True,
    )
    for block, (filters, kernels, repeat, residual) in enumerate(shapes):
        if residual:
            yield _pointwise(f"block{block}_residual", channels, filters)
        for repetition in range(repeat):
            taps = sum(
                size * kernel for size, kernel in zip(channel_groups(channels, len(kernels)), kernels, strict=True)
            )
            state = (max(kernels) - 1) * channels
            yield LayerCost(f"block{block}_{repetition}_depthwise", taps + channels, taps, state, taps + 4 * channels)
            yield _pointwise(f"block{block}_{repetition}_pointwise", channels, filters)
            channels = filters
    frames = head_frames(config, slices)
    weights = frames * channels
    yield LayerCost("head", weights + 1, weights, (frames - 1) * channels, weights + 4)


def _chain(config: NetworkConfig, chain: Chain, slices: int) -> Iterator[LayerCost]:
    columns, channels = chain.first_columns, chain.first_channels
    for place, (one, columns_out) in enumerate(zip(chain.convolutions, chain.columns, strict=True)):
        new = 1 if place else config.stride
        kernel = one.time * one.mel * channels * one.filters
        yield LayerCost(
            f"conv{place}",
            kernel + NORMALISATION_PARAMETERS * one.filters,
            kernel * ((columns - one.mel) // one.mel_stride + 1),
            (one.time - new) * columns * channels,
            kernel + 4 * one.filters,
        )
        columns, channels = columns_out, one.filters
    frames = head_frames(config, slices)
    inputs, state = frames * columns * channels, (frames - 1) * columns * channels
    for name, units in (*((f"dense{place}", dense.units) for place, dense in enumerate(chain.dense)), ("head", 1)):
        weights = inputs * units
        yield LayerCost(name, weights + units, weights, state, weights + 4 * units)
        inputs, state = units, 0


def _pointwise(name: str, channels: int, filters: int) -> LayerCost:
    weights = channels * filters
    return LayerCost(name, weights + NORMALISATION_PARAMETERS * filters, weights, 0, weights + 4 * filters)
