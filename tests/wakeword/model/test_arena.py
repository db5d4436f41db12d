"""The arena: the estimate against manifests and against what tflite-micro itself plans."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.model_builder import ModelBuilder
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.model import arena_host
from wakeword.model.arena import HostArena, esp32s3_estimate, host_arena, recommended_arena
from wakeword.model.arena_esp32s3 import Buffer, estimate_arena, head_buffers, plan_head, state_sizes
from wakeword.model.arena_kernels import conv_scratch_bytes, depthwise_scratch_bytes
from wakeword.model.flatbuffer import parse_model, read_model
from wakeword.model.manifest import read_manifest

OFFICIAL = ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu")

_PRINT_ALLOCATIONS = """
import sys
from tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=1 << 18)
interpreter.invoke()
interpreter.print_allocations()
"""


def head_on_host(path: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _PRINT_ALLOCATIONS, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    found = re.search(r"allocation head (\d+)", done.stderr)
    assert found
    return int(found.group(1))


@pytest.mark.parametrize("name", ["alexa", "hey_jarvis", "hey_mycroft"])
def test_estimate_is_near_the_arena_that_the_authors_measured(official_models: Path, name: str) -> None:
    manifest, path = read_manifest(official_models / f"{name}.json")
    assert esp32s3_estimate(read_model(path)) == pytest.approx(manifest.micro.tensor_arena_size, rel=0.01)


def test_a_generous_manifest_is_above_the_estimate(official_models: Path) -> None:
    manifest, path = read_manifest(official_models / "okay_nabu.json")
    assert (
        0.9 * manifest.micro.tensor_arena_size < esp32s3_estimate(read_model(path)) < manifest.micro.tensor_arena_size
    )


@pytest.mark.parametrize("name", OFFICIAL)
def test_planned_head_is_what_tflite_micro_plans(official_models: Path, name: str) -> None:
    path = official_models / f"{name}.tflite"
    assert plan_head(head_buffers(read_model(path), kernels=None)) == head_on_host(path)


@pytest.mark.parametrize(
    "options",
    [{"head": "mean", "residual": True}, {"pack": True, "pad": "time", "mul": "gate", "stride": 2, "first_stride": 1}],
    ids=str,
)
def test_planned_head_of_other_graphs_is_what_tflite_micro_plans(
    streaming_model: Callable[..., bytes], tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(streaming_model(**options))
    assert plan_head(head_buffers(read_model(path), kernels=None)) == head_on_host(path)


def test_the_estimate_has_parts(official_models: Path) -> None:
    estimate = estimate_arena(read_model(official_models / "hey_jarvis.tflite"))
    assert estimate.total == max(estimate.head, estimate.planning) + estimate.tail
    assert estimate.head > conv_scratch_bytes((1, 5, 1, 40), (30, 5, 1, 40), (3, 1), (0, 0))


def test_states_by_name(official_models: Path) -> None:
    sizes = state_sizes(read_model(official_models / "hey_jarvis.tflite"))
    assert len(sizes) == 6
    assert sum(sizes.values()) == 2840


def test_planner_puts_the_largest_first_and_fills_gaps() -> None:
    assert plan_head([]) == 0
    assert plan_head([Buffer(32, 0, 0), Buffer(64, 1, 1)]) == 64
    assert plan_head([Buffer(32, 0, 1), Buffer(64, 1, 2)]) == 96
    # The 16 fits between 0 and the 48 that stands on the 64 of another time.
    assert plan_head([Buffer(64, 0, 1), Buffer(48, 1, 3), Buffer(16, 2, 3)]) == 112


def test_scratch_of_esp_nn() -> None:
    assert conv_scratch_bytes((1, 1, 1, 60), (60, 1, 1, 60), (1, 1), (0, 0)) == 64 + 64 * 60 + 32
    assert conv_scratch_bytes((1, 8, 1, 64), (64, 1, 1, 64), (1, 1), (0, 0)) == 64 * 64 + 16 * 64 + 32
    assert conv_scratch_bytes((1, 5, 1, 40), (30, 5, 1, 40), (3, 1), (0, 0)) == 5 * 48 * 30 + 4 * 30 + 32
    assert conv_scratch_bytes((1, 4, 1, 16), (8, 3, 1, 16), (1, 1), (1, 0)) == 6 * 16 + 3 * 16 * 8 + 32 + 32
    assert depthwise_scratch_bytes((1, 9, 1, 64), (1, 9, 1, 64), (1, 1, 1, 64), (1, 1), (0, 0)) == 32
    assert depthwise_scratch_bytes((1, 5, 5, 8), (1, 3, 3, 8), (1, 3, 3, 8), (1, 1), (0, 0)) == 2 * (72 + 200) + 16
    assert depthwise_scratch_bytes((1, 5, 5, 16), (1, 3, 3, 16), (1, 3, 3, 16), (1, 1), (0, 0)) == 144 + 16


def test_recommendation_leaves_a_margin() -> None:
    assert recommended_arena(22_720) == 24_064
    assert all(recommended_arena(bytes_) >= 1.05 * bytes_ - 1 for bytes_ in range(5000, 60_000, 997))


def test_an_estimate_of_nonsense_is_an_error() -> None:
    builder = ModelBuilder()
    source = builder.tensor("source", "INT8", (1, 3, 40), scales=1.0)
    builder.operator("CONV_2D", [source], [source])
    builder.interface([source], [source])
    with pytest.raises(ConfigError, match="cannot work out the tensor arena"):
        esp32s3_estimate(parse_model(builder.build()))


def test_an_operator_that_the_device_lacks_has_no_size() -> None:
    builder = ModelBuilder()
    source = builder.tensor("source", "INT8", (1, 3, 40), scales=1.0)
    output = builder.tensor("output", "INT8", (1, 3, 40), scales=1.0)
    builder.operator("TANH", [source], [output])
    builder.interface([source], [output])
    with pytest.raises(ConfigError, match="the device does not know TANH; run mww-verify"):
        esp32s3_estimate(parse_model(builder.build()))


@pytest.mark.parametrize(
    ("name", "expected"), [("hey_jarvis", HostArena(19_808, 20_320)), ("hey_mycroft", HostArena(21_728, 21_728))]
)
def test_host_arena(official_models: Path, name: str, expected: HostArena) -> None:
    assert host_arena((official_models / f"{name}.tflite").read_bytes()) == expected


def test_host_arena_of_a_model_that_cannot_run() -> None:
    builder = ModelBuilder()
    source = builder.tensor("source", "INT8", (1, 3, 40), scales=1.0)
    output = builder.tensor("output", "UINT8", (1, 3, 40), scales=1.0)
    builder.operator("LOGISTIC", [source], [output])
    builder.interface([source], [output])
    with pytest.raises(ConfigError, match="cannot run the model"):
        host_arena(builder.build())


def test_a_broken_child_is_not_the_models_fault(
    official_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (official_models / "alexa.tflite").read_bytes() + b"a model that was never measured"
    child = tmp_path / "child.py"
    monkeypatch.setattr(arena_host, "_CHILD", child)
    child.write_text("raise ImportError('no tflite_micro here')")
    with pytest.raises(InfrastructureError, match="no tflite_micro here"):
        host_arena(content)
    child.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert arena_host.try_model(content).detail == "the interpreter crashed with signal 11"
    hanging = tmp_path / "pid"
    child.write_text(
        "import os, time\nif not os.fork():\n"
        f"    open({str(hanging)!r}, 'w').write(str(os.getpid()))\n    time.sleep(300)\ntime.sleep(300)"
    )
    with arena_host._Trials(content) as trials:
        until = time.monotonic() + 60
        while not (hanging.exists() and hanging.read_text()):
            assert time.monotonic() < until
        monkeypatch.setattr(arena_host, "CHILD_TIMEOUT_S", 0.1)
        with pytest.raises(InfrastructureError, match="did not finish"):
            trials.run(1)
    while lives(int(hanging.read_text())):
        assert time.monotonic() < until, "what hung in a trial ends too"


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
