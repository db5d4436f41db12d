"""The device contract of a model's states: the variables that it keeps between inferences."""

from __future__ import annotations

from collections.abc import Iterator

from wakeword.model.arena_esp32s3 import state_sizes
from wakeword.model.checks import Check, check_of
from wakeword.model.flatbuffer import Subgraph, TfliteModel

MAX_VARIABLES = 20
"""`MicroResourceVariables::Create(ma_, 20)` in `streaming_model.cpp`."""
VARIABLE_ARENA_BYTES = 1024
"""`STREAMING_MODEL_VARIABLE_ARENA_SIZE`: the resource table has an arena of its own; the states themselves do not."""
_VARIABLE_ARENA_FIXED_BYTES = 160
"""Allocators and the table's head, rounded up; the sizes are those of `arena_esp32s3`."""
_VARIABLE_ENTRY_BYTES = 20
"""`MicroResourceVariable`, 32-bit: container, shared name, buffer, bytes, default value."""


def check_states(model: TfliteModel) -> Iterator[Check]:
    """There are some, set at boot, int8, and no more than the device's table holds."""
    names = set(model.main.variables.values())
    if not names:
        yield Check(
            "states",
            "failed",
            "the model keeps no state between inferences: it is not a streaming model; export its streaming form",
        )
        return
    yield _initialised(model, names)
    types = _variable_types(model)
    floating = sorted(name for name in names if "FLOAT32" in types.get(name, ()))
    other = sorted(name for name in names if types.get(name, {"INT8"}) != {"INT8"} and name not in floating)
    if floating:
        detail = (
            f"{len(floating)} float state(s), {floating[0]} first: the export missed"
            " _experimental_variable_quantization, or was told not to quantise"
        )
    elif other:
        detail = f"{len(other)} state(s) that are not int8, {other[0]} first: {', '.join(sorted(types[other[0]]))}"
    else:
        detail = f"{len(names)} int8, {sum(state_sizes(model).values()):,} bytes"
    yield check_of("state types", not floating and not other, detail)
    every = len(state_sizes(model).keys() | names)
    table = _VARIABLE_ARENA_FIXED_BYTES + MAX_VARIABLES * _VARIABLE_ENTRY_BYTES
    found = (
        f"{every} of {MAX_VARIABLES} states; the table takes about {table} of the {VARIABLE_ARENA_BYTES} bytes it has"
    )
    yield check_of(
        "state table",
        every <= MAX_VARIABLES,
        found if every <= MAX_VARIABLES else f"{every} states",
        f"the device has room for {MAX_VARIABLES}",
    )


def _initialised(model: TfliteModel, names: set[str]) -> Check:
    """Whether a CALL_ONCE before the first use runs a subgraph that assigns every state."""
    name = "initialisation"
    calls = [operator for operator in model.main.operators if operator.name == "CALL_ONCE"]
    if not calls:
        return Check(
            name,
            "failed",
            "no CALL_ONCE: nothing sets the states at boot; convert it again from a SavedModel with initialised"
            " variables",
        )
    target = int(calls[0].options.initSubgraphIndex)
    if len(calls) > 1 or not 0 < target < len(model.subgraphs):
        return Check(
            name, "failed", f"{len(calls)} CALL_ONCE, the first for subgraph {target}; one for subgraph 1 is needed"
        )
    first_use = min(
        (operator.index for operator in model.main.operators if operator.name in ("READ_VARIABLE", "ASSIGN_VARIABLE")),
        default=len(names),
    )
    if calls[0].index > first_use:
        return Check(name, "failed", "CALL_ONCE comes after the first use of a state")
    missing = sorted(names - _assigned(model.subgraphs[target]))
    if missing:
        return Check(
            name, "failed", f"subgraph {target} leaves {len(missing)} of {len(names)} states unset, {missing[0]} first"
        )
    return Check(name, "passed", f"CALL_ONCE runs subgraph {target}, which sets all {len(names)} states")


def _assigned(graph: Subgraph) -> set[str]:
    handles = graph.variables
    return {
        handles[operator.inputs[0]]
        for operator in graph.operators
        if operator.name == "ASSIGN_VARIABLE" and operator.inputs[0] in handles
    }


def _variable_types(model: TfliteModel) -> dict[str, set[str]]:
    """Types with which each variable is read or written."""
    types: dict[str, set[str]] = {}
    for graph in model.subgraphs:
        handles = graph.variables
        for operator in graph.operators:
            if operator.name not in ("READ_VARIABLE", "ASSIGN_VARIABLE") or operator.inputs[0] not in handles:
                continue
            value = operator.outputs[0] if operator.name == "READ_VARIABLE" else operator.inputs[1]
            types.setdefault(handles[operator.inputs[0]], set()).add(graph.tensors[value].type_name)
    return types
