"""The contract check: official models pass, and each way to break a model has its own message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.model_builder import ModelBuilder
from wakeword.errors import ConfigError
from wakeword.model import verify
from wakeword.model.checks import VerifyReport
from wakeword.model.flatbuffer import parse_model, read_model
from wakeword.model.verify import check_manifest_arena, verify_model


@dataclass(frozen=True)
class Recipe:
    """A small streaming model; the defaults make one that passes."""

    version: int = 3
    input_shape: tuple[int, ...] = (1, 3, 40)
    input_type: str = "INT8"
    input_scale: float | None = 26 / 255
    input_zero_point: int = -128
    output_shape: tuple[int, ...] = (1, 1)
    output_type: str = "UINT8"
    output_scale: float = 1 / 256
    variables: int = 1
    variable_type: str = "INT8"
    initialised: int | None = None
    """How many of the variables; None is all of them."""
    call_once: str = "first"
    extra_subgraph: bool = False
    foreign: tuple[str, ...] = ()
    two_inputs: bool = False
    logistic_of_nothing: bool = False


def build(recipe: Recipe) -> bytes:
    builder = ModelBuilder(version=recipe.version)
    source = builder.tensor(
        "source", recipe.input_type, recipe.input_shape, scales=recipe.input_scale, zero_points=recipe.input_zero_point
    )
    float_state = recipe.variable_type == "FLOAT32"
    handles = [builder.tensor(f"state_{index}", "RESOURCE") for index in range(recipe.variables)]
    initialiser = None
    if recipe.initialised != 0 or recipe.call_once != "first":
        initialiser = builder.subgraph("initialiser")
    if recipe.call_once == "first":
        builder.operator("CALL_ONCE", [], [], {"initSubgraphIndex": 1})
    for index, handle in enumerate(handles):
        builder.operator("VAR_HANDLE", [], [handle], {"sharedName": f"state_{index}"})
        scale = None if float_state else 0.1
        before = builder.tensor(f"before_{index}", recipe.variable_type, (1, 4), scales=scale)
        builder.operator("READ_VARIABLE", [handle], [before])
        builder.operator("ASSIGN_VARIABLE", [handle, before], [])
        if initialiser is not None and (recipe.initialised is None or index < recipe.initialised):
            other = initialiser.tensor(f"state_{index}", "RESOURCE")
            zeros = np.zeros((1, 4), recipe.variable_type.lower())
            value = initialiser.tensor("zeros", recipe.variable_type, (1, 4), scales=scale, data=zeros)
            initialiser.operator("VAR_HANDLE", [], [other], {"sharedName": f"state_{index}"})
            initialiser.operator("ASSIGN_VARIABLE", [other, value], [])
    if recipe.call_once == "last":
        builder.operator("CALL_ONCE", [], [], {"initSubgraphIndex": 1})
    if recipe.extra_subgraph:
        builder.subgraph("superfluous")
    weights = builder.tensor("weights", "INT8", (1, 120), scales=0.01, data=np.ones((1, 120), np.int8))
    bias = builder.tensor("bias", "INT32", (1,), scales=0.001, data=np.zeros(1, np.int32))
    flat_shape = builder.tensor("shape", "INT32", (2,), data=np.array([1, 120], np.int32))
    flat = builder.tensor("flat", "INT8", (1, 120), scales=recipe.input_scale, zero_points=recipe.input_zero_point)
    logit = builder.tensor("logit", "INT8", (1, 1), scales=0.1)
    probability = builder.tensor("probability", "INT8", (1, 1), scales=1 / 256, zero_points=-128)
    output = builder.tensor("output", recipe.output_type, recipe.output_shape, scales=recipe.output_scale)
    builder.operator("RESHAPE", [source, flat_shape], [flat])
    builder.operator("FULLY_CONNECTED", [flat, weights, bias], [logit])
    builder.operator("LOGISTIC", [] if recipe.logistic_of_nothing else [logit], [probability])
    for name in recipe.foreign:
        builder.operator(name, [probability], [probability])
    builder.operator("QUANTIZE", [probability], [output])
    builder.interface([source, flat] if recipe.two_inputs else [source], [output])
    return builder.build()


def verified(recipe: Recipe) -> VerifyReport:
    return verify_model(parse_model(build(recipe)))


@pytest.mark.parametrize("name", ["alexa", "hey_jarvis", "hey_mycroft", "okay_nabu"])
def test_official_models_pass(official_models: Path, name: str) -> None:
    report = verify_model(read_model(official_models / f"{name}.tflite"))
    assert report.passed, report.failures
    assert all(check.status == "passed" for check in report.checks)
    assert report.arena_bytes is not None


def test_the_recipe_passes() -> None:
    report = verified(Recipe())
    assert report.passed, report.failures


def test_random_streaming_models_pass(streaming_model: Callable[..., bytes]) -> None:
    for options in (
        {},
        {
            "stride": 2,
            "first_stride": 1,
            "pack": True,
            "pad": "channels",
            "head": "mean",
            "mul": "gate",
            "residual": True,
        },
    ):
        report = verify_model(parse_model(streaming_model(**options)))
        assert report.passed, report.failures


@pytest.mark.parametrize(
    ("recipe", "name", "message"),
    [
        (Recipe(version=2), "schema", "version 2; the device accepts only 3"),
        (Recipe(extra_subgraph=True), "subgraphs", "3; two are needed"),
        (Recipe(initialised=0), "subgraphs", "1; two are needed"),
        (Recipe(call_once="never"), "initialisation", "no CALL_ONCE"),
        (Recipe(call_once="last"), "initialisation", "after the first use"),
        (Recipe(variables=3, initialised=1), "initialisation", "leaves 2 of 3 states unset, state_1 first"),
        (Recipe(initialised=0), "initialisation", "the first for subgraph 1"),
        (Recipe(variables=0), "states", "not a streaming model"),
        (Recipe(variable_type="FLOAT32"), "state types", "missed _experimental_variable_quantization"),
        (Recipe(variable_type="INT16"), "state types", "1 state(s) that are not int8, state_0 first: INT16"),
        (Recipe(variables=21), "state table", "21 states; the device has room for 20"),
        (Recipe(foreign=("TANH", "TANH", "RELU")), "operators", "not known to the device: RELU (1 x), TANH (2 x)"),
        (Recipe(foreign=("DEQUANTIZE",)), "dequantize", "boots into a crash"),
        (Recipe(two_inputs=True), "interface", "2 input(s), 1 output(s); one of each"),
        (Recipe(input_shape=(1, 120)), "input", "INT8 [1, 120]; the device needs INT8 [1, stride, 40]"),
        (Recipe(input_shape=(1, 3, 41)), "input", "INT8 [1, 3, 41]"),
        (Recipe(input_type="FLOAT32"), "input", "FLOAT32 [1, 3, 40]"),
        (Recipe(output_shape=(1, 2)), "output", "UINT8 [1, 2]; the device needs UINT8 [1, 1]"),
        (Recipe(output_type="INT8"), "output", "INT8 [1, 1]"),
        (
            Recipe(input_scale=0.11),
            "input quantisation",
            "the device quantises with 26/255 and -128 whatever the model declares",
        ),
        (Recipe(input_scale=0.01), "input quantisation", "of 256 steps off; needs 0.101961, -128"),
        (Recipe(input_zero_point=0), "input quantisation", "zero point 0: the device quantises"),
        (Recipe(input_scale=None), "input quantisation", "not quantised per tensor"),
        (Recipe(output_scale=1 / 255), "output quantisation", "needs 0.00390625, 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_model_fails_with_its_own_message(recipe: Recipe, name: str, message: str) -> None:
    report = verified(recipe)
    assert not report.passed
    details = {check.name: check.detail for check in report.failures}
    assert message in details[name]
    # It never met the interpreter.
    assert "interpreter" not in {check.name for check in report.checks}


def test_options_of_another_kind_fail() -> None:
    model = parse_model(build(Recipe()))
    call_once = model.main.operators[0]
    object.__setattr__(
        next(operator for operator in model.main.operators if operator.name == "FULLY_CONNECTED"),
        "options",
        call_once.options,
    )
    assert (
        "FULLY_CONNECTED carries CallOnceOptions, its kernel reads FullyConnectedOptions"
        in verify_model(model).check("options").detail
    )


def test_a_model_that_the_interpreter_refuses_fails() -> None:
    report = verified(Recipe(logistic_of_nothing=True))
    assert [check.name for check in report.failures] == ["interpreter"]
    assert report.arena_bytes is None


def test_an_operator_without_its_inputs_is_damage(official_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise IndexError("tuple index out of range")

    monkeypatch.setattr(verify, "check_states", broken)
    report = verify_model(read_model(official_models / "alexa.tflite"))
    assert [check.name for check in report.failures] == ["structure"]


def test_damaged_files_never_surprise(official_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        verify, "try_model", lambda content: pytest.fail(f"a damaged model of {len(content)} bytes met the interpreter")
    )
    content = (official_models / "alexa.tflite").read_bytes()
    for length in range(0, len(content), 1499):
        with pytest.raises(ConfigError):
            verify_model(parse_model(content[:length]))


@pytest.mark.parametrize(("scale", "steps"), [(26 / 255 * 0.99988, 1), (26 / 255 * 1.002, 2), (0.1, 5)])
def test_a_scale_near_the_devices_is_a_warning_with_its_size(scale: float, steps: int) -> None:
    report = verified(Recipe(input_scale=scale))
    assert report.passed, report.failures
    check = report.check("input quantisation")
    assert check.status == "warning"
    assert f"up to {steps} of 256 steps off" in check.detail


@pytest.mark.parametrize(
    ("manifest", "status", "said"),
    [
        (30_000, "passed", "estimated need 22,720"),
        (22_720, "passed", "estimated need 22,720"),
        (22_705, "passed", "estimated need 22,720"),  # the device rounds up to 16 bytes
        (22_704, "warning", "16 bytes short, which is within the estimate's 3%"),
        (20_000, "warning", "2,720 bytes short; the device runs it with 1.5 times the size"),
        (15_000, "warning", "7,720 bytes short; the device runs it with 2 times the size"),
        (11_000, "failed", "too small even at twice its size"),
    ],
)
def test_a_manifests_arena(manifest: int, status: str, said: str) -> None:
    check = check_manifest_arena(manifest, 22_720)
    assert check.status == status
    assert check.passed is (status != "failed")
    assert said in check.detail
