"""Which library computes the steps, and a run that both have a part in."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.training.brought import Brought
from tests.trainer.training.test_loop import NET, WINDOW, Recorder, rising_sets, separation
from tests.trainer.training.test_step import SINGLE, model_of
from trainer.config.batch_settings import QuietAugment
from trainer.config.lengths import receptive_field
from trainer.config.network import NetworkConfig
from trainer.config.sections import ExportSection, PerformanceSection, TrainerConfig, TrainingSection
from trainer.data.drawn_sets import FeatureSet
from trainer.training import loop, step_engine
from trainer.training.step import TrainState
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError, InfrastructureError

pytest.importorskip("jax", reason="JAX is not installed; the extra jax has it")

SLICES = receptive_field(SINGLE, 6)
BARE = NET.model_copy(update={"dropout_rate": 0.0, "l2_regularization": 0.0})
CNN = NetworkConfig(architecture="cnn")


def chosen(
    step: Any = "auto", network: NetworkConfig = SINGLE, compute_dtype: str = "float32", **settings: Any
) -> tuple[TrainState, str]:
    section = TrainingSection(**settings)
    model = model_of(SINGLE, SLICES)
    return step_engine.train_state(model, network, section, PerformanceSection(step=step), compute_dtype)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"network": SINGLE.model_copy(update={"dropout_rate": 0.1})}, "dropout"),
        ({"network": SINGLE.model_copy(update={"l2_regularization": 0.1})}, "regularisation"),
        ({"loss": "focal"}, "loss focal"),
        ({"optimizer": "sgd"}, "optimizer sgd"),
        ({"triplet_weight": (0.5,)}, "triplet"),
        ({"gradient_clipping": "adaptive"}, "adaptive"),
        ({"compute_dtype": "bfloat16"}, "mixed precision"),
    ],
)
def test_what_jax_lacks_is_tensorflows_and_said(settings: dict[str, Any], named: str) -> None:
    state, told = chosen(**settings)
    assert type(state) is TrainState
    assert told.startswith("steps: TensorFlow, since JAX's steps have no")
    assert named in told
    refused = rf"performance.step is jax, and JAX's steps have no .*{named}.*; or set it to auto"
    with pytest.raises(ConfigError, match=refused):
        chosen("jax", **settings)
    network, precision = settings.pop("network", SINGLE), settings.pop("compute_dtype", "float32")
    with pytest.raises(ConfigError, match=refused):
        step_engine.check_step(config_of("jax", network, **settings), precision, [])


def config_of(step: Any, network: NetworkConfig = SINGLE, **settings: Any) -> TrainerConfig:
    return TrainerConfig(
        export=ExportSection(wake_word="okay house"),
        model=network,
        training=TrainingSection(**settings),
        performance=PerformanceSection(step=step),
    )


def test_what_comes_later_in_a_run_is_refused_before_it() -> None:
    step_engine.check_step(config_of("jax"), "float32", [SINGLE])
    with pytest.raises(ConfigError, match="have no teachers other than MixedNets"):
        step_engine.check_step(config_of("jax"), "float32", [SINGLE, CNN])
    with pytest.raises(ConfigError, match="have no quantisation-aware fine-tuning"):
        step_engine.check_step(config_of("jax", quantization_aware_steps=5), "float32", [])
    for step in ("auto", "tensorflow"):
        step_engine.check_step(config_of(step, quantization_aware_steps=5), "float32", [CNN])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ModuleNotFoundError("jax requires jaxlib to be installed.\nSee there."),
            "jax requires jaxlib to be installed.",
        ),
        (AssertionError(), "(AssertionError)"),
    ],
    ids=["a part is missing", "without a word"],
)
def test_a_jax_that_does_not_start_is_tensorflows_and_said(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: PerformanceSection) -> Any:
        raise error

    monkeypatch.setattr(step_engine, "start_jax", broken)
    state, told = chosen("auto")
    assert type(state) is TrainState
    assert told.startswith(f"steps: TensorFlow, since JAX does not start ({type(error).__name__}")
    assert said in told
    assert "See there" not in told
    with pytest.raises(ConfigError, match=r"performance.step is jax, and JAX does not start .*; or set it to auto"):
        step_engine.check_step(config_of("jax"), "float32", [])
    state, told = chosen("auto", optimizer="sgd")
    assert told == "steps: TensorFlow, since JAX's steps have no optimizer sgd", "it is not started for these"


def test_a_gpu_that_tensorflow_alone_finds_is_its_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX without its plugin for a GPU; nobody has one here."""
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [f"{kind}:0"])
    state, told = chosen("auto")
    assert type(state) is TrainState
    assert told.startswith("steps: TensorFlow, since JAX finds no GPU, though TensorFlow does; ")


def test_jax_is_started_for_its_own_steps_alone() -> None:
    """Its backend takes threads, and on a GPU memory: nor does telling the memory of GPUs start it."""
    script = """
from tests.trainer.training.test_step_engine import chosen
from trainer.training.profiling import gpu_memory
from jax._src import xla_bridge
for steps in ({"optimizer": "sgd"}, {"step": "tensorflow"}, {}):
    chosen(**steps)
    gpu_memory()
    print(bool(xla_bridge._backends))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False", "True"]


def test_other_architectures_are_lacking() -> None:
    assert step_engine.lacking(CNN, TrainingSection()) == "architecture cnn"
    assert step_engine.lacking(SINGLE, TrainingSection(gradient_clipping=0.5, label_smoothing=0.1)) == ""


def test_the_setting_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.training.vector_state import VectorState

    assert type(chosen("tensorflow")[0]) is TrainState
    assert chosen("tensorflow")[1] == ""
    for step in ("auto", "jax"):
        state, told = chosen(step)
        assert isinstance(state, VectorState)
        assert told == "steps: JAX on the CPU"
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jax" else find(name))
    state, told = chosen("auto")
    assert (type(state), told) == (TrainState, "")
    with pytest.raises(
        ConfigError, match=r'performance.step is jax, and JAX is not installed; .*pip install ".\[jax\]"'
    ):
        step_engine.check_step(config_of("jax"), "float32", [])


SETTINGS = TrainingSection(
    training_steps=(30, 20), learning_rates=(3e-3, 1e-3), batch_size=16, eval_step_interval=25, seed=5
)


def run_of(folder: Path, step: Any, **changes: Any) -> TrainingRun:
    run = TrainingRun(BARE, WINDOW, rising_sets(), SETTINGS, folder, separation)
    return replace(run, performance=PerformanceSection(step=step), **changes)


@pytest.mark.parametrize(("before", "after"), [("jax", "tensorflow"), ("tensorflow", "jax"), ("jax", "jax")])
def test_a_run_goes_on_with_either(before: str, after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)
    whole = loop.train(run_of(tmp_path / "whole", after))
    with pytest.raises(KeyboardInterrupt):
        loop.train(run_of(tmp_path / "parts", before, progress=Recorder(interrupt_at=17)))
    recorder = Recorder()
    result = loop.train(run_of(tmp_path / "parts", after, progress=recorder))
    assert recorder.resumed_at == 17
    assert (result.steps, len(recorder.checkpoints)) == (50, 2)
    tolerance = 0.0 if before == after else 5e-3
    assert_like(result, whole, tolerance, tolerance)


def assert_like(mine: loop.TrainingResult, theirs: loop.TrainingResult, rtol: float, atol: float) -> None:
    """The same weights, but for biases that a normalisation takes out again: rounding alone moves them."""
    compared = [pair for pair in zip(mine.model.weights, theirs.model.weights, strict=True) if is_compared(pair[0])]
    assert any("depthwise" in weight.path for weight, _ in compared)
    for weight, other in compared:
        np.testing.assert_allclose(weight, other, rtol=rtol, atol=atol, err_msg=weight.path)


def is_compared(weight: Any) -> bool:
    return not ("depthwise" in weight.path and weight.path.endswith("bias"))


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, a store and drawing processes, as on a GPU, on the CPU."""
    from trainer.training import vector_steps

    on_device = partialmethod(vector_steps.VectorSteps.__init__, on_device=True)
    monkeypatch.setattr(vector_steps.VectorSteps, "__init__", on_device)
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)


COSINE = SETTINGS.model_copy(update={"schedule": "cosine", "training_steps": (40, 40), "eval_step_interval": 40})
"""Each step has another rate."""


@pytest.fixture(scope="module")
def singly(tmp_path_factory: pytest.TempPathFactory) -> loop.TrainingResult:
    return loop.train(run_of(tmp_path_factory.mktemp("singly"), "jax", settings=COSINE))


@pytest.mark.usefixtures("on_device")
def test_a_training_on_a_device_is_that_of_single_steps(
    singly: loop.TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt that comes while a block is done waits for its end, and the training goes on from there."""
    from trainer.training import vector_state, vector_steps

    monkeypatch.setattr(vector_steps, "LONGEST_BLOCK", 20)
    done: list[int] = []
    train_block = vector_state.VectorState.train_block

    def interrupted(state: Any, made: Any, rates: Any) -> Any:
        if not done:
            os.kill(os.getpid(), signal.SIGINT)
        done.append(len(rates))
        return train_block(state, made, rates)

    monkeypatch.setattr(vector_state.VectorState, "train_block", interrupted)
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        loop.train(run_of(tmp_path, "jax", settings=COSINE, progress=recorder))
    assert ([report.step for report in recorder.reports], recorder.checkpoints) == ([20], [])
    recorder = Recorder()
    result = loop.train(run_of(tmp_path, "jax", settings=COSINE, progress=recorder))
    assert recorder.resumed_at == 20
    assert [report.step for report in recorder.reports] == [40, 60, 80]
    assert done == [20] * 4
    assert_like(result, singly, 2e-3, 2e-4)


@pytest.mark.parametrize("reason", ["no room", "no memory", "made on the host"])
@pytest.mark.usefixtures("on_device")
def test_windows_are_sent_to_a_device_that_has_no_features(
    reason: str, singly: loop.TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jax

    from trainer.training import vector_steps

    def full(*_: Any) -> Any:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 byte.")

    settings, said = COSINE, r"windows are sent to it, since all features \(0 MiB\) have no room there"
    if reason == "no room":
        monkeypatch.setattr(vector_steps, "SHARE_FOR_STORE", 0)
    elif reason == "no memory":
        monkeypatch.setattr(vector_steps, "_put", full)
    else:
        quiet = {"quiet_augment": QuietAugment(erase=100), "training_steps": (40, 1)}
        settings, said = COSINE.model_copy(update=quiet), "since training.quiet_augment changes them before"
    told: list[str] = []
    recorder = Recorder()
    monkeypatch.setattr(recorder, "told", told.append)
    result = loop.train(run_of(tmp_path / "run", "jax", settings=settings, progress=recorder))
    assert re.search(said, told[0]), told
    assert [report.step for report in recorder.reports] == [*range(1, settings.steps + 1)]
    if settings is COSINE:
        assert_like(result, singly, 0, 0)


@pytest.mark.usefixtures("on_device")
def test_a_device_draws_from_the_sets_that_mining_gives(tmp_path: Path) -> None:
    """Also where they need no more room than those before them: nothing is compiled again then."""
    from trainer.training.pure_step import compiled

    settings, words = COSINE.model_copy(update={"eval_step_interval": 20}), rising_sets()
    mined = [*words, FeatureSet("mined", False, [np.full((60, 40), 90, np.int8)], sampling_weight=5, hard=True)]
    run = run_of(tmp_path / "blocks", "jax", settings=settings, hard_negatives=Brought(words, mined))
    programs: list[Any] = []

    def kept(steps: Any) -> Any:
        programs.append(compiled(steps))
        return programs[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.training.vector_steps.compiled", kept)
        result = loop.train(run)
    assert [program._cache_size() for program in programs] == [0, 1]
    theirs = run_of(tmp_path / "singly", "tensorflow", settings=settings, hard_negatives=Brought(words, mined))
    assert_like(result, loop.train(theirs), 1e-2, 5e-3)


@pytest.mark.parametrize(
    ("interval", "at_once", "left"),
    [(500, 100, 0), (499, 99, 4), (1009, 91, 8), (250, 50, 0), (130, 65, 0), (7, 7, 0), (101, 50, 1)],
)
def test_few_steps_are_left_over(interval: int, at_once: int, left: int) -> None:
    from trainer.training.vector_steps import blocks_of, steps_at_once

    assert steps_at_once(interval) == at_once
    blocks = list(blocks_of(range(interval), at_once))
    assert [step for block in blocks for step in block] == list(range(interval))
    assert [len(block) for block in blocks].count(1) == left


def test_a_gpu_without_memory_is_told() -> None:
    import jax

    from trainer.training.vector_steps import memory_told

    with pytest.raises(InfrastructureError, match="out of memory: another program has it"), memory_told():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), memory_told():
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")
