"""The one table of operators: the twenty that ESPHome's `micro_wake_word` registers, and all that this project knows of
each.

A model with another operator does not load on the device. Whoever asks about an operator asks here: the unrolled engine
for its arithmetic, the estimate of the arena for its memory, the contract check for its options. A row has no defaults,
so nothing of it can be forgotten; tests hold each column against ESPHome's resolver, the schema and what tflite-micro
allocates.

Sources: `register_streaming_ops_` in ESPHome's `streaming_model.cpp` (which operators), `builtin_op_data.h`
(parameters), each kernel's `Init` (data) and `Prepare` (see `arena_kernels`) in tflite-micro, with the sizes that they
have on an ESP32-S3. Two sizes are conservative guesses, 32 bytes a CONCATENATION (older releases keep the scales and
zero points of its inputs) and 4 bytes a pool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from wakeword.engines import kernels, movement
from wakeword.engines.kernels import Kernel
from wakeword.model.arena_kernels import (
    Scratch,
    Sizes,
    conv_scratch,
    depthwise_scratch,
    mean_scratch,
    no_scratch,
    nothing,
    per_filter,
    per_input,
    per_scale,
)
from wakeword.model.flatbuffer import Operator, Subgraph, TfliteModel


@dataclass(frozen=True)
class OperatorKind:
    """What is known of one kind of operator. Sizes are bytes on an ESP32-S3."""

    kernel: Callable[[Subgraph, Operator], Kernel] | None
    """Checks an operator's form and gives its arithmetic, for all invocations at once. None: it is about state, which
    the engine keeps in ring buffers."""
    data_inputs: int | None
    """So many of its first inputs carry values, None: all. The others are constants, which the kernel reads when it is
    made."""
    options: str | None
    """Their table in the schema."""
    parameters: int
    """Of the `TfLite*Params` that are allocated for each operator."""
    op_data: int
    """What the kernel's `Init` asks for; each such request is aligned to 16."""
    prepared: Sizes
    """What its `Prepare` asks for besides, as long as the interpreter lives."""
    scratch: Scratch
    """What it asks for while it runs."""


OPERATORS = {
    "ADD": OperatorKind(kernels.add, None, "AddOptions", 8, 60, nothing, no_scratch),
    "ASSIGN_VARIABLE": OperatorKind(None, None, "AssignVariableOptions", 0, 0, nothing, no_scratch),
    "AVERAGE_POOL_2D": OperatorKind(kernels.pool, 1, "Pool2DOptions", 40, 36, nothing, no_scratch),
    "CALL_ONCE": OperatorKind(None, None, "CallOnceOptions", 4, 8, nothing, no_scratch),
    "CONCATENATION": OperatorKind(movement.concatenation, None, "ConcatenationOptions", 8, 24, per_input, no_scratch),
    "CONV_2D": OperatorKind(
        kernels.convolution, 1, "Conv2DOptions", 28, 60, per_filter(0), conv_scratch
    ),  # 56, and the index of ESP-NN's scratch buffer
    "DEPTHWISE_CONV_2D": OperatorKind(
        kernels.depthwise_convolution, 1, "DepthwiseConv2DOptions", 28, 60, per_filter(3), depthwise_scratch
    ),
    "FULLY_CONNECTED": OperatorKind(kernels.fully_connected, 1, "FullyConnectedOptions", 16, 48, per_scale, no_scratch),
    "LOGISTIC": OperatorKind(kernels.logistic, 1, None, 0, 16, nothing, no_scratch),
    "MAX_POOL_2D": OperatorKind(kernels.pool, 1, "Pool2DOptions", 40, 36, nothing, no_scratch),
    "MEAN": OperatorKind(kernels.mean, 1, "ReducerOptions", 1, 44, nothing, mean_scratch),
    "MUL": OperatorKind(kernels.multiply, None, "MulOptions", 4, 36, nothing, no_scratch),
    "PACK": OperatorKind(movement.pack, None, "PackOptions", 8, 0, nothing, no_scratch),
    "PAD": OperatorKind(movement.pad, 1, "PadOptions", 0, 56, nothing, no_scratch),
    "QUANTIZE": OperatorKind(kernels.requantise, 1, "QuantizeOptions", 0, 32, nothing, no_scratch),
    "READ_VARIABLE": OperatorKind(None, None, "ReadVariableOptions", 0, 0, nothing, no_scratch),
    "RESHAPE": OperatorKind(movement.reshape, 1, "ReshapeOptions", 36, 0, nothing, no_scratch),
    "SPLIT_V": OperatorKind(movement.split, 1, "SplitVOptions", 4, 0, nothing, no_scratch),
    "STRIDED_SLICE": OperatorKind(movement.strided_slice, 1, "StridedSliceOptions", 24, 84, nothing, no_scratch),
    "VAR_HANDLE": OperatorKind(None, None, "VarHandleOptions", 8, 4, nothing, no_scratch),
}


def foreign_operators(model: TfliteModel) -> dict[str, int]:
    """Operators that the device does not register, by name, with how often the model has them; empty for a model of the
    device.
    """
    counts = Counter(
        operator.name for graph in model.subgraphs for operator in graph.operators if operator.name not in OPERATORS
    )
    return dict(sorted(counts.items()))
