"""Networks that are a chain of convolutions and dense layers (`trainer.config.architecture.Chain`): their layers before
the head, once for a training window and for the stream, and their arithmetic for steps and whole recordings.

Imports TensorFlow inside functions only.
"""

from __future__ import annotations

from typing import Any

from trainer.config.architecture import Chain
from trainer.config.lengths import head_frames
from trainer.config.network import NetworkConfig
from trainer.networks import graph


def encode(features: Any, chain: Chain, config: NetworkConfig, history: graph.History | None = None) -> Any:
    """Chain the convolutions: float32 `[batch, slices, 40]` to `[batch, frames, columns, channels]`.

    Without a `history` the graph sees a whole window, which each convolution then shortens.
    """
    from keras import layers

    shape = (features.shape[1], chain.first_columns, chain.first_channels)
    net = layers.Reshape(shape, name="channels")(features)
    for place, one in enumerate(chain.convolutions):
        name, stride = f"conv{place}", 1 if place else config.stride
        if history and one.time > stride:
            net = history(net, one.time - stride, f"{name}_ring")
        net = layers.Conv2D(
            one.filters,
            (one.time, one.mel),
            strides=(stride, one.mel_stride),
            use_bias=False,
            kernel_regularizer=graph.regulariser(config),
            name=name,
        )(net)
        net = layers.BatchNormalization(name=f"{name}_norm")(net)
        net = layers.ReLU(name=f"{name}_relu")(net)
        if one.mel_pool > 1:
            net = layers.MaxPooling2D((1, one.mel_pool), name=f"{name}_pool")(net)
    return net


class ChainArithmetic:
    """The logits of a chain's model from `build_model`, whose variables are read at each call; see `Arithmetic`."""

    compiled = True

    def __init__(self, model: Any, config: NetworkConfig, compute_dtype: str = "float32") -> None:
        """`compute_dtype` is what products multiply in; all else is float32 whatever it is."""
        import tensorflow as tf

        assert config.chain is not None
        self._layers = {layer.name: layer for layer in model.layers}
        self._config, self._chain = config, config.chain
        self._heard = head_frames(config, model.input_shape[1])
        self._dtype = tf.as_dtype(compute_dtype)

    def train(self, features: Any) -> Any:
        """See `Arithmetic.train`."""
        return self.train_embedded(features)[0]

    def infer(self, features: Any) -> Any:
        """See `Arithmetic.infer`."""
        return self._head(self._flat(features, training=False), training=False)

    def slide(self, features: Any) -> Any:
        """See `Arithmetic.slide`."""
        import tensorflow as tf

        net = self._encode(features[None], training=False)
        net = tf.reshape(net, (1, net.shape[1], -1))
        # The first dense layer over all windows is a convolution over time.
        for place, name in enumerate(self._dense_names):
            layer = self._layers[name]
            taps = 1 if place else self._heard
            kernel = tf.reshape(layer.kernel, (taps, net.shape[2], -1))
            product = tf.nn.conv1d(tf.cast(net, self._dtype), tf.cast(kernel, self._dtype), 1, "VALID")
            net = self._activated(tf.cast(product, tf.float32) + layer.bias, place)
        return net[0, :, 0]

    def train_embedded(self, features: Any) -> tuple[Any, Any]:
        """See `Arithmetic.train_embedded`."""
        flat = self._flat(features, training=True)
        return self._head(flat, training=True), flat

    def _flat(self, features: Any, *, training: bool) -> Any:
        import tensorflow as tf

        net = self._encode(features, training=training)
        return tf.reshape(net, (net.shape[0], -1))

    @property
    def _dense_names(self) -> list[str]:
        return [*(f"dense{place}" for place in range(len(self._chain.dense))), graph.HEAD]

    def _encode(self, features: Any, *, training: bool) -> Any:
        import tensorflow as tf

        batch, slices = features.shape[0], features.shape[1]
        net = tf.reshape(features, (batch, slices, self._chain.first_columns, self._chain.first_channels))
        for place, one in enumerate(self._chain.convolutions):
            kernel, norm = self._layers[f"conv{place}"].kernel, self._layers[f"conv{place}_norm"]
            strides = (1 if place else self._config.stride, one.mel_stride)
            product = tf.nn.conv2d(tf.cast(net, self._dtype), tf.cast(kernel, self._dtype), strides, "VALID")
            net = tf.nn.relu(norm(tf.cast(product, tf.float32), training=training))
            if one.mel_pool > 1:
                net = tf.nn.max_pool2d(net, (1, one.mel_pool), (1, one.mel_pool), "VALID")
        return net

    def _head(self, flat: Any, *, training: bool) -> Any:
        import tensorflow as tf

        net = self._layers["dropout"](flat, training=training) if self._config.dropout_rate else flat
        for place, name in enumerate(self._dense_names):
            layer = self._layers[name]
            product = tf.matmul(tf.cast(net, self._dtype), tf.cast(layer.kernel, self._dtype))
            net = self._activated(tf.cast(product, tf.float32) + layer.bias, place)
        return net[:, 0]

    def _activated(self, net: Any, place: int) -> Any:
        import tensorflow as tf

        return tf.nn.relu(net) if place < len(self._chain.dense) and self._chain.dense[place].relu else net
