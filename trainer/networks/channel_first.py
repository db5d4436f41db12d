"""A MixedNet's arithmetic in another order, for the training step and for whole recordings.

The same numbers from the same weights as the layers of `build_model`, with activations that lie as
`[channels, frames, batch]`:

- The pointwise convolutions and the first one are plain matrix products, the pointwise ones without a copy of their
  inputs.
- A depthwise convolution is `trainer.networks.depthwise`.

Imports TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from trainer.config.network import NetworkConfig
from trainer.networks import graph
from trainer.networks.depthwise import depthwise
from wakeword import contract


class ChannelFirst:
    """The logits of a model from `build_model`, whose variables are read at each call."""

    compiled = True

    def __init__(self, model: Any, config: NetworkConfig, compute_dtype: str = "float32") -> None:
        """`compute_dtype` is what the products of the convolutions multiply in; all else is float32 whatever it is."""
        self._layers = {layer.name: layer for layer in model.layers}
        self._config = config
        self._dtype = tf.as_dtype(compute_dtype)

    def train(self, features: Any) -> Any:
        """Float32 `[batch, slices, 40]` to float32 `[batch]`; normalises by the batch's statistics and moves the
        running ones.
        """
        return self._head(self._encode(features, training=True), training=True)

    def infer(self, features: Any) -> Any:
        """Float32 `[batch, slices, 40]` to float32 `[batch]`; normalises by the running statistics, drops nothing out
        and changes nothing.
        """
        return self._head(self._encode(features, training=False), training=False)

    def slide(self, features: Any) -> Any:
        """Float32 `[slices, 40]` to one float32 logit a stride, `[(slices - window) // stride + 1]`; normalises by the
        running statistics.
        """
        net = self._encode(features[None], training=False)[:, :, 0]
        head = self._layers[graph.HEAD]
        return of_positions(net, tf.reshape(head.kernel, (-1, net.shape[0]))) + head.bias

    def train_embedded(self, features: Any) -> tuple[Any, Any]:
        """See `Arithmetic.train_embedded`."""
        net = self._encode(features, training=True)
        channels, frames, batch = net.shape
        return self._head(net, training=True), tf.transpose(tf.reshape(net, (channels * frames, batch)))

    def _encode(self, features: Any, *, training: bool) -> Any:
        net = self._first(features)
        for block in range(len(self._config.pointwise_filters)):
            net = self._block(net, block, training=training)
        return net

    def _first(self, features: Any) -> Any:
        kernel = self._layers["first_conv"].kernel[:, 0]
        return tf.nn.relu(first_convolution(features, kernel, self._config.stride, self._matmul))

    def _block(self, net: Any, block: int, *, training: bool) -> Any:
        residual = (
            self._pointwise(net, f"block{block}_residual", training=training)
            if self._config.residual_connection[block]
            else None
        )
        for repetition in range(self._config.repeat_in_block[block]):
            name = f"block{block}_{repetition}"
            convolutions = [
                self._layers[f"{name}_depthwise{group}"]
                for group in range(len(self._config.mixconv_kernel_sizes[block]))
            ]
            bias = tf.concat([convolution.bias for convolution in convolutions], axis=0)
            net = mixconv(net, [tf.transpose(convolution.kernel[:, 0, :, 0]) for convolution in convolutions])
            net = self._pointwise(net, name, bias, training=training)
            if residual is not None:
                residual = residual[:, residual.shape[1] - net.shape[1] :]
                net += residual
            net = tf.nn.relu(net)
        return net

    def _pointwise(self, net: Any, name: str, bias: Any = None, *, training: bool) -> Any:
        """The 1x1 convolution of inputs that lack a bias, and its normalisation over batch and frames.

        In training the normalisation takes any constant of a channel out again: the bias is seen in the running mean
        alone and has no gradient. In the plain graph its gradient is zero but for rounding, which Adam makes a random
        walk of.
        """
        weights, norm = tf.transpose(self._layers[f"{name}_pointwise"].kernel[0, 0]), self._layers[f"{name}_norm"]
        channels, frames, batch = net.shape
        product = self._matmul(weights, tf.reshape(net, (channels, frames * batch)))
        constant = 0.0 if bias is None else tf.linalg.matvec(weights, bias)
        if training:
            mean, variance = _moments(product)
            for running, now in ((norm.moving_mean, mean + constant), (norm.moving_variance, variance)):
                running.assign(running * norm.momentum + now * (1.0 - norm.momentum))
        else:
            mean, variance = norm.moving_mean - constant, norm.moving_variance
        scale = norm.gamma * tf.math.rsqrt(variance + norm.epsilon)
        return tf.reshape(product * scale[:, None] + (norm.beta - mean * scale)[:, None], (-1, frames, batch))

    def _head(self, net: Any, *, training: bool) -> Any:
        head = self._layers[graph.HEAD]
        channels, frames, batch = net.shape
        if training and self._config.dropout_rate:
            # The layer itself, on its own layout: its random numbers are those of the plain graph.
            flat = tf.reshape(tf.transpose(net, (2, 1, 0)), (batch, frames * channels))
            return (tf.matmul(self._layers["dropout"](flat, training=True), head.kernel) + head.bias)[:, 0]
        weights = tf.reshape(tf.transpose(tf.reshape(head.kernel, (frames, channels))), (1, channels * frames))
        return tf.matmul(weights, tf.reshape(net, (channels * frames, batch)))[0] + head.bias

    def _matmul(self, left: Any, right: Any, *, transpose_b: bool = False) -> Any:
        product = tf.matmul(tf.cast(left, self._dtype), tf.cast(right, self._dtype), transpose_b=transpose_b)
        return tf.cast(product, tf.float32)


def first_convolution(features: Any, kernel: Any, stride: int, matmul: Callable[..., Any] = tf.matmul) -> Any:
    """Float32 `[batch, slices, channels]` and `[taps, channels, filters]` to `[filters, frames, batch]`.

    Rows of `stride` slices do not overlap, so each is multiplied once, with all parts of the kernel that meet it in one
    frame or another, and the products are shifted and added; patches would be a copy of twice the input.
    """
    taps, channels, filters = kernel.shape
    parts = -(-taps // stride)
    batch, slices = features.shape[0], features.shape[1]
    frames = (slices - taps) // stride + 1
    rows = frames + parts - 1
    end = rows * stride
    features = tf.pad(features, ((0, 0), (0, end - slices), (0, 0))) if end > slices else features[:, :end]
    # Rows before samples is the order wanted of the product, and here it moves whole rows.
    inputs = tf.transpose(tf.reshape(features, (batch, rows, stride * channels)), (1, 0, 2))
    padded = tf.reshape(
        tf.pad(kernel, ((0, parts * stride - taps), (0, 0), (0, 0))), (parts, stride * channels, filters)
    )
    weights = tf.reshape(tf.transpose(padded, (0, 2, 1)), (parts * filters, stride * channels))
    product = matmul(weights, tf.reshape(inputs, (rows * batch, stride * channels)), transpose_b=True)
    product = tf.reshape(product, (parts, filters, rows, batch))
    return tf.add_n([product[part, :, part : part + frames] for part in range(parts)])


def mixconv(net: Any, kernels: Sequence[Any]) -> Any:
    """The depthwise convolutions of all kernel sizes without their biases, each over its share of the channels, all
    ending at the same frame; a kernel is float32 `[channels, taps]`.
    """
    longest = max(kernel.shape[1] for kernel in kernels)
    outputs, first = [], 0
    for kernel in kernels:
        channels, size = kernel.shape
        outputs.append(depthwise(net[first : first + channels, longest - size :], kernel))
        first += channels
    return tf.concat(outputs, axis=0)


def of_positions(net: Any, weights: Any) -> Any:
    """The head's products of one stream, float32 `[channels, frames]`, with `[heard, channels]`, at each position:
    `[frames - heard + 1]`.
    """
    heard = weights.shape[0]
    positions = net.shape[1] - heard + 1
    products = tf.matmul(weights, net)
    return tf.add_n([products[frame, frame : frame + positions] for frame in range(heard)])


def _moments(values: Any) -> tuple[Any, Any]:
    """Mean and variance of each row of float32 `[channels, n]`."""
    mean = _row_means(values)
    return mean, _row_means(tf.square(values - mean[:, None]))


def _row_means(values: Any) -> Any:
    """On a CPU by a product with ones, which adds in vectors, where a reduction adds number after number; a GPU may
    round a product's factors.
    """
    if tf.config.list_logical_devices("GPU"):
        return tf.reduce_mean(values, axis=1)
    count = values.shape[1]
    return tf.matmul(values, tf.ones((count, 1)))[:, 0] / count


def dequantised(features: Any) -> Any:
    """Int8 features as the exported model's input dequantises them; the tensor form of `scaling.dequantise`."""
    return (tf.cast(features, tf.float32) - contract.INPUT_ZERO_POINT) * contract.INPUT_SCALE
