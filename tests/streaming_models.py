"""Random-weight streaming MixedNet-like models: graphs that the official models lack, small enough to run everywhere.

Every activation is also computed in float while the graph grows, over `_CALIBRATION_INVOCATIONS` invocations of made-up
features, and quantised by what it was seen to span; every convolution is normalised to unit spread. So no layer is dead
and hardly a value saturates, on speech features as on random ones.

Conventions: an activation's values have the shape [invocation, ...] of the tensor without its batch of 1; time is axis
1 of the tensor, rows a invocation times 10 ms times the strides before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tests.model_builder import NO_ACTIVATION, RELU, ModelBuilder
from wakeword import contract
from wakeword.model.flatbuffer import VALID_PADDING

type Floats = NDArray[np.float64]

_CALIBRATION_INVOCATIONS = 400
_ACTIVATION_CODES = {"NONE": NO_ACTIVATION, "RELU": RELU, "RELU6": 3}
_LIMITS = {"NONE": (-np.inf, np.inf), "RELU": (0.0, np.inf), "RELU6": (0.0, 6.0)}
_BRANCH_SCALE, _BRANCH_ZERO_POINT = 8 / 255, 3
"""For branches that are joined: CONCATENATION and PACK copy bytes, so their inputs must share one quantisation."""

type Activation = Literal["NONE", "RELU", "RELU6"]
type Head = Literal["flatten", "average_pool", "max_pool", "mean", "mean_keep"]
type Gate = Literal["constant", "gate", "broadcast_gate"]


@dataclass(frozen=True)
class Node:
    """An activation of the growing graph: its tensor, its float values and its quantisation."""

    index: int
    values: Floats
    scale: float
    zero_point: int

    @property
    def rows(self) -> int:
        return int(self.values.shape[1])

    @property
    def channels(self) -> int:
        return int(self.values.shape[-1])


def streaming_model(
    *,
    seed: int = 0,
    stride: int = 3,
    first_filters: int = 16,
    first_kernel: int = 5,
    first_stride: int | None = None,
    blocks: Sequence[Sequence[int]] = ((5,), (7, 11), (9,)),
    pointwise: int = 16,
    residual: bool = False,
    activation: Activation = "RELU",
    mul: Gate | None = None,
    pad: Literal["time", "channels"] | None = None,
    pack: bool = False,
    requantise: bool = False,
    add_constant: bool = False,
    negative_slices: bool = False,
    head: Head = "flatten",
    head_rows: int = 5,
) -> bytes:
    """The .tflite of a random model, int8 [1, stride, 40] to uint8 [1, 1], the same bytes for the same arguments.

    `stride` slices an invocation; `first_stride` (default: `stride`) of the first convolution divides it, and a smaller
    one gives several rows an invocation all the way down. `blocks` lists each block's depthwise kernel lengths: more
    than one splits the channels (SPLIT_V) as MixConv does. `residual` adds a pointwise projection of each block's input
    (ADD). After the blocks: `mul` (MUL by a constant, by a LOGISTIC of each channel, or by one LOGISTIC for all
    channels), `pad` (PAD in time before a depthwise convolution of length 3, or of channels), `pack` (PACK of two
    branches), `requantise` (QUANTIZE int8 to int8) and `add_constant` (ADD with broadcast). `head` sees the last
    `head_rows` rows. `negative_slices` writes the beginning of the state's slices as an index from the end.
    """
    net = _Net(np.random.default_rng(seed), stride, activation, negative_slices)
    first_stride = first_stride or stride
    node = net.reshape(net.input, (stride, 1, contract.FEATURE_CHANNELS))
    node = net.convolution(net.stream(node, first_kernel - first_stride), first_filters, first_kernel, first_stride)
    for kernels in blocks:
        skip = net.convolution(node, pointwise, activation="NONE") if residual else None
        window = net.stream(node, max(kernels) - 1)
        mixed = net.mixed_depthwise(window, kernels) if len(kernels) > 1 else net.depthwise(window, kernels[0])
        node = net.convolution(mixed, pointwise, activation="NONE" if skip else activation)
        if skip:
            node = net.elementwise("ADD", node, skip)
    if mul:
        node = net.gated(node, mul)
    if pad == "time":
        node = net.depthwise(net.pad(node, ((1, 1), (0, 0), (0, 0))), 3)
    elif pad == "channels":
        node = net.pad(node, ((0, 0), (0, 0), (1, 2)))
    if pack:
        node = net.packed(node)
    if requantise:
        node = net.requantised(node)
    if add_constant:
        node = net.elementwise("ADD", node, net.constant(net.random.normal(0, 0.5, (1, 1, 1, node.channels))))
    return net.finish(net.head(net.stream(node, head_rows - node.rows), head))


class _Net:
    """A model that grows node by node."""

    def __init__(self, random: np.random.Generator, stride: int, activation: Activation, negative_slices: bool) -> None:
        self.random = random
        self._activation: Activation = activation
        self._negative_slices = negative_slices
        self._builder = ModelBuilder()
        shape = (_CALIBRATION_INVOCATIONS, stride, contract.FEATURE_CHANNELS)
        # Half of it noise over the whole range, half a level that all channels share, as speech has.
        noise, level = (
            random.integers(0, 256, shape),
            random.integers(0, 200, (*shape[:2], 1)) + random.integers(0, 56, shape),
        )
        half = _CALIBRATION_INVOCATIONS // 2
        values = np.concatenate([noise[:half], level[half:]]) * contract.INPUT_SCALE
        self.input = self._node("input", values, (contract.INPUT_SCALE, contract.INPUT_ZERO_POINT))

    def reshape(self, node: Node, shape: tuple[int, ...]) -> Node:
        output = self._node("reshape", node.values.reshape(len(node.values), *shape), (node.scale, node.zero_point))
        self._operator("RESHAPE", [node, self._int32((1, *shape))], output)
        return output

    def stream(self, node: Node, keep: int) -> Node:
        """The node's rows behind the last `keep` rows of earlier invocations, which a variable remembers."""
        if keep <= 0:
            return node
        quantisation, (count, rows, width, channels) = (node.scale, node.zero_point), node.values.shape
        handle = self._builder.variable(
            f"states_{node.index}", (1, keep, width, channels), scale=node.scale, zero_point=node.zero_point
        )
        history = np.concatenate(
            [np.zeros((keep, width, channels)), node.values.reshape(count * rows, width, channels)]
        )
        windows = np.stack([history[at * rows : at * rows + keep + rows] for at in range(count)])
        before, window, after = (
            self._node(name, windows[:, part], quantisation) for name, part in _window_parts(keep, rows)
        )
        self._builder.operator("READ_VARIABLE", [handle], [before.index])
        self._operator("CONCATENATION", [before, node], window, axis=1)
        self._last_rows(window, after, -keep if self._negative_slices else rows)
        self._builder.operator("ASSIGN_VARIABLE", [handle, after.index], [])
        return window

    def convolution(
        self, node: Node, filters: int, kernel: int = 1, stride: int = 1, *, activation: Activation | None = None
    ) -> Node:
        weights = self.random.normal(size=(filters, kernel, 1, node.channels))
        steps = range(0, node.rows - kernel + 1, stride)
        sums = np.stack(
            [np.einsum("nkwc,okwc->no", node.values[:, at : at + kernel], weights) for at in steps], axis=1
        )[:, :, None, :]
        return self._weighted(
            "CONV_2D", node, weights, sums, channel_axis=0, stride=stride, activation=activation or self._activation
        )

    def depthwise(self, node: Node, kernel: int, quantisation: tuple[float, int] | None = None) -> Node:
        weights = self.random.normal(size=(1, kernel, 1, node.channels))
        steps = range(node.rows - kernel + 1)
        sums = np.stack(
            [np.einsum("nkwc,okwc->nwc", node.values[:, at : at + kernel], weights) for at in steps], axis=1
        )
        return self._weighted(
            "DEPTHWISE_CONV_2D",
            node,
            weights,
            sums,
            channel_axis=3,
            stride=1,
            activation="NONE",
            quantisation=quantisation,
        )

    def mixed_depthwise(self, node: Node, kernels: Sequence[int]) -> Node:
        sizes = [len(part) for part in np.array_split(np.arange(node.channels), len(kernels))]
        borders = np.cumsum([0, *sizes])
        quantisation = (node.scale, node.zero_point)
        groups = [
            self._node("group", node.values[..., low:high], quantisation) for low, high in itertools.pairwise(borders)
        ]
        axis = self._builder.tensor("axis", "INT32", (), data=np.array(3, np.int32))
        inputs = [node.index, self._int32(sizes), axis]
        self._builder.operator("SPLIT_V", inputs, [group.index for group in groups], {"numSplits": len(sizes)})
        fresh = node.rows - max(kernels) + 1
        branches = []
        for group, kernel in zip(groups, kernels, strict=True):
            needed = kernel - 1 + fresh
            window = group
            if needed < node.rows:
                window = self._node("window", group.values[:, -needed:], quantisation)
                self._last_rows(group, window, -needed)
            branches.append(self.depthwise(window, kernel, (_BRANCH_SCALE, _BRANCH_ZERO_POINT)))
        output = self._node(
            "mixed",
            np.concatenate([branch.values for branch in branches], axis=-1),
            (_BRANCH_SCALE, _BRANCH_ZERO_POINT),
        )
        self._operator("CONCATENATION", branches, output, axis=3)
        return output

    def elementwise(self, operator: Literal["ADD", "MUL"], left: Node, right: Node) -> Node:
        values = left.values + right.values if operator == "ADD" else left.values * right.values
        output = self._node(operator.lower(), np.clip(values, *_LIMITS[self._activation]))
        self._operator(operator, [left, right], output, fusedActivationFunction=_ACTIVATION_CODES[self._activation])
        return output

    def gated(self, node: Node, gate: Gate) -> Node:
        if gate == "constant":
            return self.elementwise("MUL", node, self.constant(self.random.normal(1, 0.5, (1, 1, 1, node.channels))))
        logit = self.convolution(node, node.channels if gate == "gate" else 1, activation="NONE")
        return self.elementwise("MUL", node, self._logistic(logit))

    def pad(self, node: Node, widths: tuple[tuple[int, int], ...]) -> Node:
        widths = ((0, 0), *widths)
        output = self._node("pad", np.pad(node.values, widths), (node.scale, node.zero_point))
        self._builder.operator("PAD", [node.index, self._constant("INT32", np.array(widths, np.int32))], [output.index])
        return output

    def packed(self, node: Node) -> Node:
        """Two branches packed side by side before the last axis, then read as channels."""
        branches = [self.depthwise(node, 1, (_BRANCH_SCALE, _BRANCH_ZERO_POINT)) for _ in range(2)]
        values = np.stack([branch.values for branch in branches], axis=3)
        output = self._node("pack", values, (_BRANCH_SCALE, _BRANCH_ZERO_POINT))
        self._operator("PACK", branches, output, valuesCount=2, axis=3)
        return self.reshape(output, (node.rows, 1, 2 * node.channels))

    def requantised(self, node: Node) -> Node:
        output = self._node("requantised", node.values, (node.scale * 1.37, node.zero_point // 2))
        self._operator("QUANTIZE", [node], output)
        return output

    def constant(self, values: Floats) -> Node:
        scale = float(np.abs(values).max()) / 127
        data = np.round(values / scale).astype(np.int8)
        return Node(self._constant("INT8", data, scale), values, scale, 0)

    def head(self, node: Node, head: Head) -> Node:
        """One number an invocation, spread over the LOGISTIC's slope."""
        count, rows, _, channels = node.values.shape
        if head == "flatten":
            node = self.reshape(node, (rows * channels,))
        elif head in ("mean", "mean_keep"):
            keep = head == "mean_keep"
            mean = node.values.mean(axis=(1, 2), keepdims=True)
            output = self._node("mean", mean if keep else mean[:, 0, 0])
            self._builder.operator("MEAN", [node.index, self._int32((1, 2))], [output.index], {"keepDims": keep})
            node = output
        else:
            pooled = (
                node.values.mean(axis=1, keepdims=True)
                if head == "average_pool"
                else node.values.max(axis=1, keepdims=True)
            )
            output = self._node(head, pooled, (node.scale, node.zero_point))
            pool = {"padding": VALID_PADDING, "strideW": 1, "strideH": 1, "filterWidth": 1, "filterHeight": rows}
            self._operator(f"{head.upper()}_2D", [node], output, **pool)
            node = output
        flat = node.values.reshape(count, -1)
        weights = self.random.normal(size=(1, flat.shape[1]))
        return self._weighted(
            "FULLY_CONNECTED", node, weights, flat @ weights.T, channel_axis=0, activation="NONE", spread=2.5
        )

    def finish(self, logit: Node) -> bytes:
        probability = self._logistic(logit)
        output = self._builder.tensor("output", "UINT8", (1, 1), scales=1 / 256, zero_points=0)
        self._builder.operator("QUANTIZE", [probability.index], [output])
        self._builder.interface([self.input.index], [output])
        return self._builder.build()

    def _logistic(self, logit: Node) -> Node:
        probability = self._node("probability", 1 / (1 + np.exp(-logit.values)), (1 / 256, -128))
        self._operator("LOGISTIC", [logit], probability)
        return probability

    def _weighted(
        self,
        operator: str,
        node: Node,
        weights: Floats,
        sums: Floats,
        *,
        channel_axis: int,
        activation: Activation,
        stride: int = 0,
        spread: float = 1.0,
        quantisation: tuple[float, int] | None = None,
    ) -> Node:
        """Add a convolution or a dense layer, its weights normalised so that each channel spreads by
        `spread` around 0."""
        axes = tuple(range(sums.ndim - 1))
        gain = spread / np.maximum(sums.std(axis=axes), 1e-9)
        weights = weights * gain.reshape([-1 if axis == channel_axis else 1 for axis in range(weights.ndim)])
        bias = -sums.mean(axis=axes) * gain + self.random.normal(0, 0.3, len(gain))
        output = self._node(operator.lower(), np.clip(sums * gain + bias, *_LIMITS[activation]), quantisation)
        other_axes = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
        scales = np.abs(weights).max(axis=other_axes) / 127
        quantised = np.round(weights / np.expand_dims(scales, other_axes)).astype(np.int8)
        bias_scales = scales * node.scale
        filters = self._builder.tensor(
            "weights", "INT8", quantised.shape, scales=scales, axis=channel_axis, data=quantised
        )
        biases = np.round(bias / bias_scales).astype(np.int32)
        bias_index = self._builder.tensor("bias", "INT32", biases.shape, scales=bias_scales, data=biases)
        options: dict[str, Any] = {"fusedActivationFunction": _ACTIVATION_CODES[activation]}
        if operator != "FULLY_CONNECTED":
            options |= {"padding": VALID_PADDING, "strideW": 1, "strideH": stride}
        if operator == "DEPTHWISE_CONV_2D":
            options["depthMultiplier"] = 1
        self._builder.operator(operator, [node.index, filters, bias_index], [output.index], options)
        return output

    def _last_rows(self, source: Node, output: Node, begin: int) -> None:
        """Slice rows from `begin` to the end, masked as TensorFlow's converter masks it."""
        bounds = [self._int32(values) for values in ((0, begin, 0, 0), (0, 0, 0, 0), (1, 1, 1, 1))]
        self._builder.operator(
            "STRIDED_SLICE", [source.index, *bounds], [output.index], {"beginMask": 13, "endMask": 15}
        )

    def _node(self, name: str, values: Floats, quantisation: tuple[float, int] | None = None) -> Node:
        """A tensor for values; without a given quantisation it spans all but one in a thousand at either end."""
        if quantisation is None:
            low, high = np.minimum(np.quantile(values, 0.001), 0.0), np.maximum(np.quantile(values, 0.999), 1e-3)
            scale = float(np.float32((high - low) / 255))
            quantisation = scale, int(np.clip(np.round(-128 - low / scale), -128, 127))
        index = self._builder.tensor(
            name, "INT8", (1, *values.shape[1:]), scales=quantisation[0], zero_points=quantisation[1]
        )
        return Node(index, values, *quantisation)

    def _operator(self, name: str, inputs: Sequence[Node | int], output: Node, **options: Any) -> None:
        indices = [item if isinstance(item, int) else item.index for item in inputs]
        self._builder.operator(name, indices, [output.index], options)

    def _int32(self, values: Sequence[int]) -> int:
        return self._constant("INT32", np.array(values, np.int32))

    def _constant(self, type_name: str, data: NDArray[Any], scale: float | None = None) -> int:
        return self._builder.tensor("constant", type_name, data.shape, scales=scale, data=data)


def _window_parts(keep: int, rows: int) -> tuple[tuple[str, slice], ...]:
    return ("before", slice(0, keep)), ("window", slice(None)), ("after", slice(rows, None))
