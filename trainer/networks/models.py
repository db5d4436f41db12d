"""The graphs of a network: over a training window, and streaming as the device runs it.

For the same weights and the same slices both give the same probability (to float32 rounding), as `SlidingModel` does
over a recording.
"""

from __future__ import annotations

from typing import Any

from trainer.config.lengths import fit_slices, head_frames
from trainer.config.network import NetworkConfig
from trainer.networks import chain, graph
from wakeword import contract
from wakeword.errors import ConfigError

NEXT = "_next"
"""Ends the name of a ring buffer that goes out of `build_stateless`."""


def build_model(config: NetworkConfig, slices: int) -> Any:
    """The model over one window: float32 `[batch, slices, 40]` to a probability `[batch, 1]`, a `keras.Model`.

    Raises `ConfigError` when the model cannot read a window of exactly `slices` (see `fit_slices`).
    """
    import keras

    _check_slices(config, slices)
    features = keras.Input((slices, contract.FEATURE_CHANNELS), name="features")
    if config.architecture == "bc_resnet":
        from trainer.networks import bc_resnet

        return keras.Model(features, bc_resnet.probability(features, config), name=config.architecture)
    return keras.Model(features, graph.dense_head(_encode(features, config), config), name=config.architecture)


def logit_model(model: Any) -> Any:
    """The same layers up to the logit, for a loss without the sigmoid's rounding; weights are shared, not copied."""
    import keras

    return keras.Model(model.input, model.get_layer(graph.HEAD).output, name=f"{model.name}_logit")


def build_streaming(config: NetworkConfig, slices: int) -> Any:
    """The model as the device runs it: float32 `[1, stride, 40]` to a probability `[1, 1]`, with its past in ring
    buffers.

    Raises `ConfigError` as `build_model` does.
    """
    import keras

    from trainer.networks.layers import RingBuffer

    features, probability = _stream(config, slices, lambda net, count, name: RingBuffer(count, name=name)(net))
    return keras.Model(features, probability, name=f"{config.architecture}_streaming")


def build_stateless(config: NetworkConfig, slices: int) -> Any:
    """The streaming model with its past as inputs and outputs, for formats that keep no state.

    Inputs: `features` float32 `[1, stride, 40]`, and a `..._ring` float32 `[1, frames, columns, channels]` a ring
    buffer (one column, but for networks that convolve over mel: `cnn`, `tiny_conv`). Outputs, by name: `probability`
    `[1, 1]`, and a `..._ring_next` a ring buffer, which the next call is given. Raises `ConfigError` as `build_model`
    does.
    """
    import keras

    rings: dict[str, Any] = {}
    following: dict[str, Any] = {}

    def ring(net: Any, count: int, name: str) -> Any:
        rings[name] = keras.Input((count, *net.shape[2:]), batch_size=1, name=name)
        joined = keras.layers.Concatenate(axis=1, name=f"{name}_joined")([rings[name], net])
        following[f"{name}{NEXT}"] = joined[:, -count:]
        return joined

    features, probability = _stream(config, slices, ring)
    outputs = {"probability": probability, **following}
    return keras.Model([features, *rings.values()], outputs, name=f"{config.architecture}_stateless")


def _stream(config: NetworkConfig, slices: int, ring: graph.History) -> tuple[Any, Any]:
    """Input and output of the graph as the device runs it; `ring` is asked where there is a past to keep."""
    import keras

    refuse_off_devices(config)
    _check_slices(config, slices)
    features = keras.Input((config.stride, contract.FEATURE_CHANNELS), batch_size=1, name="features")
    net = _encode(features, config, ring)
    past = head_frames(config, slices) - 1
    return features, graph.dense_head(ring(net, past, "head_ring") if past else net, config)


def _encode(features: Any, config: NetworkConfig, history: graph.History | None = None) -> Any:
    """The layers before the head."""
    if config.chain is None:
        return graph.encode(features, config, history)
    return chain.encode(features, config.chain, config, history)


def refuse_off_devices(config: NetworkConfig) -> None:
    """Raise `ConfigError` for a network that no device runs."""
    if config.of.off_devices:
        raise ConfigError(
            f"model.architecture is {config.architecture}, which cannot be exported: {config.of.off_devices}"
        )


def streaming_clone(model: Any, config: NetworkConfig, slices: int) -> Any:
    """A streaming model with the weights of one from `build_model`, its ring buffers empty.

    Raises `ConfigError` when `model` was built from another configuration or for another window.
    """
    streaming = build_streaming(config, slices)
    graph.copy_weights(model, streaming)
    return streaming


def reset_streaming(streaming: Any) -> None:
    """Empty the ring buffers, as after the device's boot."""
    for layer in streaming.layers:
        if layer.name.endswith("_ring"):
            layer.state.assign(layer.state * 0)


def _check_slices(config: NetworkConfig, slices: int) -> None:
    fitting = fit_slices(config, slices)
    if fitting != slices:
        raise ConfigError(
            f"a training window of {slices} slices leaves {slices - fitting} unread by this model; take {fitting}"
        )
