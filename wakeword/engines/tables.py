"""Tables of one-input operators, read off tflite-micro's own kernels."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from wakeword.model.build import ModelBuilder


@functools.cache
def logistic_table(input_scale: float, input_zero_point: int, output_scale: float, output_zero_point: int) -> NDArray[np.int8]:
    """LOGISTIC of every int8 value from -128 to 127 at these quantisations: int8 `[256]`."""
    from tflite_micro import runtime

    values = np.arange(-128, 128, dtype=np.int8)[None]
    builder = ModelBuilder()
    source = builder.tensor("input", "INT8", values.shape, scales=input_scale, zero_points=input_zero_point)
    result = builder.tensor("output", "INT8", values.shape, scales=output_scale, zero_points=output_zero_point)
    builder.operator("LOGISTIC", [source], [result])
    builder.interface([source], [result])
    interpreter = runtime.Interpreter.from_bytes(builder.build(), arena_size=1 << 16)
    interpreter.set_input(values, 0)
    interpreter.invoke()
    table: NDArray[np.int8] = interpreter.get_output(0)[0].copy()
    return table
