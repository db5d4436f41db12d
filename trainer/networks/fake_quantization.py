"""The exported model's int8 arithmetic in float32, with gradients: fake quantisation at the tensors of its graph.

Sources: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
(2018), and Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference" (2018); the tensors and
their scales are those that TensorFlow's converter gives the streaming graph, which tests compare.

- Values are levels: whole numbers above and below a tensor's zero point, as float32. Products of levels and their sums
  are whole too and mostly below 2^24, so they are the integer kernels' accumulators.
- A tensor's scale and zero point come from the lowest and highest value that representative data give it. The int8
  features have the contract's. What only moves data (ring buffers, slices, the join of a MixConv) keeps the scale.
- Weights have a scale an output channel, max |w| / 127, and a bias is a whole number of input times weight scale, as
  the converter has them. Batch normalisation is folded into the pointwise convolution by its running statistics.
- Rounding passes gradients unchanged (the straight-through estimate), a clamp passes none outside its range. A scale is
  no variable: none reaches it.

Imports TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.networks import graph
from trainer.networks.channel_first import first_convolution, mixconv, of_positions
from wakeword import contract

WEIGHT_LEVELS = 127
"""The converter gives weights the narrow range: -127 to 127, zero point 0."""
INT8_LEVELS, INT8_LOWEST = 255, -128
_EXPONENT_PLACE, _MANTISSA = 1 << 52, 1 << 31
"""Of the exponent's lowest bit in a float64; steps of a multiplier's mantissa."""
_BEFORE_ADDITION = "_pointwise"
"""Ends the name of the tensor that a residual is added to. The interpreter that TensorFlow calibrates with writes the
sum over it, and its range comes to hold the sum's."""
_INPUT_SCALE = float(np.float32(contract.INPUT_SCALE))
"""As the file has it."""
_SMALLEST_SCALE = 1e-12
"""Of a channel whose weights are all 0."""


class FakeQuantised:
    """The logits of a model from `build_model` as its int8 export computes them; variables are read at each call.

    Activations lie as `[channels, frames, batch]`, as in `ChannelFirst`. It has no ranges until `collect` is called.
    """

    compiled = True

    def __init__(self, model: Any, config: NetworkConfig, representative: NDArray[Any]) -> None:
        """`representative` is one stream of float32 features `[slices, 40]`, on which ranges are collected."""
        self._layers = {layer.name: layer for layer in model.layers}
        self._config, self._representative = config, representative
        self.tensors = tensor_names(config)
        self.ranges = keras.Variable(np.zeros((len(self.tensors), 2), np.float32), trainable=False, name="ranges")
        """Lowest and highest value of each of `tensors`, float32 `[tensors, 2]`."""
        self._seen: dict[str, Any] | None = None
        self._streaming = False

    @property
    def variables(self) -> list[Any]:
        """What a step reads besides the model."""
        return [self.ranges]

    def collect(self) -> None:
        """Take the ranges that the float model, its normalisations folded, gives the representative stream, as the
        converter's calibration takes them.
        """
        self._seen, self._streaming = {}, True
        try:
            self._slide(self._representative)
            for name in self.tensors:
                if name.endswith(_BEFORE_ADDITION):
                    own, sums = self._seen[name], self._seen[name.removesuffix(_BEFORE_ADDITION)]
                    self._seen[name] = tf.stack([tf.minimum(own[0], sums[0]), tf.maximum(own[1], sums[1])])
            self.ranges.assign(tf.stack([self._seen[name] for name in self.tensors]))
        finally:
            self._seen, self._streaming = None, False

    def quantisations(self) -> dict[str, tuple[float, int]]:
        """Scale and zero point of each tensor."""
        result = {}
        for name, bounds in zip(self.tensors, self.ranges.numpy(), strict=True):
            scale, zero_point = _quantisation(bounds)
            result[name] = float(scale), int(zero_point)
        return result

    def train(self, features: Any) -> Any:
        """Float32 `[batch, slices, 40]` to float32 `[batch]`; drops inputs of the head out, and leaves the
        normalisations' statistics as they are.
        """
        return self._window(features, training=True)

    def infer(self, features: Any) -> Any:
        """Float32 `[batch, slices, 40]` to float32 `[batch]`."""
        return self._window(features, training=False)

    def slide(self, features: Any) -> Any:
        """Float32 `[slices, 40]` to one float32 logit a stride, `[(slices - window) // stride + 1]`."""
        return self._slide(features)

    def stream(self, features: Any) -> Any:
        """Float32 `[slices, 40]` since boot to the logits of all inferences, `[slices // stride]`; ring buffers hold
        zeros at first, as the device's do.
        """
        self._streaming = True
        try:
            return self._slide(features)
        finally:
            self._streaming = False

    def _window(self, features: Any, *, training: bool) -> Any:
        net, scale = self._encode(features)
        channels, frames, batch = net.shape
        flat = tf.reshape(tf.transpose(net, (2, 1, 0)), (batch, frames * channels))
        if training and self._config.dropout_rate:
            flat = self._layers["dropout"](flat, training=True)
        weights, scales, bias = self._head(scale)
        levels, scale = self._border("logit", tf.matmul(flat, weights)[:, 0] + bias, scale, scales)
        return levels * scale

    def _slide(self, features: Any) -> Any:
        net, scale = self._encode(tf.convert_to_tensor(features, tf.float32)[None])
        weights, scales, bias = self._head(scale)
        heard = tf.reshape(weights, (-1, net.shape[0]))
        net = self._with_history(net[:, :, 0], heard.shape[0] - 1)
        levels, scale = self._border("logit", of_positions(net, heard) + bias, scale, scales)
        return levels * scale

    def _encode(self, features: Any) -> tuple[Any, Any]:
        """Levels of the last block's output and their scale."""
        net, scale = self._first(features)
        for block in range(len(self._config.pointwise_filters)):
            net, scale = self._block(net, scale, block)
        return net, scale

    def _first(self, features: Any) -> tuple[Any, Any]:
        kernel, stride = self._layers["first_conv"].kernel[:, 0], self._config.stride
        weights, scales = self._weights(kernel, axes=(0, 1))
        scale = 1.0 if self._seen is not None else _INPUT_SCALE
        # The features are multiples of the scale already: this undoes the dequantisation.
        levels = features if self._seen is not None else tf.round(features / scale)
        past = self._config.first_conv_kernel_size - stride
        levels = tf.pad(levels, ((0, 0), (past, 0), (0, 0))) if self._streaming and past else levels
        product = first_convolution(levels, weights, stride)
        return self._border("first_conv", product, scale, scales[:, None, None], relu=True)

    def _block(self, net: Any, scale: Any, block: int) -> tuple[Any, Any]:
        config, residual = self._config, None
        if config.residual_connection[block]:
            residual = self._border(f"block{block}_residual", *self._pointwise(net, scale, f"block{block}_residual"))
        for repetition in range(config.repeat_in_block[block]):
            name = f"block{block}_{repetition}"
            net = self._with_history(net, max(config.mixconv_kernel_sizes[block]) - 1)
            net, scale = self._border(f"{name}_depthwise", *self._depthwise(net, scale, name, block))
            product = self._pointwise(net, scale, name)
            if residual is None:
                net, scale = self._border(name, *product, relu=True)
                continue
            (net, scale), (past, past_scale) = self._border(f"{name}{_BEFORE_ADDITION}", *product), residual
            past = past[:, past.shape[1] - net.shape[1] :]
            net, scale = self._border(name, net * scale + past * past_scale, 1.0, 1.0, relu=True)
        return net, scale

    def _depthwise(self, net: Any, scale: Any, name: str, block: int) -> tuple[Any, Any, Any]:
        """Accumulators, with the scales of inputs and weights."""
        groups = range(len(self._config.mixconv_kernel_sizes[block]))
        layers = [self._layers[f"{name}_depthwise{group}"] for group in groups]
        quantised = [self._weights(tf.transpose(layer.kernel[:, 0, :, 0]), axes=(1,), keep=True) for layer in layers]
        scales = tf.concat([scales[:, 0] for _, scales in quantised], axis=0)
        bias = self._bias(tf.concat([layer.bias for layer in layers], axis=0), scale * scales)
        product = mixconv(net, [weights for weights, _ in quantised])
        return product + bias[:, None, None], scale, scales[:, None, None]

    def _pointwise(self, net: Any, scale: Any, name: str) -> tuple[Any, Any, Any]:
        """Accumulators of the 1x1 convolution with its normalisation, and the scales of inputs and weights."""
        kernel, norm = tf.transpose(self._layers[f"{name}_pointwise"].kernel[0, 0]), self._layers[f"{name}_norm"]
        factor = norm.gamma * tf.math.rsqrt(norm.moving_variance + norm.epsilon)
        weights, scales = self._weights(kernel * factor[:, None], axes=(1,), keep=True)
        scales = scales[:, 0]
        bias = self._bias(norm.beta - norm.moving_mean * factor, scale * scales)
        channels, frames, batch = net.shape
        product = tf.matmul(weights, tf.reshape(net, (channels, frames * batch)))
        return tf.reshape(product + bias[:, None], (-1, frames, batch)), scale, scales[:, None, None]

    def _head(self, scale: Any) -> tuple[Any, Any, Any]:
        """Levels of the weights `[inputs, 1]`, their scale and the bias."""
        head = self._layers[graph.HEAD]
        weights, scales = self._weights(head.kernel, axes=(0, 1))
        return weights, scales, self._bias(head.bias, scale * scales)

    def _weights(self, kernel: Any, axes: Sequence[int], *, keep: bool = False) -> tuple[Any, Any]:
        """Levels of weights and the scale of each channel; `axes` are those within one."""
        highest = tf.stop_gradient(tf.reduce_max(tf.abs(kernel), axis=axes, keepdims=keep))
        if self._seen is not None:
            return kernel, tf.ones_like(highest)
        scales = tf.maximum(highest / WEIGHT_LEVELS, _SMALLEST_SCALE)
        return _rounded(kernel / scales), scales

    def _bias(self, bias: Any, scales: Any) -> Any:
        return bias if self._seen is not None else _rounded(bias / tf.stop_gradient(scales))

    def _border(
        self, name: str, accumulators: Any, scale: Any, weight_scales: Any, *, relu: bool = False
    ) -> tuple[Any, Any]:
        """Accumulators, a step of which is worth the product of both scales, as levels of one of the graph's tensors,
        and its scale.

        While ranges are collected, values stay as they are, at a scale of 1.
        """
        if self._seen is not None:
            values = tf.nn.relu(accumulators) if relu else accumulators
            self._seen[name] = tf.stack([tf.reduce_min(values), tf.reduce_max(values)])
            return values, 1.0
        output_scale, zero_point = _quantisation(self.ranges.value[self.tensors.index(name)])
        lowest = INT8_LOWEST - zero_point
        levels = _requantised(accumulators, scale, weight_scales, output_scale)
        # The lowest value of a range behind a ReLU is 0, so this clamp is the ReLU too.
        return tf.clip_by_value(levels, lowest, lowest + INT8_LEVELS), output_scale

    def _with_history(self, net: Any, past: int) -> Any:
        """Frames of a whole stream behind what a ring buffer holds after boot, on the second axis."""
        return tf.pad(net, ((0, 0), (past, 0), (0, 0))[: len(net.shape)]) if self._streaming and past else net


def tensor_names(config: NetworkConfig) -> list[str]:
    """The tensors of an exported graph whose ranges are collected, in the order in which they are computed."""
    names = ["first_conv"]
    for block, residual in enumerate(config.residual_connection):
        names += [f"block{block}_residual"] if residual else []
        for repetition in range(config.repeat_in_block[block]):
            name = f"block{block}_{repetition}"
            names += [f"{name}_depthwise", *([f"{name}{_BEFORE_ADDITION}"] if residual else []), name]
    return [*names, "logit"]


def _quantisation(bounds: Any) -> tuple[Any, Any]:
    """Scale and zero point of a range, as the converter nudges it: it holds 0, which is a level."""
    lowest, highest = tf.minimum(bounds[0], 0.0), tf.maximum(bounds[1], 0.0)
    scale = tf.maximum((highest - lowest) / INT8_LEVELS, _SMALLEST_SCALE)
    return scale, tf.clip_by_value(tf.round(INT8_LOWEST - lowest / scale), INT8_LOWEST, INT8_LOWEST + INT8_LEVELS)


def _requantised(accumulators: Any, scale: Any, weight_scales: Any, output_scale: Any) -> Any:
    """Accumulators as levels of a tensor, rounded as TFLM's kernels round, with the gradient of no rounding.

    The kernels take the multiplier as a mantissa of 31 bits and a power of two, and round after each: first up, then
    half away from zero (`MultiplyByQuantizedMultiplier` with double rounding; see `wakeword.engines.fixed_point`).
    Rounded once, two levels of a thousand would be others, and in float32 one of ten thousand.
    """
    values = accumulators * (scale * weight_scales / output_scale)
    multiplier = _double(scale) * _double(weight_scales) / _double(output_scale)
    # A float64 is its exponent and its mantissa: 2 ** -exponent is exact.
    exponents = tf.bitcast(multiplier, tf.int64) // _EXPONENT_PLACE - 1022
    power = tf.bitcast((1023 - tf.minimum(exponents, 0)) * _EXPONENT_PLACE, tf.float64)
    mantissa = tf.floor(multiplier * power * _MANTISSA + 0.5) / _MANTISSA
    high = tf.floor(_double(accumulators) * mantissa + 0.5)
    away = tf.where((high < 0) & (power > 1), 1.0 / power, tf.zeros_like(power))
    return values + tf.stop_gradient(tf.cast(tf.floor(high / power + 0.5 - away), tf.float32) - values)


def _double(values: Any) -> Any:
    return tf.cast(tf.stop_gradient(tf.convert_to_tensor(values, tf.float32)), tf.float64)


def _rounded(values: Any) -> Any:
    """To whole numbers, with the gradient of no rounding."""
    return values + tf.stop_gradient(tf.round(values) - values)
