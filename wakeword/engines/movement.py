"""Kernels that move data without computing: slices, splits, joins, shapes. Windows stay windows where they can."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wakeword.engines.kernels import Kernel, require
from wakeword.engines.windows import Value, Windows, as_array
from wakeword.model.flatbuffer import Operator, Subgraph


def reshape(graph: Subgraph, operator: Operator) -> Kernel:
    """RESHAPE within one invocation."""
    shape = graph.tensors[operator.outputs[0]].shape
    require(bool(shape) and shape[0] == 1, "RESHAPE that changes the batch")

    def run(values: Sequence[Value]) -> Value:
        value = as_array(values[0])
        return value.reshape(len(value), *shape[1:])

    return run


def strided_slice(graph: Subgraph, operator: Operator) -> Kernel:
    """STRIDED_SLICE with constant bounds over the dimensions behind the batch."""
    source = graph.tensors[operator.inputs[0]]
    bounds = [graph.tensors[index].data for index in operator.inputs[1:4]]
    require(all(bound is not None for bound in bounds), "STRIDED_SLICE with computed bounds")
    options = operator.options
    require(
        not (options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask),
        "STRIDED_SLICE that changes the rank",
    )
    begins, ends, steps = ([int(value) for value in bound] for bound in bounds if bound is not None)
    cuts: list[slice] = []
    for axis, size in enumerate(source.shape):
        begin = None if options.beginMask >> axis & 1 else begins[axis]
        end = None if options.endMask >> axis & 1 else ends[axis]
        require(steps[axis] > 0, "STRIDED_SLICE backwards")
        cuts.append(slice(*slice(begin, end, steps[axis]).indices(size)))
    require(cuts[0] == slice(0, 1, 1), "STRIDED_SLICE of the batch")
    rows_only = (
        all(cut == slice(0, size, 1) for cut, size in zip(cuts[2:], source.shape[2:], strict=True))
        and cuts[1].step == 1
    )

    def run(values: Sequence[Value]) -> Value:
        value = values[0]
        if isinstance(value, Windows) and rows_only:
            return value.cut(cuts[1].start, cuts[1].stop)
        return as_array(value)[(slice(None), *cuts[1:])]

    return run


def split(graph: Subgraph, operator: Operator) -> Kernel:
    """SPLIT_V with constant sizes along any axis but the batch."""
    source = graph.tensors[operator.inputs[0]]
    sizes, axis_data = (graph.tensors[index].data for index in operator.inputs[1:3])
    require(sizes is not None and axis_data is not None, "SPLIT_V with computed sizes")
    assert sizes is not None
    assert axis_data is not None
    axis = int(axis_data.reshape(-1)[0]) % len(source.shape)
    require(axis != 0, "SPLIT_V of the batch")
    ends = [int(end) for end in np.cumsum(sizes)]
    begins = [0, *ends[:-1]]

    def run(values: Sequence[Value]) -> list[Value]:
        value = values[0]
        if isinstance(value, Windows) and axis == 3:
            return [value.channels(begin, end) for begin, end in zip(begins, ends, strict=True)]
        return [*np.split(as_array(value), ends[:-1], axis=axis)]

    return run


def concatenation(graph: Subgraph, operator: Operator) -> Kernel:
    """CONCATENATION within one invocation; the quantisations are equal, as the kernel demands."""
    output = graph.tensors[operator.outputs[0]]
    axis = operator.options.axis % len(output.shape)
    require(axis != 0, "CONCATENATION over the batch")
    require(operator.options.fusedActivationFunction == 0, "CONCATENATION with an activation")

    def run(values: Sequence[Value]) -> Value:
        return np.concatenate([as_array(value) for value in values], axis=axis)

    return run


def pad(graph: Subgraph, operator: Operator) -> Kernel:
    """PAD with the output's zero point, behind the batch."""
    output = graph.tensors[operator.outputs[0]]
    amounts = graph.tensors[operator.inputs[1]].data
    require(amounts is not None, "PAD by computed amounts")
    assert amounts is not None
    widths = [(int(before), int(after)) for before, after in amounts]
    require(widths[0] == (0, 0), "PAD of the batch")
    zero_point = output.zero_point

    def run(values: Sequence[Value]) -> Value:
        return np.pad(as_array(values[0]), widths, constant_values=zero_point)

    return run


def pack(graph: Subgraph, operator: Operator) -> Kernel:
    """PACK of values along a new axis behind the batch."""
    output = graph.tensors[operator.outputs[0]]
    axis = operator.options.axis % len(output.shape)
    require(axis != 0, "PACK over the batch")

    def run(values: Sequence[Value]) -> Value:
        return np.stack([as_array(value) for value in values], axis=axis)

    return run
