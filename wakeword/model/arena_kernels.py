"""Memory that the device's kernels ask for beside the structures that all operators have: in `Prepare`, and while they
run.

Sources, public: `Prepare` of each kernel in tflite-micro; for scratch buffers esp-nn 1.1.2 on an ESP32-S3,
`esp_nn_conv_esp32s3.c` and `esp_nn_depthwise_conv_s8_esp32s3.c` (`esp_nn_get_*_scratch_size`), those of other versions
in `esp_nn`; for MEAN, the head that tflite-micro plans on a host, which the tests compare with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from wakeword.model.flatbuffer import SAME_PADDING, Operator, Subgraph

BUFFER_ALIGNMENT = 16
"""Bytes; `MicroArenaBufferAlignment()`."""

Sizes = Callable[[Subgraph, Operator], list[int]]
"""Bytes of each buffer that an operator's `Prepare` asks for."""


@dataclass(frozen=True)
class ConvolutionForm:
    """The form of a CONV_2D or DEPTHWISE_CONV_2D. Shapes are [1, height, width, channels]; those of a CONV_2D's filters
    [filters, height, width, channels], of a DEPTHWISE_CONV_2D's [1, height, width, channels * multiplier].
    """

    source: tuple[int, ...]
    weights: tuple[int, ...]
    output: tuple[int, ...]
    strides: tuple[int, int]
    """Height, width."""
    padding: tuple[int, int]
    """Rows and columns before the first one (`ComputePadding`); there may be more behind the last."""

    @property
    def pointwise(self) -> bool:
        """A filter of 1 x 1 at each place."""
        return self.weights[1:3] == (1, 1) and self.strides == (1, 1) and self.padding == (0, 0)


@dataclass(frozen=True)
class KnownError:
    """A form that a version of ESP-NN computes wrongly, or is reported to."""

    operator: str
    what: str
    source: str
    """Address of the report."""
    concerns: Callable[[ConvolutionForm], bool]


@dataclass(frozen=True)
class EspNn:
    """One version of ESP-NN's kernels on an ESP32-S3; see `wakeword.model.esp_nn`."""

    version: str
    note: str
    """Who has it."""
    source: str
    """Where its rules were read."""
    conv: Callable[[ConvolutionForm], int]
    """Scratch bytes of a CONV_2D."""
    depthwise: Callable[[ConvolutionForm], int]
    """Scratch bytes of a DEPTHWISE_CONV_2D."""
    errors: tuple[KnownError, ...] = ()
    remark: str = ""
    """What is known to be wrong with it whatever the form; empty for nothing."""


Scratch = Callable[[Subgraph, Operator, EspNn | None], list[int]]
"""Bytes of each scratch buffer of an operator with ESP-NN's kernels; with None, those of a host's reference kernels."""


def aligned(size: int, alignment: int = BUFFER_ALIGNMENT) -> int:
    """`size` rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment


# --- as long as the interpreter lives ---------------------------------------------------------------------------------


def nothing(_graph: Subgraph, _operator: Operator) -> list[int]:
    """No further memory."""
    return []


def per_filter(axis: int) -> Sizes:
    """Multiplier and shift of each output channel, which the filter has along this axis."""

    def sizes(graph: Subgraph, operator: Operator) -> list[int]:
        return [4 * graph.tensors[operator.inputs[1]].shape[axis]] * 2

    return sizes


def per_scale(graph: Subgraph, operator: Operator) -> list[int]:
    """Multiplier and shift of each output channel where the weights have several scales."""
    channels = len(graph.tensors[operator.inputs[1]].scales)
    return [4 * channels] * 2 if channels > 1 else []


def per_input(_graph: Subgraph, operator: Operator) -> list[int]:
    """Scales and zero points of the inputs."""
    return [4 * len(operator.inputs)] * 2


# --- while they run ---------------------------------------------------------------------------------------------------


def no_scratch(_graph: Subgraph, _operator: Operator, _kernels: EspNn | None) -> list[int]:
    """No scratch buffer."""
    return []


def mean_scratch(graph: Subgraph, operator: Operator, _kernels: EspNn | None) -> list[int]:
    """`reduce_common.cc`: int32 sums, the counters of the walk over the input, the resolved axes."""
    shapes = [graph.tensors[index].shape for index in (operator.outputs[0], *operator.inputs[:2])]
    return [math.prod(shapes[0]) * 4, len(shapes[1]) * 4, math.prod(shapes[2]) * 4]


def conv_scratch(graph: Subgraph, operator: Operator, kernels: EspNn | None) -> list[int]:
    """Of a CONV_2D."""
    return [] if kernels is None else [kernels.conv(convolution_of(graph, operator))]


def depthwise_scratch(graph: Subgraph, operator: Operator, kernels: EspNn | None) -> list[int]:
    """Of a DEPTHWISE_CONV_2D."""
    return [] if kernels is None else [kernels.depthwise(convolution_of(graph, operator))]


def conv_scratch_bytes(
    input_shape: tuple[int, ...], filter_shape: tuple[int, ...], strides: tuple[int, int], padding: tuple[int, int]
) -> int:
    """Scratch that ESP-NN 1.1.2 asks for a CONV_2D, in bytes (`esp_nn_get_conv_scratch_size_esp32s3`).

    `input_shape` is [1, height, width, channels], `filter_shape` [filters, height, width, channels]; strides and
    padding are (height, width). A filter other than 1 x 1 is copied whole, its channels padded to 16.
    """
    _, height, width, channels = input_shape
    filters, filter_height, filter_width, _ = filter_shape
    alignment = 32
    if (filter_height, filter_width) == (1, 1) and strides == (1, 1) and padding == (0, 0):
        padded = aligned(channels, 8)
        inputs = height * width * padded if channels % 8 else 0
        transposed = 2 * 8 * padded if height * width >= 8 else 0
        return inputs + padded * filters + transposed + alignment
    inputs = 0 if padding == (0, 0) else (width + 2 * padding[1]) * (height + 2 * padding[0]) * channels
    return inputs + filter_width * filter_height * aligned(channels, 16) * filters + 4 * filters + alignment


def depthwise_scratch_bytes(
    input_shape: tuple[int, ...],
    filter_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    strides: tuple[int, int],
    padding: tuple[int, int],
) -> int:
    """Scratch that ESP-NN 1.1.2 asks for a DEPTHWISE_CONV_2D, in bytes
    (`esp_nn_get_depthwise_conv_scratch_size_esp32s3`).

    Shapes as in `conv_scratch_bytes`, the filter [1, height, width, channels * multiplier]. The k x 1 filters of a
    streaming model take the 32 bytes of the plain C path.
    """
    _, height, width, channels = input_shape
    _, filter_height, filter_width, filter_channels = filter_shape
    multiplier = filter_channels // channels
    filter_bytes, input_bytes = filter_width * filter_height * filter_channels, height * width * channels
    if multiplier == 1 and channels % 8 == 0 and (filter_height, filter_width) == (3, 3):
        if channels % 16:
            return 2 * (filter_bytes + input_bytes) + 16
        extra = (2 * padding[0], 2 * padding[1])
        if padding == (0, 0):
            extra = (
                output_shape[1] * strides[0] + filter_height - 1 - height,
                output_shape[2] * strides[1] + filter_width - 1 - width,
            )
        padded = (width + extra[1]) * (height + extra[0]) * channels if any(extra) else 0
        return filter_bytes + padded + 16
    if multiplier % 4 == 0:
        return 2 * (filter_bytes + input_bytes) + 16
    return 32


def convolution_of(graph: Subgraph, operator: Operator) -> ConvolutionForm:
    """The form of a convolution in a graph."""
    source, weights, output = (graph.tensors[index].shape for index in (*operator.inputs[:2], operator.outputs[0]))
    strides = (int(operator.options.strideH), int(operator.options.strideW))
    if int(operator.options.padding) != SAME_PADDING:
        return ConvolutionForm(source, weights, output, strides, (0, 0))
    height, width = (
        max(0, ((output[axis] - 1) * strides[axis - 1] + weights[axis] - source[axis]) // 2) for axis in (1, 2)
    )
    return ConvolutionForm(source, weights, output, strides, (height, width))
