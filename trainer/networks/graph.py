"""The layers of MixedNet, once, for every graph that is made of them, and the head of all networks that stream.

Every graph is the same chain of the same named layers. They differ in where a convolution's past frames come from,
which a `History` says; weights go from one graph to another by layer name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer.config.lengths import channel_groups
from trainer.config.network import NetworkConfig
from wakeword import contract
from wakeword.errors import ConfigError

HEAD, EMBEDDING = "head", "flatten"
"""Names of the layers that give the logit, and what goes into all dense layers: the encoder's output."""

History = Callable[[Any, int, str], Any]
"""`(frames, count, name)` puts `count` past frames before the new ones."""


def encode(features: Any, config: NetworkConfig, history: History | None = None) -> Any:
    """Chain the layers before the head: float32 `[batch, slices, 40]` to `[batch, frames, 1, channels]`.

    Without a `history` the graph sees a whole window, which each convolution then shortens.
    """
    from keras import layers

    # The 40 mel channels are the convolutions' channels; expand_dims would become an operator that the device lacks.
    net = layers.Reshape((features.shape[1], 1, contract.FEATURE_CHANNELS), name="channels")(features)
    net = _with_history(net, config.first_conv_kernel_size - config.stride, "first_conv_ring", history)
    net = layers.Conv2D(
        config.first_conv_filters,
        (config.first_conv_kernel_size, 1),
        strides=(config.stride, 1),
        use_bias=False,
        kernel_regularizer=regulariser(config),
        name="first_conv",
    )(net)
    net = layers.ReLU(name="first_relu")(net)
    for block in range(len(config.pointwise_filters)):
        net = _block(net, block, config, history)
    return net


def _block(net: Any, block: int, config: NetworkConfig, history: History | None) -> Any:
    from keras import layers

    filters, kernels = config.pointwise_filters[block], config.mixconv_kernel_sizes[block]
    residual = None
    if config.residual_connection[block]:
        residual = _pointwise(net, filters, f"block{block}_residual", config)
    for repetition in range(config.repeat_in_block[block]):
        name = f"block{block}_{repetition}"
        net = _mixconv(net, kernels, name, config, history)
        net = _pointwise(net, filters, name, config)
        if residual is not None:
            # Valid padding takes frames off the front; a graph with a history has lost none.
            lost = 0 if history else max(kernels) - 1
            residual = residual[:, lost:] if lost else residual
            net = layers.Add(name=f"{name}_add")([net, residual])
        net = layers.ReLU(name=f"{name}_relu")(net)
    return net


def _mixconv(net: Any, kernels: tuple[int, ...], name: str, config: NetworkConfig, history: History | None) -> Any:
    """One depthwise convolution a kernel size, each over its share of the channels, all ending at the same frame."""
    from keras import layers, ops

    longest = max(kernels)
    net = _with_history(net, longest - 1, f"{name}_ring", history)
    sizes = channel_groups(net.shape[-1], len(kernels))
    # Positions, not a count: a count becomes SPLIT, which the device does not register; positions become SPLIT_V.
    shares = (
        ops.split(net, [sum(sizes[:group]) for group in range(1, len(sizes))], axis=-1) if len(sizes) > 1 else [net]
    )
    outputs = []
    for group, (share, kernel) in enumerate(zip(shares, kernels, strict=True)):
        recent = share if kernel == longest else share[:, longest - kernel :]
        convolution = layers.DepthwiseConv2D(
            (kernel, 1), depthwise_regularizer=regulariser(config), name=f"{name}_depthwise{group}"
        )
        outputs.append(convolution(recent))
    return outputs[0] if len(outputs) == 1 else layers.Concatenate(name=f"{name}_concat")(outputs)


def _with_history(net: Any, count: int, name: str, history: History | None) -> Any:
    return history(net, count, name) if history and count else net


def _pointwise(net: Any, filters: int, name: str, config: NetworkConfig) -> Any:
    from keras import layers

    net = layers.Conv2D(filters, 1, use_bias=False, kernel_regularizer=regulariser(config), name=f"{name}_pointwise")(
        net
    )
    return layers.BatchNormalization(name=f"{name}_norm")(net)


def regulariser(config: NetworkConfig) -> Any:
    """What the kernels of a network cost, or None."""
    from keras import regularizers

    return regularizers.L2(config.l2_regularization) if config.l2_regularization else None


def dense_head(net: Any, config: NetworkConfig) -> Any:
    """A probability from all frames: `[batch, frames, 1, channels]` to float32 `[batch, 1]`."""
    from keras import layers

    net = layers.Flatten(name=EMBEDDING)(net)
    net = layers.Dropout(config.dropout_rate, name="dropout")(net)
    for place, dense in enumerate(config.chain.dense if config.chain else ()):
        activation = "relu" if dense.relu else None
        net = layers.Dense(
            dense.units, activation=activation, kernel_regularizer=regulariser(config), name=f"dense{place}"
        )(net)
    net = layers.Dense(1, kernel_regularizer=regulariser(config), name=HEAD)(net)
    return layers.Activation("sigmoid", name="probability")(net)


def copy_weights(source: Any, target: Any) -> None:
    """Give each layer of `target` that has trained weights those of the layer of the same name in `source`.

    Raises `ConfigError` when a layer is missing or its weights have another shape: the models were not built from one
    configuration.
    """
    known = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        if not layer.weights or layer.name.endswith("_ring"):
            continue
        values = known[layer.name].get_weights() if layer.name in known else []
        if [value.shape for value in values] != [tuple(weight.shape) for weight in layer.weights]:
            raise ConfigError(
                f"layer {layer.name} differs between the two models; use the configuration that the weights were"
                " trained with"
            )
        layer.set_weights(values)
