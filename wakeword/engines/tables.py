"""Tables of one-input operators, read off tflite-micro's own kernels."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from wakeword.model.flatbuffer import FILE_IDENTIFIER, SCHEMA_VERSION


@functools.cache
def logistic_table(
    input_scale: float, input_zero_point: int, output_scale: float, output_zero_point: int
) -> NDArray[np.int8]:
    """LOGISTIC of every int8 value from -128 to 127 at these quantisations: int8 `[256]`."""
    from tflite_micro import runtime

    values = np.arange(-128, 128, dtype=np.int8)[None]
    interpreter = runtime.Interpreter.from_bytes(
        _logistic_model((input_scale, input_zero_point), (output_scale, output_zero_point)), arena_size=1 << 16
    )
    interpreter.set_input(values, 0)
    interpreter.invoke()
    table: NDArray[np.int8] = interpreter.get_output(0)[0].copy()
    return table


def _logistic_model(*quantisations: tuple[float, int]) -> bytes:
    """A flatbuffer of one LOGISTIC of 256 values, with scale and zero point of its input and its output."""
    import flatbuffers
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    model, graph, code, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.LOGISTIC
    graph.inputs = operator.inputs = np.array([0], np.int32)
    graph.outputs = operator.outputs = np.array([1], np.int32)
    graph.operators, graph.tensors = [operator], []
    for scale, zero_point in quantisations:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.quantization = (
            np.array([1, 256], np.int32),
            schema.TensorType.INT8,
            schema.QuantizationParametersT(),
        )
        tensor.quantization.scale, tensor.quantization.zeroPoint = (
            np.array([scale], np.float32),
            np.array([zero_point], np.int64),
        )
        graph.tensors.append(tensor)
    model.version, model.operatorCodes, model.subgraphs, model.buffers = (
        SCHEMA_VERSION,
        [code],
        [graph],
        [schema.BufferT()],
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())
