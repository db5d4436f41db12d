"""The graphs of a MixedNet: over a training window, and streaming as the device runs it.

For the same weights and the same slices both give the same probability (to float32 rounding), as `SlidingModel` does
over a recording.
"""

from __future__ import annotations

from typing import Any

from trainer.config.lengths import fit_slices, head_frames
from trainer.config.mixednet import MixedNetConfig
from trainer.mixednet import graph
from wakeword import contract
from wakeword.errors import ConfigError


def build_model(config: MixedNetConfig, slices: int) -> Any:
    """The model over one window: float32 `[batch, slices, 40]` to a probability `[batch, 1]`, a `keras.Model`.

    Raises `ConfigError` when the model cannot read a window of exactly `slices` (see `fit_slices`).
    """
    import keras

    _check_slices(config, slices)
    features = keras.Input((slices, contract.FEATURE_CHANNELS), name="features")
    net = graph.encode(features, config)
    return keras.Model(features, graph.dense_head(net, config), name="mixednet")


def logit_model(model: Any) -> Any:
    """The same layers up to the logit, for a loss without the sigmoid's rounding; weights are shared, not copied."""
    import keras

    return keras.Model(model.input, model.get_layer(graph.HEAD).output, name="mixednet_logit")


def build_streaming(config: MixedNetConfig, slices: int) -> Any:
    """The model as the device runs it: float32 `[1, stride, 40]` to a probability `[1, 1]`, with its past in ring
    buffers.

    Raises `ConfigError` as `build_model` does.
    """
    import keras

    from trainer.mixednet.layers import RingBuffer

    def ring(net: Any, count: int, name: str) -> Any:
        return RingBuffer(count, name=name)(net) if count else net

    _check_slices(config, slices)
    features = keras.Input((config.stride, contract.FEATURE_CHANNELS), batch_size=1, name="features")
    net = graph.encode(features, config, ring)
    net = ring(net, head_frames(config, slices) - 1, "head_ring")
    return keras.Model(features, graph.dense_head(net, config), name="mixednet_streaming")


def streaming_clone(model: Any, config: MixedNetConfig, slices: int) -> Any:
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


def _check_slices(config: MixedNetConfig, slices: int) -> None:
    fitting = fit_slices(config, slices)
    if fitting != slices:
        raise ConfigError(
            f"a training window of {slices} slices leaves {slices - fitting} unread by this model; take {fitting}"
        )
