"""The table of operators is complete: each column of each row is what ESPHome, the schema, TFLM's allocator and TFLM's
kernels say.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import firmware.virtual
from tests.model_builder import ModelBuilder
from wakeword.engines.windows import as_array
from wakeword.model.arena_esp32s3 import head_buffers, plan_head
from wakeword.model.flatbuffer import VALID_PADDING, parse_model
from wakeword.operators import OPERATORS, foreign_operators

SCALE, ZERO_POINT = 0.1, 3
COMPUTED = sorted(name for name, kind in OPERATORS.items() if kind.kernel is not None)
INVOCATIONS = 40


class OneOperator(ModelBuilder):
    """A model of one operator over int8 values, or of several that do the same."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self._times = times

    def constant(self, values: Any, type_name: str = "INT32", scales: Any = None) -> int:
        data = np.asarray(values, type_name.lower())
        return self.tensor("constant", type_name, data.shape, scales=scales, data=data)

    def weights(self, *shape: int) -> list[int]:
        """Filters with a scale each, and their biases."""
        filters = shape[-1] if shape[0] == 1 else shape[0]
        scales = np.linspace(0.01, 0.02, filters)
        values = np.random.default_rng(1).integers(-127, 128, shape)
        weights = self.tensor(
            "weights", "INT8", shape, scales=scales, axis=3 if shape[0] == 1 else 0, data=values.astype(np.int8)
        )
        return [weights, self.constant(np.arange(filters) * 50, scales=scales * SCALE)]

    def one(
        self,
        name: str,
        sources: Sequence[tuple[int, ...]],
        outputs: Sequence[tuple[int, ...]],
        constants: Sequence[int] = (),
        output_quantisation: tuple[float, int] = (SCALE, ZERO_POINT),
        **options: Any,
    ) -> bytes:
        inputs = [self.tensor("source", "INT8", shape, scales=SCALE, zero_points=ZERO_POINT) for shape in sources]
        results = [
            self.tensor("output", "INT8", shape, scales=output_quantisation[0], zero_points=output_quantisation[1])
            for shape in outputs
        ]
        for _ in range(self._times):
            self.operator(name, [*inputs, *constants], results, options)
        self.interface(inputs, results)
        return self.build()


def one_operator(name: str, times: int = 1) -> bytes:
    """A model of one such operator, so many times. A new row of the table needs a case here."""
    build = OneOperator(times)
    rows, pooled, flat = (1, 4, 1, 8), (1, 1, 1, 8), (1, 8)
    moved: dict[str, Any] = {"padding": VALID_PADDING, "strideW": 1, "strideH": 1}
    match name:
        case "ADD" | "MUL":
            return build.one(name, [flat, flat], [flat], output_quantisation=(0.3, -4))
        case "AVERAGE_POOL_2D" | "MAX_POOL_2D":
            return build.one(name, [rows], [pooled], filterWidth=1, filterHeight=4, **moved)
        case "CONCATENATION":
            return build.one(name, [flat, flat], [(1, 16)], axis=1)
        case "CONV_2D":
            return build.one(name, [rows], [(1, 2, 1, 6)], build.weights(6, 3, 1, 8), (0.5, -9), **moved)
        case "DEPTHWISE_CONV_2D":
            return build.one(
                name, [rows], [(1, 2, 1, 8)], build.weights(1, 3, 1, 8), (0.5, -9), depthMultiplier=1, **moved
            )
        case "FULLY_CONNECTED":
            weights = build.constant(np.random.default_rng(1).integers(-127, 128, (4, 8)), "INT8", 0.01)
            return build.one(
                name, [flat], [(1, 4)], [weights, build.constant([1, 2, 3, 4], scales=SCALE * 0.01)], (0.5, -9)
            )
        case "LOGISTIC":
            return build.one(name, [flat], [flat], output_quantisation=(1 / 256, -128))
        case "MEAN":
            return build.one(name, [rows], [flat], [build.constant([1, 2])], (0.07, 5))
        case "PACK":
            return build.one(name, [flat, flat], [(1, 2, 8)], axis=1, valuesCount=2)
        case "PAD":
            return build.one(name, [flat], [(1, 11)], [build.constant([[0, 0], [1, 2]])])
        case "QUANTIZE":
            return build.one(name, [flat], [flat], output_quantisation=(0.07, -20))
        case "RESHAPE":
            return build.one(name, [flat], [(1, 2, 4)], [build.constant([1, 2, 4])])
        case "SPLIT_V":
            return build.one(name, [flat], [(1, 3), (1, 5)], [build.constant([3, 5]), build.constant([1])], numSplits=2)
        case "STRIDED_SLICE":
            return build.one(name, [flat], [(1, 3)], [build.constant(bound) for bound in ([0, 1], [1, 6], [1, 2])])
    raise AssertionError(f"no model of one {name}")


def test_the_operators_are_those_that_esphome_registers() -> None:
    # ESPHome's own code is compiled against this resolver, so a firmware with another operator would not build.
    resolver = (
        Path(firmware.virtual.__file__).parent / "shims/tensorflow/lite/micro/micro_mutable_op_resolver.h"
    ).read_text()
    registered = {name.lower() for name in re.findall(r"Add(\w+)\(\)", resolver)}
    assert {name.replace("_", "").lower() for name in OPERATORS} == registered
    assert len(OPERATORS) == 20


@pytest.mark.parametrize("name", OPERATORS)
def test_options_are_the_schemas(name: str) -> None:
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    own = "".join(part.capitalize() for part in name.split("_")).replace("2d", "2D") + "Options"
    options = OPERATORS[name].options
    assert hasattr(schema.BuiltinOperator, name)
    if options is None:
        assert not hasattr(schema.BuiltinOptions, own)
    else:
        assert hasattr(schema.BuiltinOptions, options)
        # Only kinds that have no table of their own share one.
        assert options == own or not hasattr(schema.BuiltinOptions, own)


@pytest.mark.parametrize("name", COMPUTED)
def test_the_kernel_gives_what_tflite_micro_gives(name: str) -> None:
    from tflite_micro import runtime

    content = one_operator(name)
    graph, kind = parse_model(content).main, OPERATORS[name]
    random = np.random.default_rng(2)
    values = [
        random.integers(-128, 128, (INVOCATIONS, *graph.tensors[index].shape[1:])).astype(np.int8)
        for index in graph.inputs
    ]
    assert graph.operators[0].inputs[: kind.data_inputs] == graph.inputs
    assert kind.kernel is not None
    result = kind.kernel(graph, graph.operators[0])(values)
    found = [as_array(each) for each in (result if isinstance(result, list) else [result])]
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=1 << 16)
    for invocation in range(INVOCATIONS):
        for index, value in enumerate(values):
            interpreter.set_input(value[invocation : invocation + 1], index)
        interpreter.invoke()
        for index, each in enumerate(found):
            np.testing.assert_array_equal(each[invocation], interpreter.get_output(index)[0])
    assert len(np.unique(found[0])) > 5  # a constant would prove nothing


_ALLOCATIONS = """
import sys
from tflite_micro import runtime
for path in sys.argv[1:]:
    print("MODEL", file=sys.stderr, flush=True)
    interpreter = runtime.Interpreter.from_file(path, arena_size=1 << 18)
    interpreter.invoke()
    interpreter.print_allocations()
"""


COPIES = 17
POINTER = 8
"""Bytes on a host."""
WHEELS_OWN = {"FULLY_CONNECTED": 16}
"""What the wheel allocates for an operator and its sources do not show; the device's release, for which the estimate
is, is older."""


@pytest.fixture(scope="module")
def allocations(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], str]:
    """What tflite-micro's recording allocator says of models of one operator and of several."""
    folder = tmp_path_factory.mktemp("operators")
    paths = {(name, times): folder / f"{name}-{times}" for name in COMPUTED for times in (1, COPIES)}
    for (name, times), path in paths.items():
        path.write_bytes(one_operator(name, times))
    done = subprocess.run(
        [sys.executable, "-c", _ALLOCATIONS, *map(str, paths.values())],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return dict(zip(paths, done.stderr.split("MODEL")[1:], strict=True))


def _bytes(said: str, pattern: str) -> int:
    found = re.search(pattern, said)
    assert found, said
    return int(found[1])


def _unnamed(said: str) -> int:
    """Bytes of the tail that the allocator does not tell by name: the interpreter's own structures, parameters of
    operators, handles of scratch buffers.
    """
    return _bytes(said, r"tail (\d+)") - sum(map(int, re.findall(r"' used (\d+)", said)))


@pytest.mark.parametrize("name", COMPUTED)
def test_parameters_are_what_tflite_micro_allocates(name: str, allocations: dict[tuple[str, int], str]) -> None:
    # None of these structures holds a pointer, so a host's are as large as a device's.
    each = (_unnamed(allocations[name, COPIES]) - _unnamed(allocations[name, 1])) / (COPIES - 1)
    graph, kind = parse_model(one_operator(name)).main, OPERATORS[name]
    assert each == kind.parameters + POINTER * len(kind.scratch(graph, graph.operators[0], None)) + WHEELS_OWN.get(
        name, 0
    )


@pytest.mark.parametrize("name", COMPUTED)
def test_memory_that_lives_as_long_as_the_interpreter_is_nowhere_forgotten(
    name: str, allocations: dict[tuple[str, int], str]
) -> None:
    model = parse_model(one_operator(name))
    graph = model.main
    # Pointers to inputs and outputs; the rest are the kernel's. Where its structure holds pointers the host's is the
    # larger.
    measured = _bytes(
        allocations[name, 1], r"buffer data' used \d+ bytes with alignment overhead \(requested (\d+)"
    ) - POINTER * len((*graph.inputs, *graph.outputs))
    kind = OPERATORS[name]
    stated = kind.op_data + sum(kind.prepared(graph, graph.operators[0]))
    assert (measured > 0) == (stated > 0)
    assert 0.5 * measured <= stated <= measured + 4


@pytest.mark.parametrize("name", COMPUTED)
def test_scratch_is_what_tflite_micro_plans(name: str, allocations: dict[tuple[str, int], str]) -> None:
    assert plan_head(head_buffers(parse_model(one_operator(name)), kernels=None)) == _bytes(
        allocations[name, 1], r"head (\d+)"
    )


def test_foreign_operators_are_counted() -> None:
    builder = ModelBuilder()
    tensors = [builder.tensor("value", "INT8", (1, 4), scales=1.0) for _ in range(4)]
    for name, source, output in zip(("TANH", "LOGISTIC", "TANH"), tensors, tensors[1:], strict=False):
        builder.operator(name, [source], [output])
    builder.interface(tensors[:1], tensors[-1:])
    model = parse_model(builder.build())
    assert foreign_operators(model) == {"TANH": 2}
    assert not foreign_operators(parse_model(one_operator("ADD")))
