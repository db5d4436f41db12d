"""The training window's graph as a few matrix products, for the training step.

The same numbers from the same weights as `build_model`'s layers in training, computed in another order:

- Activations lie as `[channels, batch, frames]`. A depthwise convolution is then one batched product: each channel's `[batch, frames]`
  with that channel's banded (Toeplitz) matrix, which holds its kernel once an output frame. That is several times the multiplications
  and still faster on a CPU than a depthwise convolution, for products run near the machine's peak and the
  convolutions do not; all kernel sizes of a block go into one product.
- The pointwise convolutions and the first one are plain products.

Imports TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainer.mixednet import graph
from trainer.mixednet.config import MixedNetConfig
from wakeword import contract


class ChannelFirst:
    """The logits of a model from `build_model` on a batch of training; its variables are read and its statistics kept up to date."""

    def __init__(self, model: Any, config: MixedNetConfig, compute_dtype: str = "float32") -> None:
        """`compute_dtype` is what the products multiply in; statistics, logits and weights are float32 whatever it is."""
        self._layers = {layer.name: layer for layer in model.layers}
        self._config = config
        self._dtype = tf.as_dtype(compute_dtype)

    def __call__(self, features: Any) -> Any:
        """Float32 `[batch, slices, 40]` to float32 `[batch]`; normalises by the batch's statistics and moves the running ones."""
        net = self._first(features)
        for block in range(len(self._config.pointwise_filters)):
            net = self._block(net, block)
        return self._head(net)

    def _first(self, features: Any) -> Any:
        """The first convolution. Rows of `stride` slices do not overlap, so each is multiplied once, with all parts of the kernel that meet
        it in one frame or another, and the products are shifted and added; patches would be a copy of twice the input."""
        kernel, stride = self._layers["first_conv"].kernel[:, 0], self._config.stride
        taps, channels, filters = kernel.shape
        parts = -(-taps // stride)
        batch, slices = features.shape[0], features.shape[1]
        frames = (slices - taps) // stride + 1
        rows = frames + parts - 1
        end = rows * stride
        features = tf.pad(features, ((0, 0), (0, end - slices), (0, 0))) if end > slices else features[:, :end]
        padded = tf.reshape(tf.pad(kernel, ((0, parts * stride - taps), (0, 0), (0, 0))), (parts, stride * channels, filters))
        weights = tf.reshape(tf.transpose(padded, (1, 0, 2)), (stride * channels, parts * filters))
        product = tf.matmul(self._cast(tf.reshape(features, (batch * rows, stride * channels))), self._cast(weights))
        product = tf.reshape(product, (batch, rows, parts, filters))
        net = tf.add_n([product[:, part : part + frames, part] for part in range(parts)])
        return tf.nn.relu(tf.transpose(net, (2, 0, 1)))

    def _block(self, net: Any, block: int) -> Any:
        residual = self._pointwise(net, f"block{block}_residual") if self._config.residual_connection[block] else None
        for repetition in range(self._config.repeat_in_block[block]):
            name = f"block{block}_{repetition}"
            convolutions = [self._layers[f"{name}_depthwise{group}"] for group in range(len(self._config.mixconv_kernel_sizes[block]))]
            bias = tf.concat([convolution.bias for convolution in convolutions], axis=0)
            net = self._pointwise(self._mixconv(net, convolutions), name, bias)
            if residual is not None:
                residual = residual[:, :, residual.shape[2] - net.shape[2] :]
                net += residual
            net = tf.nn.relu(net)
        return net

    def _mixconv(self, net: Any, convolutions: list[Any]) -> Any:
        """The depthwise convolutions of all kernel sizes without their biases, in one batched product."""
        kernels = [tf.transpose(convolution.kernel[:, 0, :, 0]) for convolution in convolutions]
        longest = max(kernel.shape[1] for kernel in kernels)
        # All kernels end at the same frame, so a shorter one has zeros before it.
        taps = tf.concat([tf.pad(kernel, ((0, 0), (longest - kernel.shape[1], 0))) for kernel in kernels], axis=0)
        return tf.matmul(net, self._cast(banded(taps, net.shape[2])), transpose_b=True)

    def _pointwise(self, net: Any, name: str, bias: Any = None) -> Any:
        """The 1x1 convolution of inputs that lack a bias, and its normalisation over batch and frames.

        The normalisation takes any constant of a channel out again: the bias is seen in the running mean alone and has no gradient. In the
        plain graph its gradient is zero but for rounding, which Adam makes a random walk of.
        """
        weights = tf.transpose(self._layers[f"{name}_pointwise"].kernel[0, 0])
        channels, batch, frames = net.shape
        product = tf.matmul(self._cast(weights), tf.reshape(net, (channels, batch * frames)))
        norm = self._layers[f"{name}_norm"]
        mean, variance = tf.nn.moments(tf.cast(product, tf.float32), axes=[1])
        constant = 0.0 if bias is None else tf.linalg.matvec(weights, bias)
        for running, now in ((norm.moving_mean, mean + constant), (norm.moving_variance, variance)):
            running.assign(running * norm.momentum + now * (1.0 - norm.momentum))
        scale = norm.gamma * tf.math.rsqrt(variance + norm.epsilon)
        shifted = product * self._cast(scale)[:, None] + self._cast(norm.beta - mean * scale)[:, None]
        return tf.reshape(shifted, (-1, batch, frames))

    def _head(self, net: Any) -> Any:
        head = self._layers[graph.HEAD]
        channels, batch, frames = net.shape
        net = tf.cast(net, tf.float32)
        if self._config.dropout_rate:
            # The layer itself, on its own layout: its random numbers are those of the plain graph.
            flat = tf.reshape(tf.transpose(net, (1, 2, 0)), (batch, frames * channels))
            return (tf.matmul(self._layers["dropout"](flat, training=True), head.kernel) + head.bias)[:, 0]
        weights = tf.transpose(tf.reshape(head.kernel, (frames, channels)))
        return tf.reduce_sum(net * weights[:, None, :], axis=(0, 2)) + head.bias

    def _cast(self, values: Any) -> Any:
        return tf.cast(values, self._dtype)


def banded(taps: Any, frames: int) -> Any:
    """The Toeplitz matrices of kernels: `[channels, k]` to `[channels, frames - k + 1, frames]`, row n holding the kernel from column n on.

    Rows of `frames + 1` laid end to end and read as rows of `frames` begin one column later each: no gather, and a cheap gradient.
    """
    channels, size = taps.shape
    rows = frames - size + 1
    padded = tf.tile(tf.pad(taps, ((0, 0), (0, frames + 1 - size))), (1, rows))
    return tf.reshape(padded[:, : rows * frames], (channels, rows, frames))


def dequantised(features: Any) -> Any:
    """Int8 features as the exported model's input dequantises them; the tensor form of `scaling.dequantise`."""
    return (tf.cast(features, tf.float32) - contract.INPUT_ZERO_POINT) * contract.INPUT_SCALE
