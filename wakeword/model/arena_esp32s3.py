"""How much tensor arena a model will use on an ESP32-S3, worked out from the flatbuffer alone.

TFLM fills an arena from both ends. The *head* holds activations and scratch buffers, placed by the greedy memory
planner by size and lifetime; the *tail* holds what lives as long as the interpreter. A host cannot measure either: its
pointers are 8 bytes, and its kernels are not ESP-NN's. So both are computed here, for 32-bit structures and the version
of ESP-NN that ESPHome 2026.10 pins (esp-tflite-micro 1.3.3~1), or another one.

Sources, all public: tflite-micro `micro_allocator.cc` (order and kind of tail allocations), `micro_allocation_info.cc`
(lifetimes), `greedy_memory_planner.cc` (placement). What each kind of operator takes stands in `wakeword.operators`.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeword.errors import ConfigError
from wakeword.model.arena_kernels import BUFFER_ALIGNMENT, EspNn, aligned
from wakeword.model.esp_nn import PINNED, VERSIONS, kernels_of
from wakeword.model.flatbuffer import TfliteModel
from wakeword.operators import OPERATORS, foreign_operators

WORD = 4
"""Bytes of a pointer, an int and a size_t of the Xtensa LX7."""

# Structures of the tail, bytes on a 32-bit machine.
SINGLE_ARENA_BUFFER_ALLOCATOR = 36  # two vtables, five pointers, a checksum, a counter
GREEDY_MEMORY_PLANNER = 44  # a vtable, four ints, five pointers, a bool
MICRO_ALLOCATOR = 36  # a vtable, six pointers and sizes, a bool, the largest head
BUILTIN_DATA_ALLOCATOR = 8
SUBGRAPH_ALLOCATIONS = 8
EVAL_TENSOR = 12  # data, dims, type
NODE_AND_REGISTRATION = 32  # TfLiteNode 28, registration
TENSOR = 40  # TfLiteTensor; only the model's inputs and outputs have one that persists
AFFINE_QUANTIZATION = 12
INT_ARRAY_OF_ONE = 8
SCRATCH_BUFFER_HANDLE = 4

# Structures that exist only while the memory is being planned; they share the head's place.
SCRATCH_BUFFER_REQUEST = 12
SCRATCH_REQUESTS_RESERVED = 12  # kMaxScratchBuffersPerOp
ALLOCATION_INFO = 24
PLANNER_BYTES_PER_BUFFER = 40  # GreedyMemoryPlanner::per_buffer_size()


@dataclass(frozen=True)
class Buffer:
    """A buffer to be placed in the head: its bytes, and the first and last allocation scope in which it is needed."""

    size: int
    first: int
    last: int


@dataclass(frozen=True)
class ArenaEstimate:
    """Bytes of an ESP32-S3's arena. `planning` is the space that planning itself takes where the head will be."""

    head: int
    tail: int
    planning: int

    @property
    def total(self) -> int:
        """The smallest arena with which the model loads."""
        return max(self.head, self.planning) + self.tail


def esp32s3_estimate(model: TfliteModel, version: str = PINNED) -> int:
    """Bytes of tensor arena that the model will need on an ESP32-S3; see `estimate_arena`."""
    return estimate_arena(model, version).total


def estimate_arena(model: TfliteModel, version: str = PINNED) -> ArenaEstimate:
    """Estimate the arena of a model on an ESP32-S3 with this version of ESP-NN, part by part.

    Within 2 % of the arenas that the authors of official models measured and published in their manifests. Raises
    `ConfigError` for a version that is not known, and when the model has an operator that the device lacks, or one
    without the inputs or shapes that its kernel needs.
    """
    if foreign := foreign_operators(model):
        raise ConfigError(
            f"{model.source}: cannot work out the tensor arena, since the device does not know {', '.join(foreign)};"
            " run mww-verify on it"
        )
    kernels = kernels_of(version)
    try:
        buffers = head_buffers(model, kernels)
        tail, scratch_count = _tail(model)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"{model.source}: cannot work out the tensor arena ({type(error).__name__}: {error}); run mww-verify on it"
        ) from error
    tensors = sum(len(graph.tensors) for graph in model.subgraphs)
    planning = (
        SCRATCH_BUFFER_REQUEST * (scratch_count + SCRATCH_REQUESTS_RESERVED)
        + WORD * len(model.subgraphs)
        + ALLOCATION_INFO * (tensors + scratch_count)
        + PLANNER_BYTES_PER_BUFFER * len(buffers)
    )
    return ArenaEstimate(plan_head(buffers), tail, aligned(planning))


def plan_head(buffers: list[Buffer]) -> int:
    """Bytes that TFLM's greedy planner needs for these buffers.

    The largest goes first to offset 0; each next one into the first gap between buffers that live at the same time. Of
    equals the later one goes first: the planner lists them from the back and sorts stably.
    """
    placed: list[tuple[int, Buffer]] = []
    backwards = buffers[::-1]
    for buffer in sorted(backwards, key=lambda item: -item.size):
        offset = 0
        for start, other in placed:
            if other.first > buffer.last or other.last < buffer.first:
                continue
            if start - offset >= buffer.size:
                break
            offset = max(offset, start + other.size)
        # Equal offsets keep the order in which they came.
        place = sum(start <= offset for start, _ in placed)
        placed.insert(place, (offset, buffer))
    return max((start + buffer.size for start, buffer in placed), default=0)


def head_buffers(model: TfliteModel, kernels: EspNn | None) -> list[Buffer]:
    """Activations and scratch buffers with their lifetimes, in the planner's order: tensors, then scratch buffers.

    Every operator opens an allocation scope, and so does the subgraph that a CALL_ONCE runs. Scratch buffers are those
    of ESP-NN's `kernels`; None: of the reference kernels that a host runs.
    """
    created: dict[tuple[int, int], int] = {}
    used: dict[tuple[int, int], int] = {}
    scratch: list[Buffer] = []
    scope = 0

    def walk(graph_index: int) -> None:
        nonlocal scope
        graph = model.subgraphs[graph_index]
        for index in (*graph.inputs, *graph.outputs):
            created[graph_index, index] = used[graph_index, index] = scope
        for operator in graph.operators:
            scope += 1
            start = scope
            for index in operator.outputs:
                created[graph_index, index] = used[graph_index, index] = scope
            if operator.name == "CALL_ONCE":
                scope += 1
                walk(int(operator.options.initSubgraphIndex))
            for index in (*operator.inputs, *operator.outputs):
                if (graph_index, index) in created:
                    used[graph_index, index] = scope
            scratch.extend(
                Buffer(aligned(size), start, scope)
                for size in OPERATORS[operator.name].scratch(graph, operator, kernels)
            )
        for index in graph.outputs:
            used[graph_index, index] = scope

    walk(0)
    tensors = (model.subgraphs[graph_index].tensors[index] for graph_index, index in sorted(created))
    lifetimes = [(created[key], used[key]) for key in sorted(created)]
    activations = [
        Buffer(aligned(tensor.size_bytes), first, last)
        for tensor, (first, last) in zip(tensors, lifetimes, strict=True)
        if tensor.data is None and tensor.size_bytes
    ]
    return activations + scratch


class _ArenaTail:
    """The tail as TFLM fills it: downwards, each piece aligned down."""

    def __init__(self) -> None:
        self.used = 0

    def take(self, size: int, alignment: int = WORD) -> None:
        if size:
            self.used = aligned(self.used + size, alignment)


def _tail(model: TfliteModel) -> tuple[int, int]:
    """Bytes of the tail and the number of scratch buffers, walking the allocations in the order of TFLM."""
    tail = _ArenaTail()
    for size in (SINGLE_ARENA_BUFFER_ALLOCATOR, GREEDY_MEMORY_PLANNER, MICRO_ALLOCATOR, BUILTIN_DATA_ALLOCATOR):
        tail.take(size)
    tail.take(SUBGRAPH_ALLOCATIONS * len(model.subgraphs))
    for graph in model.subgraphs:
        tail.take(EVAL_TENSOR * len(graph.tensors))
    for graph in model.subgraphs:
        tail.take(NODE_AND_REGISTRATION * len(graph.operators))
    operators = [(graph, operator) for graph in model.subgraphs for operator in graph.operators]
    for _, operator in operators:
        tail.take(OPERATORS[operator.name].parameters)
    for _, operator in operators:
        tail.take(OPERATORS[operator.name].op_data, BUFFER_ALIGNMENT)
    for graph, operator in operators:
        for size in OPERATORS[operator.name].prepared(graph, operator):
            tail.take(size, BUFFER_ALIGNMENT)
    for size in state_sizes(model).values():
        tail.take(size, BUFFER_ALIGNMENT)
    scratch_count = sum(
        len(OPERATORS[operator.name].scratch(graph, operator, VERSIONS[PINNED])) for graph, operator in operators
    )
    for _ in model.subgraphs:
        # FinishModelAllocation allocates the handles anew for every subgraph.
        tail.take(SCRATCH_BUFFER_HANDLE * scratch_count)
    for indices in (model.main.inputs, model.main.outputs):
        tail.take(WORD * len(indices), BUFFER_ALIGNMENT)
        for _ in indices:
            for size in (TENSOR, AFFINE_QUANTIZATION, INT_ARRAY_OF_ONE):
                tail.take(size)
    return aligned(tail.used), scratch_count


def state_sizes(model: TfliteModel) -> dict[str, int]:
    """Bytes of each resource variable by its shared name, as the first ASSIGN_VARIABLE that names it allocates it."""
    sizes: dict[str, int] = {}
    for graph in model.subgraphs:
        names = graph.variables
        for operator in graph.operators:
            if operator.name == "ASSIGN_VARIABLE" and operator.inputs[0] in names:
                sizes.setdefault(names[operator.inputs[0]], graph.tensors[operator.inputs[1]].size_bytes)
    return sizes
