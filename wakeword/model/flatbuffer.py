"""Reading a .tflite flatbuffer: operators, tensors, subgraphs, state variables, quantisation.

The whole file is parsed in Python before any C++ sees it, because tflite-micro does not verify a buffer: a truncated
model would crash the process instead of raising.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError
from wakeword.model.addresses import refuse_address

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
SAME_PADDING, VALID_PADDING = 0, 1
"""`Padding` of the schema."""

_DTYPE_BY_TYPE_NAME: dict[str, np.dtype[Any]] = {
    "FLOAT32": np.dtype(np.float32),
    "FLOAT16": np.dtype(np.float16),
    "INT8": np.dtype(np.int8),
    "UINT8": np.dtype(np.uint8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "BOOL": np.dtype(np.bool_),
}


@dataclass(frozen=True)
class Tensor:
    """One tensor of a subgraph. `data` is the constant's value, None for an activation."""

    index: int
    name: str
    type_name: str
    """The schema's name of the type: INT8, RESOURCE, ..."""
    shape: tuple[int, ...]
    scales: NDArray[np.float32]
    """Per-tensor (length 1), per-channel, or empty when not quantised."""
    zero_points: NDArray[np.int64]
    data: NDArray[Any] | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type. Raises `KeyError` for types without a fixed size (RESOURCE, STRING)."""
        return _DTYPE_BY_TYPE_NAME[self.type_name]

    @property
    def size_bytes(self) -> int:
        """Bytes of the tensor's elements; 0 for types without a fixed size."""
        dtype = _DTYPE_BY_TYPE_NAME.get(self.type_name)
        return 0 if dtype is None else int(np.prod(self.shape, dtype=np.int64)) * dtype.itemsize

    @property
    def scale(self) -> float:
        """The per-tensor scale, widened from float32 as the kernels widen it."""
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point."""
        return int(self.zero_points[0])


@dataclass(frozen=True)
class Operator:
    """One operator. `options` is the schema's options object (None where the operator has none)."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True)
class Subgraph:
    """Tensors and operators in execution order."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def variables(self) -> dict[int, str]:
        """What the runtime knows each resource variable by, the shared name of its VAR_HANDLE, by the tensor of the
        handle.
        """
        handles = (operator for operator in self.operators if operator.name == "VAR_HANDLE")
        return {operator.outputs[0]: _text(operator.options.sharedName) for operator in handles}


@dataclass(frozen=True)
class TfliteModel:
    """A parsed model together with the bytes it was read from."""

    source: str
    """Where it came from, for messages."""
    content: bytes
    version: int
    subgraphs: tuple[Subgraph, ...]

    @property
    def sha256(self) -> str:
        """Hash of the file's bytes."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def main(self) -> Subgraph:
        """Subgraph 0, which every invocation runs."""
        return self.subgraphs[0]

    @property
    def stride(self) -> int:
        """Feature slices per inference: the input's second dimension."""
        return self.main.tensors[self.main.inputs[0]].shape[1]


def read_model(path: Path) -> TfliteModel:
    """Read a .tflite file.

    Raises `ConfigError` when the file is missing, is no TFLite flatbuffer, or is truncated.
    """
    refuse_address(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot read the model ({error.strerror}); give the path of a .tflite file"
        ) from error
    return parse_model(content, str(path))


def parse_model(content: bytes, source: str = "model") -> TfliteModel:
    """Parse the bytes of a .tflite file; `source` names them in messages.

    Raises `ConfigError` when they are no TFLite flatbuffer or are truncated.
    """
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    if len(content) < 8 or content[4:8] != FILE_IDENTIFIER:
        raise ConfigError(
            f"{source}: not a TFLite model (no {FILE_IDENTIFIER.decode()} identifier); export it again or download it"
            " again"
        )
    try:
        parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
        subgraphs = tuple(_subgraph(schema, parsed, graph) for graph in parsed.subgraphs)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, UnicodeDecodeError, struct.error) as error:
        raise ConfigError(
            f"{source}: damaged or truncated TFLite model, {len(content)} bytes ({error}); copy or export it again"
        ) from error
    if not subgraphs or not subgraphs[0].inputs or not subgraphs[0].outputs:
        raise ConfigError(f"{source}: the model has no subgraph with an input and an output; export it again")
    return TfliteModel(source=source, content=content, version=int(parsed.version), subgraphs=subgraphs)


def _subgraph(schema: Any, parsed: Any, graph: Any) -> Subgraph:
    tensors = tuple(_tensor(schema, parsed, index, tensor) for index, tensor in enumerate(graph.tensors))
    operators = tuple(
        _operator(schema, parsed, index, operator) for index, operator in enumerate(_listed(graph.operators))
    )
    result = Subgraph(
        tensors, operators, tuple(map(int, _listed(graph.inputs))), tuple(map(int, _listed(graph.outputs)))
    )
    used = [
        *result.inputs,
        *result.outputs,
        *(i for operator in operators for i in (*operator.inputs, *operator.outputs)),
    ]
    if used and max(used) >= len(tensors):
        raise ValueError(f"tensor {max(used)} is used but only {len(tensors)} exist")
    return result


def _operator(schema: Any, parsed: Any, index: int, operator: Any) -> Operator:
    code = parsed.operatorCodes[operator.opcodeIndex]
    # Codes above 127 do not fit the old int8 field, codes below are in both: the larger one is right.
    number = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
    name = _enum_name(schema.BuiltinOperator, number)
    if name == "CUSTOM":
        custom = code.customCode or b"?"
        name = f"CUSTOM:{custom.decode() if isinstance(custom, bytes) else custom}"
    inputs, outputs = tuple(map(int, _listed(operator.inputs))), tuple(map(int, _listed(operator.outputs)))
    return Operator(index, name, inputs, outputs, operator.builtinOptions)


def _tensor(schema: Any, parsed: Any, index: int, tensor: Any) -> Tensor:
    type_name = _enum_name(schema.TensorType, int(tensor.type))
    shape = tuple(map(int, _listed(tensor.shape)))
    quantisation = tensor.quantization
    scales = np.asarray(_listed(quantisation.scale if quantisation else None), np.float32)
    zero_points = np.asarray(_listed(quantisation.zeroPoint if quantisation else None), np.int64)
    raw = parsed.buffers[tensor.buffer].data
    data: NDArray[Any] | None = None
    if raw is not None and len(raw) and type_name in _DTYPE_BY_TYPE_NAME:
        data = np.frombuffer(bytes(bytearray(raw)), _DTYPE_BY_TYPE_NAME[type_name]).reshape(shape)
    return Tensor(index, _text(tensor.name), type_name, shape, scales, zero_points, data)


def _text(value: Any) -> str:
    """A name of the schema; bytes that are no text stay distinct."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value or "")


def _listed(values: Any) -> list[Any]:
    """A vector of the schema as a list: absent is empty."""
    return [] if values is None else list(values)


def _enum_name(enum: Any, number: int) -> str:
    for name, value in vars(enum).items():
        if value == number and not name.startswith("_"):
            return str(name)
    return f"UNKNOWN_{number}"
