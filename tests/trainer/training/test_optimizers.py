"""Each optimizer does what its paper says, and a run that was interrupted has its state again."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.networks import TINY
from tests.trainer.training.test_records import WINDOW, feature_sets
from tests.trainer.training.test_step import SINGLE, batch, model_of
from trainer.config.lengths import receptive_field
from trainer.config.training_sections import TrainingSection
from trainer.training import checkpoints, loop
from trainer.training.optimizers import build_optimizer
from trainer.training.progress import Silent, StepReport
from trainer.training.scores import ValidationScores
from trainer.training.step import TrainState
from trainer.training.training_run import TrainingRun

type Arrays = list[NDArray[np.float64]]

CHOICES = {
    "adam": TrainingSection(),
    "adamw": TrainingSection(optimizer="adamw", weight_decay=0.1),
    "sgd": TrainingSection(optimizer="sgd"),
    "sgd without momentum": TrainingSection(optimizer="sgd", momentum=0.0),
}


def adam(weights: Arrays, gradients: Sequence[Arrays], rates: Sequence[float], decay: float = 0.0) -> Arrays:
    """Algorithm 1 of Kingma and Ba in the order of section 2.1, whose epsilon Keras takes; with `decay` line 12 of
    algorithm 2 of Loshchilov and Hutter, for what has two dimensions.
    """
    results = []
    for index, begun in enumerate(weights):
        weight, mean, square = begun.copy(), np.zeros_like(begun), np.zeros_like(begun)
        for number, (of_step, rate) in enumerate(zip(gradients, rates, strict=True), 1):
            if begun.ndim == 2:
                weight -= rate * decay * weight
            mean = 0.9 * mean + 0.1 * of_step[index]
            square = 0.999 * square + 0.001 * of_step[index] ** 2
            corrected = rate * np.sqrt(1 - 0.999**number) / (1 - 0.9**number)
            weight -= corrected * mean / (np.sqrt(square) + 1e-7)
        results.append(weight)
    return results


def sgd(weights: Arrays, gradients: Sequence[Arrays], rates: Sequence[float], momentum: float) -> Arrays:
    results = []
    for index, begun in enumerate(weights):
        weight, velocity = begun.copy(), np.zeros_like(begun)
        for of_step, rate in zip(gradients, rates, strict=True):
            velocity = momentum * velocity - rate * of_step[index]
            weight += velocity
        results.append(weight)
    return results


def stepped(section: TrainingSection, weights: Arrays, gradients: Sequence[Arrays], rates: Sequence[float]) -> Arrays:
    """The weights after so many steps of the optimizer itself."""
    import keras

    variables = [keras.Variable(weight.astype(np.float32)) for weight in weights]
    optimizer = build_optimizer(section, variables)
    for of_step, rate in zip(gradients, rates, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([keras.ops.convert_to_tensor(one.astype(np.float32)) for one in of_step], variables)
    return [np.asarray(variable.numpy(), np.float64) for variable in variables]


RATES = st.lists(st.floats(1e-4, 0.1), min_size=1, max_size=5)
SEEDS = st.integers(0, 1000)


def drawn(seed: int, steps: int) -> tuple[Arrays, list[Arrays]]:
    """A kernel and a bias, and so many gradients of each, some of them small and some large."""
    rng = np.random.default_rng(seed)
    shapes = ((3, 2), (4,))
    gradients = [[rng.normal(0, 10.0 ** rng.integers(-3, 3), shape) for shape in shapes] for _ in range(steps)]
    return [rng.normal(0, 1, shape) for shape in shapes], gradients


def assert_close(given_weights: Arrays, wanted: Arrays) -> None:
    for one, other in zip(given_weights, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * float(np.abs(other).max()))


@settings(deadline=None, max_examples=15)
@given(SEEDS, RATES, st.floats(0, 1, allow_subnormal=False))
def test_adam_and_adamw_are_those_of_their_papers(seed: int, rates: list[float], decay: float) -> None:
    weights, gradients = drawn(seed, len(rates))
    assert_close(stepped(TrainingSection(), weights, gradients, rates), adam(weights, gradients, rates))
    decoupled = TrainingSection(optimizer="adamw", weight_decay=decay)
    assert_close(stepped(decoupled, weights, gradients, rates), adam(weights, gradients, rates, decay))


@settings(deadline=None, max_examples=15)
@given(SEEDS, RATES, st.floats(0, 0.99, allow_subnormal=False))
def test_sgd_has_the_momentum_that_is_given(seed: int, rates: list[float], momentum: float) -> None:
    weights, gradients = drawn(seed, len(rates))
    section = TrainingSection(optimizer="sgd", momentum=momentum)
    assert_close(stepped(section, weights, gradients, rates), sgd(weights, gradients, rates, momentum))


def test_only_kernels_decay() -> None:
    """Without a gradient nothing but the decay moves a weight."""
    import keras

    model = model_of(SINGLE, receptive_field(SINGLE, 6))
    for layer in model.layers:
        if hasattr(layer, "beta"):
            layer.beta.assign(layer.beta + 0.5)
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(layer.bias + 0.5)
    before = {variable.path: variable.numpy() for variable in model.trainable_variables}
    optimizer = build_optimizer(CHOICES["adamw"], model.trainable_variables)
    optimizer.learning_rate = 0.5
    optimizer.apply([keras.ops.zeros(variable.shape) for variable in model.trainable_variables])
    kinds = set()
    for variable in model.trainable_variables:
        kinds.add(kind := variable.path.rpartition("/")[2])
        share = 1 - 0.5 * 0.1 if kind == "kernel" else 1.0
        np.testing.assert_allclose(variable.numpy(), share * before[variable.path], rtol=1e-6, err_msg=variable.path)
    assert kinds == {"kernel", "bias", "gamma", "beta"}


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_compiled_step_has_the_optimizer_and_learns(name: str) -> None:
    slices = receptive_field(SINGLE, 6)
    state = TrainState(model_of(SINGLE, slices), SINGLE, CHOICES[name])
    state.set_learning_rate(1e-2 if name == "adamw" else 1e-3)
    losses = [float(state.train_step(batch(slices, number))[0]) for number in range(60)]
    assert np.mean(losses[-8:]) < np.mean(losses[:4]) / 2


class Interrupting(Silent):
    """Ctrl-C at a step."""

    def stepped(self, report: StepReport) -> None:
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGINT)


def assert_same_states(one: Path, other: Path) -> None:
    """Weights, means, random seeds and what the optimizer keeps, bit for bit."""
    with np.load(one / checkpoints.STATE) as first, np.load(other / checkpoints.STATE) as second:
        assert first.files == second.files
        for name in set(first.files) - {"header"}:
            np.testing.assert_array_equal(first[name], second[name], name)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.usefixtures("steps_not_compiled")
def test_a_run_that_was_interrupted_has_the_weights_of_one_that_was_not(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)
    section = CHOICES[name].last_phase(training_steps=(7,), batch_size=8, eval_step_interval=5)
    network = TINY.model_copy(update={"dropout_rate": 0.2})
    run = TrainingRun(network, WINDOW, feature_sets(), section, tmp_path / "whole", lambda _: ValidationScores(1, 0, 1))
    loop.train(run)
    parted = replace(run, folder=tmp_path / "parted")
    with pytest.raises(KeyboardInterrupt):
        loop.train(replace(parted, progress=Interrupting()))
    assert checkpoints.steps_done(parted.folder / checkpoints.STATE) == 3
    loop.train(parted)
    assert_same_states(run.folder, parted.folder)
