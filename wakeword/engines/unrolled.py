"""The unrolled engine: a streaming graph evaluated over many invocations at once, bit for bit the reference's
probabilities.

A streaming model keeps its past in ring buffers: READ_VARIABLE, CONCATENATION with the new rows, ASSIGN_VARIABLE of the
last rows. So the state is a finite window of earlier activations, and the buffer over a whole recording is just the
initial rows followed by all new rows; each invocation sees a window of it. Everything else in the graph is a function
of one invocation and is computed for all of them together. The last rows of each buffer carry the state to the next
call.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.engines import movement
from wakeword.engines.kernels import Kernel, UnsupportedGraph, require
from wakeword.engines.windows import Value, Windows, as_array
from wakeword.model.flatbuffer import Operator, Subgraph, TfliteModel
from wakeword.operators import OPERATORS
from wakeword.threads import one_blas_thread

INVOCATIONS_PER_BATCH = 2048
"""So many invocations are computed at once: large enough for GEMMs, small enough for the caches and for memory."""


@dataclass(frozen=True)
class _Ring:
    """One ring buffer: `rows` rows are kept, `new_rows` come in at each invocation."""

    initial: NDArray[np.int8]
    """After boot, `[rows, width, channels]`."""
    rows: int
    new_rows: int

    @property
    def memory(self) -> int:
        """Invocations until a row has left the buffer."""
        return -(-self.rows // self.new_rows)


@dataclass(frozen=True)
class _OperatorStep:
    """One operator: what it reads and writes, and its kernel or the ring that it joins."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    work: Kernel | _Ring


class UnrolledEngine:
    """A model evaluated in batches of invocations."""

    name = "unrolled"

    def __init__(self, model: TfliteModel) -> None:
        """Prepare a model. Raises `UnsupportedGraph` when a part of it cannot be computed exactly."""
        graph = model.main
        require(
            graph.tensors[graph.inputs[0]].shape == (1, model.stride, contract.FEATURE_CHANNELS),
            "an input that is not [1, stride, 40]",
        )
        self._stride = model.stride
        self._input, self._output = graph.inputs[0], graph.outputs[0]
        self._constants: dict[int, NDArray[np.int8]] = {t.index: t.data for t in graph.tensors if t.data is not None}
        try:
            with np.errstate(invalid="raise"):
                self._steps = _compile(model)
                self._last_use = {index: number for number, step in enumerate(self._steps) for index in step.inputs}
                self.reset()
                self.run(np.zeros((2 * self._stride, contract.FEATURE_CHANNELS), np.int8))
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            # Shapes, options or scales that do not fit together: legal or damaged, the reference must tell.
            raise UnsupportedGraph(f"a part of unknown form ({type(error).__name__}: {error})") from error
        self.reset()

    @property
    def stride(self) -> int:
        """Feature slices per inference."""
        return self._stride

    @property
    def memory_slices(self) -> int:
        """Feature slices after which nothing of the past is left in the state (an upper bound)."""
        return self._stride * sum(step.work.memory for step in self._steps if isinstance(step.work, _Ring))

    def reset(self) -> None:
        """Back to the state after boot."""
        self._state = {
            number: step.work.initial for number, step in enumerate(self._steps) if isinstance(step.work, _Ring)
        }
        self._pending = np.zeros((0, contract.FEATURE_CHANNELS), np.int8)

    def fresh(self) -> UnrolledEngine:
        """The same model after boot; what both hold of it they share, so they may run in two threads."""
        other = copy(self)
        other.reset()
        return other

    def run(self, features: NDArray[np.int8]) -> NDArray[np.uint8]:
        """See `Engine.run`."""
        rows = np.concatenate([self._pending, features])
        inferences = len(rows) // self._stride
        self._pending = rows[inferences * self._stride :].copy()
        inputs = rows[: inferences * self._stride].reshape(inferences, self._stride, contract.FEATURE_CHANNELS)
        with one_blas_thread():
            probabilities = [
                self._batch(inputs[start : start + INVOCATIONS_PER_BATCH])
                for start in range(0, inferences, INVOCATIONS_PER_BATCH)
            ]
        return np.concatenate([np.zeros(0, np.uint8), *probabilities])

    def _batch(self, inputs: NDArray[np.int8]) -> NDArray[np.uint8]:
        values: dict[int, Value] = {self._input: inputs}
        for number, step in enumerate(self._steps):
            arguments = [values[index] if index in values else self._constants[index] for index in step.inputs]
            result = (
                self._turn_ring(number, step.work, as_array(arguments[0]))
                if isinstance(step.work, _Ring)
                else step.work(arguments)
            )
            values.update(zip(step.outputs, result if isinstance(result, list) else [result], strict=True))
            for index in step.inputs:
                if self._last_use[index] == number:
                    values.pop(index, None)
        return as_array(values[self._output]).reshape(len(inputs)).view(np.uint8)

    def _turn_ring(self, number: int, ring: _Ring, new: NDArray[np.int8]) -> Windows:
        base = np.concatenate([self._state[number], new.reshape(-1, *new.shape[2:])])
        self._state[number] = base[len(base) - ring.rows :].copy()
        return Windows(base, 0, ring.rows + ring.new_rows, ring.new_rows, len(new))


def _compile(model: TfliteModel) -> list[_OperatorStep]:
    graph = model.main
    variables = graph.variables
    reads = {op.outputs[0]: variables[op.inputs[0]] for op in graph.operators if op.name == "READ_VARIABLE"}
    initial = _initial_values(model)
    require(sorted(reads.values()) == sorted(initial), "a variable that is not read exactly once, or not initialised")
    producers = {index: op for op in graph.operators for index in op.outputs}
    steps: list[_OperatorStep] = []
    rings: dict[str, int] = {}
    for op in graph.operators:
        if op.name not in OPERATORS:
            raise UnsupportedGraph(f"operator {op.name}")
        kind = OPERATORS[op.name]
        if op.name == "CONCATENATION" and op.inputs[0] in reads:
            variable = reads[op.inputs[0]]
            ring = _ring(graph, op, initial[variable])
            rings[variable] = op.outputs[0]
            steps.append(_OperatorStep(op.inputs[1:], op.outputs, ring))
        elif op.name == "ASSIGN_VARIABLE":
            _check_assignment(graph, op, producers, rings.get(variables[op.inputs[0]]))
        elif kind.kernel is not None:
            steps.append(_OperatorStep(op.inputs[: kind.data_inputs], op.outputs, kind.kernel(graph, op)))
    require(
        all(index not in reads for step in steps for index in step.inputs),
        "a variable that is used outside its ring buffer",
    )
    return _without_unused(steps, graph.outputs[0])


def _ring(graph: Subgraph, op: Operator, initial: NDArray[np.int8]) -> _Ring:
    output = graph.tensors[op.outputs[0]]
    require(len(op.inputs) == 2 and len(output.shape) == 4, "a ring buffer that is not joined with one 4-D value")
    require(
        op.options.axis % 4 == 1 and initial.ndim == 4 and initial.shape[0] == 1,
        "a ring buffer that is not joined along its rows",
    )
    require(op.options.fusedActivationFunction == 0, "a ring buffer with an activation")
    rows = initial.shape[1]
    return _Ring(initial[0], rows, output.shape[1] - rows)


def _check_assignment(graph: Subgraph, op: Operator, producers: dict[int, Operator], joined: int | None) -> None:
    """The variable must take exactly the last rows of its own ring buffer."""
    source = producers.get(op.inputs[1])
    require(joined is not None and source is not None, "a variable that is not kept by a ring buffer")
    assert source is not None
    assert joined is not None
    require(
        source.name == "STRIDED_SLICE" and source.inputs[0] == joined,
        "a variable that does not keep a slice of its ring buffer",
    )
    movement.strided_slice(graph, source)  # has the checked form
    before, after = graph.tensors[joined].shape, graph.tensors[op.inputs[1]].shape
    begin = graph.tensors[source.inputs[1]].data
    assert begin is not None
    first_row = 0 if source.options.beginMask >> 1 & 1 else int(begin[1]) % before[1]
    require(
        (after[0], *after[2:]) == (before[0], *before[2:]) and first_row + after[1] == before[1],
        "a variable that does not keep the last rows",
    )


def _initial_values(model: TfliteModel) -> dict[str, NDArray[np.int8]]:
    """Initial value of each variable, from the subgraph that CALL_ONCE runs."""
    calls = [op for op in model.main.operators if op.name == "CALL_ONCE"]
    require(len(calls) == 1, "no single CALL_ONCE")
    index = calls[0].options.initSubgraphIndex
    require(0 < index < len(model.subgraphs), "a CALL_ONCE without its subgraph")
    graph = model.subgraphs[index]
    values: dict[str, NDArray[np.int8]] = {}
    for op in graph.operators:
        if op.name == "ASSIGN_VARIABLE":
            value = graph.tensors[op.inputs[1]]
            require(
                value.data is not None and value.type_name == "INT8",
                "a variable whose initial value is no int8 constant",
            )
            assert value.data is not None
            values[graph.variables[op.inputs[0]]] = value.data
    return values


def _without_unused(steps: list[_OperatorStep], output: int) -> list[_OperatorStep]:
    """Drop steps whose results nobody reads: the slices that only fed ASSIGN_VARIABLE."""
    needed, kept = {output}, []
    for step in reversed(steps):
        if needed.intersection(step.outputs):
            needed.update(step.inputs)
            kept.append(step)
    return kept[::-1]
