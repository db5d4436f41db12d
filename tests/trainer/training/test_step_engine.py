"""Which library computes the steps, and a run that both have a part in."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.training.test_loop import NET, WINDOW, Recorder, rising_sets, separation
from tests.trainer.training.test_step import SINGLE, model_of
from trainer.config.lengths import receptive_field
from trainer.config.network import NetworkConfig
from trainer.config.sections import ExportSection, PerformanceSection, TrainerConfig, TrainingSection
from trainer.training import loop, step_engine
from trainer.training.step import TrainState
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError

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
    for mine, theirs in zip(result.model.weights, whole.model.weights, strict=True):
        if "depthwise" not in mine.path:
            np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance, err_msg=mine.path)


def test_a_training_on_a_device_is_that_of_single_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, a store and drawing processes, as on a GPU, on the CPU; an interrupt waits for its block."""
    from trainer.training import vector_steps

    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)
    singly = loop.train(run_of(tmp_path / "singly", "jax"))
    on_device = partialmethod(vector_steps.VectorSteps.__init__, on_device=True)
    monkeypatch.setattr(vector_steps.VectorSteps, "__init__", on_device)
    recorder = Recorder(interrupt_at=25)
    with pytest.raises(KeyboardInterrupt):
        loop.train(run_of(tmp_path / "blocks", "jax", progress=recorder))
    assert [report.step for report in recorder.reports] == [25]
    recorder = Recorder()
    result = loop.train(run_of(tmp_path / "blocks", "jax", progress=recorder))
    # The first phase ends after 30 steps and the second evaluation comes after 50: neither fits a block of 25.
    assert [report.step for report in recorder.reports] == [*range(26, 31), *range(31, 51)]
    for mine, theirs in zip(result.model.weights, singly.model.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-3, atol=2e-4, err_msg=mine.path)


def test_several_models_at_once_are_those_that_are_trained_alone() -> None:
    from trainer.data.batches import BatchSampler
    from trainer.networks.layout import Layout
    from trainer.training.pure_step import fresh
    from trainer.training.several import SeveralModels
    from trainer.training.vector_steps import VectorSteps

    settings = SETTINGS.model_copy(update={"eval_step_interval": 20})
    samplers = [BatchSampler(rising_sets(), WINDOW, settings.model_copy(update={"seed": seed})) for seed in (1, 2)]
    models = SeveralModels(BARE, settings, samplers, [7, 8], processes=2)
    blocks = [(block, np.asarray(sums)) for block, sums in models.train(range(50), lambda _: 1e-3)]
    models.close()
    assert [len(block) for block, _ in blocks] == [20, 10, 20]
    for model, (sampler, seed) in enumerate(zip(samplers, (7, 8), strict=True)):
        steps = VectorSteps(BARE, WINDOW, settings)
        vectors = fresh(*Layout.of(BARE, WINDOW).initial(seed), averaging=True)
        losses = []
        for step in range(50):
            vectors, sums = steps(vectors, (sampler.numbers(step), None), [1e-3])
            losses.append(float(sums[0]))
        np.testing.assert_allclose(np.concatenate([sums[model, :, 0] for _, sums in blocks]), losses, rtol=2e-2)
        np.testing.assert_allclose(models.means()[0][model], vectors.mean_trained, rtol=1e-2, atol=1e-3)
    assert losses[-1] < losses[0] / 2
    taught = SeveralModels(
        BARE,
        settings.model_copy(update={"teaching_share": 1.0}),
        samplers[:1],
        [9],
        [models.as_teachers()],
        processes=1,
    )
    heard = [np.asarray(sums)[0, :, 0] for _, sums in taught.train(range(50), lambda _: 3e-3)]
    taught.close()
    assert np.concatenate(heard)[-5:].mean() < np.concatenate(heard)[:5].mean()
