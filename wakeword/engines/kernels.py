"""TFLM's int8 kernels over a whole recording: the same integers, for all invocations at once.

Each builder checks once that its operator is of a form it computes exactly, and returns a function of the operator's
input values. Sums of products are taken in float32 GEMMs where every partial sum stays below 2**24 and is therefore
exact, in float64 otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakeword.engines.fixed_point import INT8_MAX, INT8_MIN, Multiplier, activation_range, quantise_multiplier
from wakeword.engines.windows import Value, Windows, as_array
from wakeword.model.flatbuffer import VALID_PADDING, Operator, Subgraph, Tensor

Kernel = Callable[[Sequence[Value]], Value | list[Value]]
"""An operator at work: the values of its data inputs to its output, or to a list of several."""

EXACT_FLOAT32 = 1 << 24
ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}
ADD_LEFT_SHIFT = 20


class UnsupportedGraph(Exception):
    """The graph has a part that is not computed exactly here; the reference engine must run it."""


def require(condition: bool, reason: str) -> None:
    """Raise `UnsupportedGraph` with the reason unless the condition holds."""
    if not condition:
        raise UnsupportedGraph(reason)


class _Output:
    """Requantisation of accumulators into an output tensor: multiplier, zero point, clamp."""

    def __init__(self, tensor: Tensor, multiplier: Multiplier, activation: int) -> None:
        require(activation in ACTIVATIONS, f"fused activation {activation}")
        require(
            tensor.type_name == "INT8" and len(tensor.scales) == 1, f"output {tensor.name!r} is not int8 per tensor"
        )
        self._multiplier = multiplier
        self._zero_point = tensor.zero_point
        self._low, self._high = activation_range(ACTIVATIONS[activation], tensor.scale, tensor.zero_point)

    def __call__(self, accumulators: NDArray[np.int64]) -> NDArray[np.int8]:
        scaled = self._multiplier.apply(accumulators)
        scaled += self._zero_point
        return np.clip(scaled, self._low, self._high, out=scaled).astype(np.int8)


def _weights(tensor: Tensor) -> NDArray[np.int8]:
    require(tensor.data is not None and tensor.type_name == "INT8", f"weights {tensor.name!r} are no int8 constant")
    assert tensor.data is not None
    require(bool(np.all(tensor.zero_points == 0)), f"weights {tensor.name!r} have a zero point")
    return tensor.data


def _exact_dtype(weights: NDArray[np.int8], sum_axes: tuple[int, ...]) -> type[np.floating[Any]]:
    """float32 where 255 * sum(|w|), the largest partial sum, is exact in it."""
    largest = int(255 * np.abs(weights.astype(np.int64)).sum(axis=sum_axes).max())
    return np.float32 if largest < EXACT_FLOAT32 else np.float64


def _bias(graph: Subgraph, operator: Operator, channels: int) -> NDArray[np.int64]:
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return np.zeros(channels, np.int64)
    bias = graph.tensors[operator.inputs[2]]
    require(bias.data is not None and bias.type_name == "INT32", f"bias {bias.name!r} is no int32 constant")
    assert bias.data is not None
    return bias.data.astype(np.int64)


def _per_channel(source: Tensor, weights: Tensor, output: Tensor) -> Multiplier:
    """`PopulateConvolutionQuantizationParams`: the product of scales in float64."""
    return quantise_multiplier(source.scale * weights.scales.astype(np.float64) / output.scale)


def convolution(graph: Subgraph, operator: Operator) -> Kernel:
    """CONV_2D over rows and columns: any kernel, VALID padding (or 1x1), any strides."""
    source, weights, output = (graph.tensors[i] for i in (*operator.inputs[:2], *operator.outputs))
    kernel = _weights(weights)
    channels_out, height, width, channels_in = kernel.shape
    options = operator.options
    require(source.shape[3] == channels_in, "grouped CONV_2D")
    require(height == width == 1 or options.padding == VALID_PADDING, "CONV_2D with SAME padding")
    require(options.dilationHFactor == options.dilationWFactor == 1, "CONV_2D with dilation")
    bias = _bias(graph, operator, channels_out)
    dtype = _exact_dtype(kernel, (1, 2, 3))
    matrix = np.ascontiguousarray(kernel.reshape(channels_out, -1).T.astype(dtype))
    zero_point, stride, column_stride = dtype(source.zero_point), int(options.strideH), int(options.strideW)
    finish = _Output(output, _per_channel(source, weights, output), options.fusedActivationFunction)
    columns_out = (source.shape[2] - width) // column_stride + 1

    def run(values: Sequence[Value]) -> Value:
        value = as_array(values[0])
        rows_out = (value.shape[1] - height) // stride + 1
        patches = [
            value[:, row * stride : row * stride + height, column * column_stride : column * column_stride + width]
            for row in range(rows_out)
            for column in range(columns_out)
        ]
        flat = patches[0] if len(patches) == 1 else np.stack(patches, axis=1)
        flat = flat.reshape(len(value) * len(patches), height * width * channels_in).astype(dtype) - zero_point
        accumulators = (flat @ matrix).astype(np.int64) + bias
        return finish(accumulators).reshape(len(value), rows_out, columns_out, channels_out)

    return run


def depthwise_convolution(graph: Subgraph, operator: Operator) -> Kernel:
    """DEPTHWISE_CONV_2D over rows: width 1, depth multiplier 1, VALID padding, stride 1."""
    source, weights, output = (graph.tensors[i] for i in (*operator.inputs[:2], *operator.outputs))
    kernel = _weights(weights)
    _, height, width, channels = kernel.shape
    options = operator.options
    require(width == 1 and source.shape[2] == 1, "DEPTHWISE_CONV_2D over more than one column")
    require(source.shape[3] == channels, "DEPTHWISE_CONV_2D with a depth multiplier")
    require(height == 1 or options.padding == VALID_PADDING, "DEPTHWISE_CONV_2D with SAME padding")
    require(
        options.strideH == options.strideW == options.dilationHFactor == 1, "DEPTHWISE_CONV_2D with stride or dilation"
    )
    bias = _bias(graph, operator, channels)
    dtype = _exact_dtype(kernel, (0, 1, 2))
    taps = kernel[0, :, 0].astype(dtype)
    zero_point = dtype(source.zero_point)
    finish = _Output(output, _per_channel(source, weights, output), options.fusedActivationFunction)

    def run(values: Sequence[Value]) -> Value:
        value = values[0]
        if isinstance(value, Windows):
            centred = value.base.astype(dtype) - zero_point  # once, not once a tap
            rows = [value.row(index, centred)[:, 0] for index in range(value.rows)]
        else:
            centred = value.astype(dtype) - zero_point
            rows = [centred[:, index, 0] for index in range(value.shape[1])]
        outputs = []
        product = np.empty((len(rows[0]), channels), dtype)
        for row_out in range(len(rows) - height + 1):
            accumulators = rows[row_out] * taps[0]
            for tap in range(1, height):
                accumulators += np.multiply(rows[row_out + tap], taps[tap], out=product)
            outputs.append(finish(accumulators.astype(np.int64) + bias))
        return np.stack(outputs, axis=1)[:, :, None, :]

    return run


def fully_connected(graph: Subgraph, operator: Operator) -> Kernel:
    """FULLY_CONNECTED of everything that one invocation holds."""
    source, weights, output = (graph.tensors[i] for i in (*operator.inputs[:2], *operator.outputs))
    kernel = _weights(weights)
    bias = _bias(graph, operator, len(kernel))
    dtype = _exact_dtype(kernel, (1,))
    matrix = np.ascontiguousarray(kernel.T.astype(dtype))
    zero_point = dtype(source.zero_point)
    if len(weights.scales) == 1:
        # GetQuantizedConvolutionMultipler multiplies the two scales in float32.
        product = np.float64(source.scales[0] * weights.scales[0])
        multiplier = quantise_multiplier(product / output.scale)
    else:
        multiplier = _per_channel(source, weights, output)
    finish = _Output(output, multiplier, operator.options.fusedActivationFunction)

    def run(values: Sequence[Value]) -> Value:
        value = as_array(values[0])
        flat = value.reshape(len(value), -1).astype(dtype) - zero_point
        require(flat.shape[1] == matrix.shape[0], "FULLY_CONNECTED over a batch")
        return finish((flat @ matrix).astype(np.int64) + bias)

    return run


def add(graph: Subgraph, operator: Operator) -> Kernel:
    """ADD of two int8 values (`CalculateOpDataAdd`, left shift 20), with broadcasting."""
    first, second, output = (graph.tensors[i] for i in (*operator.inputs, *operator.outputs))
    # The larger scale is chosen and doubled before the division, all in float64.
    twice = 2 * max(first.scale, second.scale)
    first_multiplier, second_multiplier = (
        quantise_multiplier(first.scale / twice),
        quantise_multiplier(second.scale / twice),
    )
    finish = _Output(
        output,
        quantise_multiplier(twice / ((1 << ADD_LEFT_SHIFT) * output.scale)),
        operator.options.fusedActivationFunction,
    )

    def run(values: Sequence[Value]) -> Value:
        left, right = (as_array(value).astype(np.int64) for value in values)
        scaled = first_multiplier.apply((left - first.zero_point) << ADD_LEFT_SHIFT)
        return finish(scaled + second_multiplier.apply((right - second.zero_point) << ADD_LEFT_SHIFT))

    return run


def multiply(graph: Subgraph, operator: Operator) -> Kernel:
    """MUL of two int8 values (`CalculateOpDataMul`), with broadcasting."""
    first, second, output = (graph.tensors[i] for i in (*operator.inputs, *operator.outputs))
    finish = _Output(
        output, quantise_multiplier(first.scale * second.scale / output.scale), operator.options.fusedActivationFunction
    )

    def run(values: Sequence[Value]) -> Value:
        left, right = (as_array(value).astype(np.int64) for value in values)
        return finish((left - first.zero_point) * (right - second.zero_point))

    return run


def mean(graph: Subgraph, operator: Operator) -> Kernel:
    """MEAN over any axes but the batch (`QuantizedMeanOrSum`, and the plain division where no rescaling is needed)."""
    source, axes_tensor, output = (graph.tensors[i] for i in (*operator.inputs, *operator.outputs))
    require(axes_tensor.data is not None, "MEAN over computed axes")
    assert axes_tensor.data is not None
    axes = tuple(sorted(int(axis) % len(source.shape) for axis in np.atleast_1d(axes_tensor.data)))
    require(0 not in axes, "MEAN over the batch")
    keep = bool(operator.options.keepDims)
    count = int(np.prod([source.shape[axis] for axis in axes]))
    plain = quantise_multiplier(source.scale / output.scale)
    shift = min(count.bit_length() - 1, 32, 31 + int(plain.shift[0]))
    averaging = Multiplier((plain.quantised << shift) // count, plain.shift - shift)
    same = source.zero_point == output.zero_point and source.scale == output.scale
    # With both axes kept the kernel always rescales; otherwise equal quantisation is a C division, toward zero.
    divides = same and not (keep and len(source.shape) == 4 and axes == (1, 2))

    def run(values: Sequence[Value]) -> Value:
        values_64 = as_array(values[0]).astype(np.int64)
        total: NDArray[np.int64] = values_64.sum(axis=axes, keepdims=True) if keep else values_64.sum(axis=axes)
        if divides:
            toward_zero: NDArray[np.int64] = np.sign(total) * (np.abs(total) // count)
            return toward_zero.astype(np.int8)
        result = averaging.apply(total - source.zero_point * count) + output.zero_point
        return np.clip(result, INT8_MIN, INT8_MAX).astype(np.int8)

    return run


def pool(graph: Subgraph, operator: Operator) -> Kernel:
    """AVERAGE_POOL_2D over rows and MAX_POOL_2D over rows and columns, VALID padding: half away from zero, no
    rescaling.
    """
    source, output = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    options = operator.options
    height, stride = int(options.filterHeight), int(options.strideH)
    width, column_stride = int(options.filterWidth), int(options.strideW)
    one_column = width == source.shape[2] == 1
    require(
        options.padding == VALID_PADDING or (one_column and height == source.shape[1] == stride),
        "pooling with SAME padding",
    )
    averages = operator.name == "AVERAGE_POOL_2D"
    require(one_column or not averages, "averages over more than one column")
    columns_out = (source.shape[2] - width) // column_stride + 1
    require(options.fusedActivationFunction in ACTIVATIONS, "pooling with an unknown activation")
    low, high = activation_range(ACTIVATIONS[options.fusedActivationFunction], output.scale, output.zero_point)

    def run(values: Sequence[Value]) -> Value:
        value = as_array(values[0])
        rows_out = (value.shape[1] - height) // stride + 1
        pooled: list[NDArray[np.int64]] = []
        for row in range(rows_out):
            for column in range(columns_out):
                left = column * column_stride
                patch = value[:, row * stride : row * stride + height, left : left + width]
                if averages:
                    total = patch.sum(axis=(1, 2), dtype=np.int64)
                    rounded = np.abs(total) + height // 2
                    pooled.append(np.sign(total) * (rounded // height))
                else:
                    pooled.append(patch.max(axis=(1, 2)).astype(np.int64))
        stacked = np.stack(pooled, axis=1).reshape(len(value), rows_out, columns_out, -1)
        result: NDArray[np.int8] = np.clip(stacked, low, high).astype(np.int8)
        return result

    return run


def requantise(graph: Subgraph, operator: Operator) -> Kernel:
    """QUANTIZE of int8 to int8 or uint8 (`Requantize`)."""
    source, output = (graph.tensors[i] for i in (*operator.inputs, *operator.outputs))
    require(
        source.type_name == "INT8" and output.type_name in ("INT8", "UINT8"),
        f"QUANTIZE of {source.type_name} to {output.type_name}",
    )
    multiplier = quantise_multiplier(source.scale / output.scale)
    limits = np.iinfo(output.dtype)

    def run(values: Sequence[Value]) -> Value:
        scaled = multiplier.apply(as_array(values[0]).astype(np.int64) - source.zero_point) + output.zero_point
        result: NDArray[Any] = np.clip(scaled, limits.min, limits.max).astype(output.dtype)
        return result

    return run


def logistic(graph: Subgraph, operator: Operator) -> Kernel:
    """LOGISTIC by table: all 256 values are read off TFLM's own kernel, so its arithmetic need not be repeated."""
    from wakeword.engines.tables import logistic_table

    source, output = (graph.tensors[i] for i in (*operator.inputs, *operator.outputs))
    require(source.type_name == output.type_name == "INT8", "LOGISTIC that is not int8")
    table = logistic_table(source.scale, source.zero_point, output.scale, output.zero_point)

    def run(values: Sequence[Value]) -> Value:
        return table[as_array(values[0]).astype(np.int16) - INT8_MIN]

    return run
