"""A MixedNet's training step as pure functions of JAX: the same numbers from the same weights as
`trainer.networks.channel_first`, with activations that lie as `[channels, frames, batch]`.

Gradients are written out where XLA would find slower ones: those of a depthwise convolution are shifted multiply-adds,
those of a normalisation three reductions. A barrier stands where a fusion would compute an activation again for each of
its readers.

Imports JAX, and no TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from trainer.config.network import NetworkConfig
from trainer.networks.layout import HEAD
from wakeword import contract

EPSILON, MOMENTUM = 1e-3, 0.99
"""Of Keras' normalisation."""
MOST_FRAMES_UNROLLED = 128
"""As in `trainer.networks.depthwise`."""

_barrier = lax.optimization_barrier
_matmul = partial(jnp.matmul, precision=lax.Precision.HIGHEST)
"""In float32 on a GPU too, which would round the factors to 19 bits."""


def train_logits(
    trained: dict[str, Any], features: Any, network: NetworkConfig
) -> tuple[Any, dict[str, tuple[Any, Any]]]:
    """Normalised by the batch's own statistics: logits float32 `[batch]`, and of each normalisation mean and variance,
    float32 `[channels]`, by the name of its layer.

    Args:
        trained: The weights, as `layout.split` gives them.
        features: Float32 `[batch, slices, 40]`, dequantised.
        network: A MixedNet.
    """
    seen: dict[str, tuple[Any, Any]] = {}

    def pointwise(net: Any, name: str, bias: Any = None) -> Any:
        channels, frames, batch = net.shape
        weights = trained[f"{name}_pointwise/kernel"]
        out, mean, variance = _normalised(
            net.reshape(channels, frames * batch), weights, *_scale_and_shift(trained, name)
        )
        # Any constant of a channel is taken out again: the bias is seen in the running mean alone.
        seen[f"{name}_norm"] = (mean if bias is None else mean + _matmul(weights, bias), variance)
        return out.reshape(-1, frames, batch)

    return _head(trained, _encode(trained, features, network, pointwise)), seen


def infer_logits(trained: dict[str, Any], statistics: dict[str, Any], features: Any, network: NetworkConfig) -> Any:
    """Normalised by the running statistics: logits float32 `[batch]`. Arguments as in `train_logits`."""

    def pointwise(net: Any, name: str, bias: Any = None) -> Any:
        channels, frames, batch = net.shape
        weights = trained[f"{name}_pointwise/kernel"]
        mean, variance = (statistics[f"{name}_norm/moving_{which}"] for which in ("mean", "variance"))
        gamma, beta = _scale_and_shift(trained, name)
        scale = gamma * lax.rsqrt(variance + EPSILON)
        shift = beta - (mean if bias is None else mean - _matmul(weights, bias)) * scale
        out = _matmul(weights, net.reshape(channels, frames * batch)) * scale[:, None] + shift[:, None]
        return out.reshape(-1, frames, batch)

    return _head(trained, _encode(trained, features, network, pointwise))


def dequantised(features: Any) -> Any:
    """Int8 features as the exported model's input dequantises them."""
    return (features.astype(jnp.float32) - contract.INPUT_ZERO_POINT) * contract.INPUT_SCALE


def _scale_and_shift(trained: dict[str, Any], name: str) -> tuple[Any, Any]:
    return trained[f"{name}_norm/gamma"], trained[f"{name}_norm/beta"]


def _encode(trained: dict[str, Any], features: Any, network: NetworkConfig, pointwise: Any) -> Any:
    net = _relu(_first_convolution(features, trained["first_conv/kernel"], network.stride))
    for block, sizes in enumerate(network.mixconv_kernel_sizes):
        residual = pointwise(net, f"block{block}_residual") if network.residual_connection[block] else None
        for repetition in range(network.repeat_in_block[block]):
            name = f"block{block}_{repetition}"
            layers = [f"{name}_depthwise{group}" for group in range(len(sizes))]
            bias = jnp.concatenate([trained[f"{layer}/bias"] for layer in layers])
            net = _mixconv(net, tuple(trained[f"{layer}/kernel"] for layer in layers))
            net = pointwise(net, name, lax.stop_gradient(bias))
            if residual is not None:
                residual = residual[:, residual.shape[1] - net.shape[1] :]
                net = net + residual
            net = _relu(net)
    return net


def _head(trained: dict[str, Any], net: Any) -> Any:
    weights = trained[f"{HEAD}/kernel"].reshape(1, -1)
    return _matmul(weights, net.reshape(-1, net.shape[2]))[0] + trained[f"{HEAD}/bias"][0]


def _first_convolution(features: Any, kernel: Any, stride: int) -> Any:
    """As `channel_first.first_convolution`: rows of `stride` slices are multiplied once, with all parts of the kernel
    that meet them, and the products are shifted and added.
    """
    taps, channels, filters = kernel.shape
    parts = -(-taps // stride)
    batch, slices = features.shape[:2]
    frames = (slices - taps) // stride + 1
    rows = frames + parts - 1
    end = rows * stride
    features = jnp.pad(features, ((0, 0), (0, max(0, end - slices)), (0, 0)))[:, :end]
    inputs = _barrier(jnp.transpose(features.reshape(batch, rows, stride * channels), (1, 0, 2)))
    padded = jnp.pad(kernel, ((0, parts * stride - taps), (0, 0), (0, 0))).reshape(parts, stride * channels, filters)
    weights = jnp.transpose(padded, (0, 2, 1)).reshape(parts * filters, stride * channels)
    product = _matmul(weights, inputs.reshape(rows * batch, stride * channels).T).reshape(parts, filters, rows, batch)
    return reduce(add, [product[part, :, part : part + frames] for part in range(parts)])


def _relu_alone(net: Any) -> Any:
    return _barrier(jnp.maximum(net, 0.0))


def _relu_forward(net: Any) -> tuple[Any, Any]:
    out = _relu_alone(net)
    return out, out


def _relu_backward(out: Any, upstream: Any) -> tuple[Any]:
    return (_barrier(jnp.where(out > 0, upstream, 0.0)),)


_relu: Any = jax.custom_vjp(_relu_alone)
_relu.defvjp(_relu_forward, _relu_backward)


def _mixconv_alone(net: Any, kernels: Sequence[Any]) -> Any:
    """The depthwise convolutions of all kernel sizes without their biases, each over its share of the channels, all
    ending at the same frame: float32 `[channels, frames, batch]` to `[channels, frames - longest + 1, batch]`; a kernel
    is float32 `[channels, taps]`.
    """
    longest = max(kernel.shape[1] for kernel in kernels)
    outputs, first = [], 0
    for kernel in kernels:
        channels, size = kernel.shape
        outputs.append(_shifted(net[first : first + channels, longest - size :], kernel))
        first += channels
    return _barrier(outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs))


def _mixconv_forward(net: Any, kernels: Sequence[Any]) -> tuple[Any, Any]:
    return _mixconv_alone(net, kernels), (net, kernels)


def _mixconv_backward(kept: tuple[Any, Sequence[Any]], upstream: Any) -> tuple[Any, tuple[Any, ...]]:
    net, kernels = kept
    longest, frames = max(kernel.shape[1] for kernel in kernels), upstream.shape[1]
    around = _barrier(jnp.pad(upstream, ((0, 0), (longest - 1, longest - 1), (0, 0))))
    of_net, of_kernels, first = [], [], 0
    for kernel in kernels:
        channels, size = kernel.shape
        mine, skipped = slice(first, first + channels), longest - size
        reached = around[mine, skipped : skipped + frames + 2 * (size - 1)]
        of_net.append(jnp.pad(_shifted(reached, kernel[:, ::-1]), ((0, 0), (skipped, 0), (0, 0))))
        of_kernels.append(_of_taps(net[mine, skipped:], upstream[mine], size))
        first += channels
    return _barrier(of_net[0] if len(of_net) == 1 else jnp.concatenate(of_net)), tuple(of_kernels)


_mixconv: Any = jax.custom_vjp(_mixconv_alone)
_mixconv.defvjp(_mixconv_forward, _mixconv_backward)


def _shifted(net: Any, taps: Any) -> Any:
    size = taps.shape[1]
    frames = net.shape[1] - size + 1
    return reduce(add, [taps[:, tap, None, None] * net[:, tap : tap + frames] for tap in range(size)])


def _of_taps(net: Any, upstream: Any, size: int) -> Any:
    """The gradient of each tap, `[channels, k]`: over frames and batch, a product of what went in and what came back.

    Where there are few frames it is a sum over the frames in one loop, kept for each sample, and then a sum over the
    batch: in one go XLA would add number after number.
    """
    frames = upstream.shape[1]
    if frames <= MOST_FRAMES_UNROLLED:
        products = [upstream[:, frame, None] * net[:, frame : frame + size] for frame in range(frames)]
        return jnp.sum(_barrier(reduce(add, products)), axis=2)
    return jnp.stack([jnp.sum(upstream * net[:, tap : tap + frames], axis=(1, 2)) for tap in range(size)], axis=1)


def _normalised_alone(inputs: Any, weights: Any, gamma: Any, beta: Any) -> tuple[Any, Any, Any]:
    """The product of weights `[filters, channels]` and inputs `[channels, n]`, each of its rows normalised over n
    (Ioffe and Szegedy, "Batch Normalization", 2015): `[filters, n]`, with mean and variance of the rows before,
    `[filters]`.
    """
    return _normalised_forward(inputs, weights, gamma, beta)[0]


def _normalised_forward(inputs: Any, weights: Any, gamma: Any, beta: Any) -> tuple[tuple[Any, Any, Any], Any]:
    product = _matmul(weights, inputs)
    mean = _row_sums(product) / product.shape[1]
    variance = _row_sums(jnp.square(product - mean[:, None])) / product.shape[1]
    inverse = lax.rsqrt(variance + EPSILON)
    scale = gamma * inverse
    out = product * scale[:, None] + (beta - mean * scale)[:, None]
    return (out, mean, variance), (inputs, weights, product, mean, inverse, gamma)


def _normalised_backward(kept: tuple[Any, ...], upstream: tuple[Any, Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Mean and variance go into the running statistics alone, so nothing comes back for them."""
    inputs, weights, product, mean, inverse, gamma = kept
    back, count = upstream[0], product.shape[1]
    centred = product - mean[:, None]
    of_beta = _row_sums(back)
    of_gamma = _row_sums(back * centred) * inverse
    scale = gamma * inverse
    of_product = _barrier(
        back * scale[:, None]
        - (scale * of_beta / count)[:, None]
        - centred * (scale * inverse * of_gamma / count)[:, None]
    )
    return _matmul(weights.T, of_product), _matmul(of_product, inputs.T), of_gamma, of_beta


_normalised: Any = jax.custom_vjp(_normalised_alone)
_normalised.defvjp(_normalised_forward, _normalised_backward)


def _row_sums(values: Any) -> Any:
    """`[rows, n]` to `[rows]`. On a CPU by a product with ones, which adds in vectors, where a reduction adds number
    after number.
    """
    if jax.default_backend() == "cpu":
        return jnp.matmul(_barrier(values), jnp.ones((values.shape[1], 1), values.dtype))[:, 0]
    return jnp.sum(values, axis=1)
