"""Writing a .tflite flatbuffer operator by operator, without TensorFlow.

Conventions: tensors are named by the index that `tensor()` returned; type and operator names are the schema's (`INT8`,
`CONV_2D`); option names are those of the schema's object API (`strideH`, `fusedActivationFunction`). The builder checks
only what would write a file that nobody can read; whether a runtime accepts the model is the runtime's to say, so a
test can also build a model that breaks the device contract.

Example, a model of one LOGISTIC::

    builder = ModelBuilder()
    logit = builder.tensor("logit", "INT8", (1, 256), scales=0.1, zero_points=4)
    probability = builder.tensor("probability", "INT8", (1, 256), scales=1 / 256, zero_points=-128)
    builder.operator("LOGISTIC", [logit], [probability])
    builder.interface([logit], [probability])
    content = builder.build()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wakeword.model.flatbuffer import FILE_IDENTIFIER, SCHEMA_VERSION
from wakeword.operators import OPERATORS

NO_ACTIVATION, RELU = 0, 1
"""`ActivationFunctionType` of the schema."""

BUFFER_ALIGNMENT = 16
"""Bytes; TFLM reads constants in place, and the schema demands this of `Buffer.data` (`force_align: 16`)."""


@dataclass(frozen=True)
class _Variable:
    name: str
    type_name: str
    shape: tuple[int, ...]
    initial: NDArray[Any]
    scale: float | None
    zero_point: int
    handle: int


class SubgraphBuilder:
    """Tensors and operators of one subgraph, in the order in which they were added."""

    def __init__(self, schema: Any, buffers: list[Any], name: str) -> None:
        self._schema = schema
        self._buffers = buffers
        self._name = name
        self._tensors: list[Any] = []
        self._operators: list[tuple[str, Any]] = []
        self._inputs: tuple[int, ...] = ()
        self._outputs: tuple[int, ...] = ()

    def tensor(
        self,
        name: str,
        type_name: str,
        shape: Sequence[int] = (),
        *,
        scales: ArrayLike | None = None,
        zero_points: ArrayLike = 0,
        axis: int = 0,
        data: NDArray[Any] | None = None,
    ) -> int:
        """Add a tensor and return its index.

        `scales` is one number (per tensor), one a channel along `axis` (per channel), or None (not quantised);
        `zero_points` is broadcast to it. `data` makes it a constant, and its bytes are taken as they are. Raises
        `ValueError` for a type that the schema does not know and for data that has not the given shape.
        """
        type_code = getattr(self._schema.TensorType, type_name, None)
        if type_code is None:
            raise ValueError(f"tensor {name!r}: the schema has no type {type_name!r}")
        if data is not None and data.shape != tuple(shape):
            raise ValueError(f"tensor {name!r}: data of shape {data.shape} does not fill {tuple(shape)}")
        tensor = self._schema.TensorT()
        tensor.name, tensor.type, tensor.hasRank = name, type_code, True
        tensor.shape = np.asarray(shape, np.int32) if len(shape) else None
        if scales is not None:
            quantisation = self._schema.QuantizationParametersT()
            quantisation.scale = np.atleast_1d(np.asarray(scales, np.float32))
            quantisation.zeroPoint = np.broadcast_to(np.asarray(zero_points, np.int64), quantisation.scale.shape).copy()
            quantisation.quantizedDimension = axis
            tensor.quantization = quantisation
        if data is not None:
            buffer = self._schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def operator(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: Mapping[str, Any] | None = None
    ) -> None:
        """Append an operator; `options` left out are the schema's defaults.

        Raises `ValueError` for an operator or option that the schema does not know, and for a tensor that does not
        exist.
        """
        schema = self._schema
        if not hasattr(schema.BuiltinOperator, name):
            raise ValueError(f"the schema has no operator {name!r}")
        missing = [index for index in (*inputs, *outputs) if not -1 <= index < len(self._tensors)]
        if missing:
            raise ValueError(f"{name}: tensor {missing[0]} does not exist; add it first")
        operator = schema.OperatorT()
        operator.inputs, operator.outputs = np.asarray(inputs, np.int32), np.asarray(outputs, np.int32)
        kind = OPERATORS.get(name)  # a foreign one is written without options
        if kind is not None and kind.options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind.options)
            operator.builtinOptions = getattr(schema, f"{kind.options}T")()
        for key, value in (options or {}).items():
            if not hasattr(operator.builtinOptions, key):
                raise ValueError(f"{name}: no option {key!r}")
            setattr(operator.builtinOptions, key, value)
        self._operators.append((name, operator))

    def interface(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Declare the subgraph's inputs and outputs."""
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)

    def _object(self, code_index: dict[str, int]) -> Any:
        """The schema's object; `code_index` maps operator names to operator codes and grows."""
        graph = self._schema.SubGraphT()
        graph.name, graph.tensors = self._name, self._tensors
        graph.inputs, graph.outputs = np.asarray(self._inputs, np.int32), np.asarray(self._outputs, np.int32)
        graph.operators = [operator for _, operator in self._operators]
        for name, operator in self._operators:
            operator.opcodeIndex = code_index.setdefault(name, len(code_index))
        return graph


class ModelBuilder(SubgraphBuilder):
    """A model; itself the builder of subgraph 0. Call `build()` once, at the end."""

    def __init__(self, *, version: int = SCHEMA_VERSION) -> None:
        from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

        # Buffer 0 is empty by the schema's rule: tensors without data refer to it.
        super().__init__(schema, [schema.BufferT()], "main")
        self._version = version
        self._subgraphs: list[SubgraphBuilder] = [self]
        self._variables: list[_Variable] = []

    def subgraph(self, name: str) -> SubgraphBuilder:
        """Add a further subgraph; the first one so added has index 1."""
        added = SubgraphBuilder(self._schema, self._buffers, name)
        self._subgraphs.append(added)
        return added

    def variable(
        self,
        name: str,
        shape: Sequence[int],
        *,
        scale: float | None = None,
        zero_point: int = 0,
        type_name: str = "INT8",
        initial: NDArray[Any] | None = None,
    ) -> int:
        """Add a resource variable and return its handle in subgraph 0, ready for READ_VARIABLE and ASSIGN_VARIABLE.

        `build()` writes VAR_HANDLE at the head of subgraph 0, and a subgraph behind all others that assigns the initial
        value (default: the zero point everywhere), run by a CALL_ONCE at the very head, as TensorFlow's converter does.
        """
        value = np.full(shape, zero_point, np.dtype(type_name.lower())) if initial is None else initial
        handle = self.tensor(name, "RESOURCE")
        self._variables.append(_Variable(name, type_name, tuple(shape), value, scale, zero_point, handle))
        return handle

    def build(self) -> bytes:
        """The flatbuffer's bytes, constants aligned to 16."""
        if self._variables:
            self._initialise_variables()
        codes: dict[str, int] = {}
        model = self._schema.ModelT()
        model.version, model.description = self._version, "built operator by operator"
        model.subgraphs = [graph._object(codes) for graph in self._subgraphs]
        model.operatorCodes = [self._operator_code(name) for name in codes]
        model.buffers = self._buffers
        builder = _aligning_builder()
        builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _initialise_variables(self) -> None:
        initialiser = self.subgraph("initialise_variables")
        body, self._operators = self._operators, []
        self.operator("CALL_ONCE", [], [], {"initSubgraphIndex": len(self._subgraphs) - 1})
        for variable in self._variables:
            shared = {"sharedName": variable.name}
            self.operator("VAR_HANDLE", [], [variable.handle], shared)
            handle = initialiser.tensor(variable.name, "RESOURCE")
            value = initialiser.tensor(
                f"{variable.name}/initial",
                variable.type_name,
                variable.shape,
                scales=variable.scale,
                zero_points=variable.zero_point,
                data=variable.initial,
            )
            initialiser.operator("VAR_HANDLE", [], [handle], shared)
            initialiser.operator("ASSIGN_VARIABLE", [handle, value], [])
        self._operators += body

    def _operator_code(self, name: str) -> Any:
        code = self._schema.OperatorCodeT()
        code.builtinCode = getattr(self._schema.BuiltinOperator, name)
        # Readers of old files look at this int8 field; 127 says "see the other one" (schema.fbs, OperatorCode).
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 1
        return code


def _aligning_builder() -> Any:
    """A `flatbuffers.Builder` that aligns every vector to `BUFFER_ALIGNMENT`; the generated `Pack` ignores
    `force_align`.
    """
    import flatbuffers

    class AligningBuilder(flatbuffers.Builder):  # type: ignore[misc]
        __slots__ = ()

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803 - the base class's names
            return super().StartVector(elemSize, numElems, max(alignment, BUFFER_ALIGNMENT))

    return AligningBuilder()
