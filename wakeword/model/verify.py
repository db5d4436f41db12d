"""The device contract as checks of a flatbuffer: will ESPHome's `micro_wake_word` load this model and run it right?

Each check says what it found. A failed one means that the device refuses the model, crashes, or computes something else
than the model was trained for; a warning means that it works, at a price. The model is first only read: it meets the
C++ interpreter, in a child process, when nothing in its structure speaks against that.

Checked is the contract, not the likeness to any one model: every official v2 model passes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.model.arena_esp32s3 import esp32s3_estimate
from wakeword.model.arena_host import try_model
from wakeword.model.arena_kernels import aligned
from wakeword.model.checks import Check, VerifyReport, check_of
from wakeword.model.esp_nn import PINNED, known_errors
from wakeword.model.flatbuffer import SCHEMA_VERSION, Subgraph, Tensor, TfliteModel
from wakeword.model.verify_states import check_states
from wakeword.operators import OPERATORS, foreign_operators

SCALE_TOLERANCE = 1e-6
"""Relative; a scale is a float32 in the file, and 26/255 is not."""
INPUT_QUANTISATION = "input quantisation"
MOST_STEPS_OFF = 16
"""Of the input's 256: up to here a foreign input scale is a warning. The device takes any scale and quantises with its
own; the official voice activity model declares one that is 0.2 % off (1 step). Beyond, what the model sees is not what
it was trained on."""
LARGEST_FEATURE = 666
"""The feature at which the device's quantiser reaches its end."""
OUTPUT_SCALE = 1 / 256
ESTIMATE_TOLERANCE = 0.03
"""How far the estimate of an arena may be off."""
PROBED_MULTIPLES = (1, 1.5, 2)
"""The device tries the manifest's arena, then 1.5 and at last 2 times of it."""


def verify_model(model: TfliteModel) -> VerifyReport:
    """Check a model against the device contract.

    Never raises for what is wrong with the model: that is a failed check. Raises `InfrastructureError` when
    tflite-micro cannot be run on this machine.
    """
    checks: list[Check] = []
    try:
        checks.extend(_structure(model))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        checks.append(
            Check(
                "structure",
                "failed",
                f"an operator lacks inputs, outputs or options that its kind must have ({error}); export it again",
            )
        )
    arena_bytes: int | None = None
    if all(check.passed for check in checks):
        trial = try_model(model.content)
        detail = "tflite-micro loads it and runs it" if trial.passed else f"tflite-micro cannot run it: {trial.detail}"
        checks.append(check_of("interpreter", trial.passed, detail))
        if trial.passed:
            arena_bytes = esp32s3_estimate(model)
            checks.append(Check("arena", "passed", f"about {arena_bytes:,} bytes of tensor arena on an ESP32-S3"))
            checks.extend(_kernels(model))
    return VerifyReport(model.source, model.sha256, tuple(checks), arena_bytes)


def _kernels(model: TfliteModel) -> Iterator[Check]:
    """Operators that ESP-NN, as ESPHome pins it, is known to compute wrongly on an ESP32-S3: tflite-micro's reference
    kernels do not show it.
    """
    for number, error in known_errors(model):
        yield Check(
            "kernels",
            "warning",
            f"operator {number}, {error.operator}: ESP-NN {PINNED} on an ESP32-S3: {error.what} ({error.source})",
        )


def check_manifest_arena(manifest_bytes: int, estimate: int) -> Check:
    """Compare a manifest's `tensor_arena_size` with the estimated need, both in bytes.

    The device tries the manifest's size, then 1.5 and 2 times of it, each rounded up to 16 bytes
    (`StreamingModel::probe_arena_size_`). A failure where not even the last does, by more than the estimate may be off;
    a warning where the first may not.
    """
    name, figures = "manifest arena", f"tensor_arena_size {manifest_bytes:,}, estimated need {estimate:,}"
    if estimate <= aligned(manifest_bytes):
        return Check(name, "passed", figures)
    if manifest_bytes * PROBED_MULTIPLES[-1] < estimate * (1 - ESTIMATE_TOLERANCE):
        return Check(name, "failed", f"{figures}: too small even at twice its size; the device cannot load the model")
    short = f"{figures}: {estimate - manifest_bytes:,} bytes short"
    if manifest_bytes >= estimate * (1 - ESTIMATE_TOLERANCE):
        return Check(
            name,
            "warning",
            f"{short}, which is within the estimate's {ESTIMATE_TOLERANCE:.0%}; if it is not enough, the device tries"
            " 1.5 and 2 times the size",
        )
    enough = next(
        (multiple for multiple in PROBED_MULTIPLES if aligned(int(manifest_bytes * multiple)) >= estimate),
        PROBED_MULTIPLES[-1],
    )
    return Check(
        name,
        "warning",
        f"{short}; the device runs it with {enough:g} times the size, which it tries next; an older ESPHome, which"
        " tries only the first, does not load it",
    )


def own_quantiser(features: NDArray[np.uint16], scale: float, zero_point: int) -> NDArray[np.int8]:
    """Features by a model's own scale and zero point, as nothing on the device does it: int8 of the same shape."""
    quantised: NDArray[np.int8] = np.clip(
        np.rint(features * contract.FLOAT_FEATURE_SCALE / scale) + zero_point, -128, 127
    ).astype(np.int8)
    return quantised


def _structure(model: TfliteModel) -> Iterator[Check]:
    yield check_of(
        "schema",
        model.version == SCHEMA_VERSION,
        f"version {model.version}",
        f"the device accepts only {SCHEMA_VERSION}",
    )
    count = len(model.subgraphs)
    yield check_of(
        "subgraphs", count == 2, f"{count}", "two are needed: the model, and one that initialises its states"
    )
    yield from _operators(model)
    yield from _interface(model.main)
    yield from check_states(model)


def _operators(model: TfliteModel) -> Iterator[Check]:
    counts = Counter(operator.name for graph in model.subgraphs for operator in graph.operators)
    dequantised = counts.pop("DEQUANTIZE", 0)
    if dequantised:
        yield Check(
            "dequantize",
            "failed",
            f"{dequantised} DEQUANTIZE: the device boots into a crash; export it fully quantised, without float"
            " operators",
        )
    foreign = {name: number for name, number in foreign_operators(model).items() if name in counts}
    listed = ", ".join(f"{name} ({number} x)" for name, number in foreign.items())
    total = sum(counts.values())
    detail = (
        f"{total} operators of {len(counts)} kinds, all known to the device"
        if not foreign
        else f"not known to the device: {listed}"
    )
    yield check_of("operators", not foreign, detail)
    mistaken = [f"{name} carries {given}, its kernel reads {read}" for name, given, read in _mistaken_options(model)]
    if mistaken:
        yield Check(
            "options",
            "failed",
            f"{len(mistaken)} operator(s) with options of another kind: {mistaken[0]}; export it again",
        )


def _mistaken_options(model: TfliteModel) -> Iterator[tuple[str, str, str]]:
    """Operators whose options are of another kind than theirs, with what they carry and what their kernel reads: it
    takes such options for none.
    """
    for operator in (operator for graph in model.subgraphs for operator in graph.operators):
        given = type(operator.options).__name__.removesuffix("T")
        if (
            operator.options is not None
            and operator.name in OPERATORS
            and given != (read := OPERATORS[operator.name].options)
        ):
            yield operator.name, given, read or "none"


def _interface(graph: Subgraph) -> Iterator[Check]:
    single = len(graph.inputs) == 1 and len(graph.outputs) == 1
    yield check_of(
        "interface", single, f"{len(graph.inputs)} input(s), {len(graph.outputs)} output(s)", "one of each is needed"
    )
    source, output = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    shape = source.shape
    shaped = len(shape) == 3 and shape[0] == 1 and shape[1] >= 1 and shape[2] == contract.FEATURE_CHANNELS
    yield check_of(
        "input",
        shaped and source.type_name == "INT8",
        _described(source),
        f"the device needs INT8 [1, stride, {contract.FEATURE_CHANNELS}]",
    )
    yield check_of(
        "output",
        output.shape == (1, 1) and output.type_name == "UINT8",
        _described(output),
        "the device needs UINT8 [1, 1]",
    )
    yield _input_quantised(source)
    yield _output_quantised(output)


def _input_quantised(tensor: Tensor) -> Check:
    """How far the device's quantiser is from the model's own. It always quantises with 26/255 and -128, and never reads
    what the model declares.
    """
    name, reason = INPUT_QUANTISATION, "the device quantises with 26/255 and -128 whatever the model declares"
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1 or not tensor.scale > 0:
        return Check(name, "failed", f"not quantised per tensor; {reason}")
    found = f"scale {tensor.scale:.6g}, zero point {tensor.zero_point}"
    if (
        math.isclose(tensor.scale, contract.INPUT_SCALE, rel_tol=SCALE_TOLERANCE)
        and tensor.zero_point == contract.INPUT_ZERO_POINT
    ):
        return Check(name, "passed", found)
    features = np.arange(LARGEST_FEATURE + 1, dtype=np.uint16)
    steps = int(
        np.abs(contract.quantise(features).astype(int) - own_quantiser(features, tensor.scale, tensor.zero_point)).max()
    )
    said = f"{found}: {reason}, so the model's input is up to {steps} of 256 steps off"
    if steps > MOST_STEPS_OFF:
        return Check(name, "failed", f"{said}; needs {contract.INPUT_SCALE:.6g}, {contract.INPUT_ZERO_POINT}")
    return Check(name, "warning", said)


def _output_quantised(tensor: Tensor) -> Check:
    name, reason = "output quantisation", "the device reads the output as a probability in 1/256"
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        return Check(name, "failed", f"not quantised per tensor; {reason}")
    right = math.isclose(tensor.scale, OUTPUT_SCALE, rel_tol=SCALE_TOLERANCE) and tensor.zero_point == 0
    return check_of(
        name,
        right,
        f"scale {tensor.scale:.6g}, zero point {tensor.zero_point}",
        f"needs {OUTPUT_SCALE:.6g}, 0: {reason}",
    )


def _described(tensor: Tensor) -> str:
    return f"{tensor.type_name} {list(tensor.shape)}"
