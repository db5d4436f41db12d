"""Mixed precision: what a GPU multiplies in, and float16's dynamic loss scaling, which is Micikevicius et al.'s."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.trainer.training.test_step import BATCH_SIZE, SINGLE, batch, model_of
from trainer.config.lengths import receptive_field
from trainer.config.training_sections import PerformanceSection, TrainingSection
from trainer.networks.runtime import compute_dtype, sixteen_bits
from trainer.training import loss_scale
from trainer.training.batch_scores import BatchScores, are_finite
from trainer.training.loss_scale import LossScale
from trainer.training.step import TrainState
from wakeword.errors import ConfigError

SLICES = receptive_field(SINGLE, 6)
PLAIN = TrainingSection(optimizer="sgd", momentum=0.0, weight_averaging=0)


def test_a_gpu_multiplies_what_it_is_fast_at() -> None:
    assert [sixteen_bits(capability) for capability in ((7, 0), (7, 5), (8, 0), (8, 9), (12, 0))] == [
        *("float16", "float16", "bfloat16", "bfloat16", "bfloat16")
    ]
    with pytest.raises(ConfigError, match=r"this GPU \(compute capability 6\.1\) multiplies 16-bit numbers no faster"):
        sixteen_bits((6, 1))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_a_name_is_taken_on_any_device(name: str) -> None:
    assert compute_dtype(PerformanceSection.model_validate({"mixed_precision": name})) == name


def moved(dtype: str, weight: float) -> Any:
    """What one step of gradient descent does to a kernel, at a rate that makes up for the samples' small weight."""
    state = TrainState(model_of(SINGLE, SLICES), SINGLE, PLAIN, dtype)
    state.set_learning_rate(1e-2 / weight)
    one = batch(SLICES, 1)
    before = state.model.get_layer("first_conv").kernel.numpy()
    state.train_step(replace(one, weights=np.full_like(one.weights, weight)))
    return state.model.get_layer("first_conv").kernel.numpy() - before


def test_gradients_that_a_float16_cannot_hold_are_kept_by_the_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = 1e-6
    wanted, scaled = moved("float32", weight), moved("float16", weight)
    np.testing.assert_allclose(scaled, wanted, atol=0.02 * np.abs(wanted).max())
    monkeypatch.setattr(loss_scale, "FIRST_FACTOR", 1.0)
    lost = moved("float16", weight)
    assert np.abs(lost - wanted).max() > 0.2 * np.abs(wanted).max(), "without it they are"


def test_an_overflow_halves_the_factor_and_is_no_fault_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "FIRST_FACTOR", 2.0**60)
    state = TrainState(model_of(SINGLE, SLICES), SINGLE, TrainingSection(weight_averaging=0), "float16")
    state.set_learning_rate(1e-2)
    factor, good = state.variables[-2:]
    before = [variable.numpy() for variable in state.variables[:-2]]
    steps = [state.train_step(batch(SLICES, 0))]
    assert float(factor.numpy()) == 2.0**59
    for variable, was in zip(state.variables[:-2], before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), was, err_msg=variable.path)
    steps += [state.train_step(batch(SLICES, number)) for number in range(110)]
    assert all(are_finite(steps))
    assert 1.0 < float(factor.numpy()) < 2.0**50 and int(good.numpy()) > 30
    first, last = BatchScores.of(steps[:4], BATCH_SIZE), BatchScores.of(steps[-8:], BATCH_SIZE)
    assert last.accuracy > 0.85 > first.accuracy, "and it learns"


def test_the_factor_doubles_after_steps_without_an_overflow_and_goes_no_lower_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    monkeypatch.setattr(loss_scale, "FIRST_FACTOR", 2.0)
    monkeypatch.setattr(loss_scale, "DOUBLED_AFTER", 3)
    scale = LossScale()
    norm = tf.Variable(1.0)
    run = scale.around(lambda: tf.stack([0.5, norm.value()]))
    factors = []
    for given in (1.0, 1.0, 1.0, 1.0, np.inf, np.inf, np.nan, np.inf):
        norm.assign(given)
        factors.append((float(run()[-1]), float(scale.variables[0].numpy())))
    assert [factor for _, factor in factors] == [2.0, 2.0, 4.0, 4.0, 2.0, 1.0, 1.0, 1.0]
    assert [norm for norm, _ in factors[4:6]] == [0.0, 0.0], "an overflow of the factor"
    assert not any(np.isfinite(norm) for norm, _ in factors[6:]), "at the least factor it is the training's"
    whole = scale.unscaled([scale.scaled(tf.constant(3.0))])
    assert float(whole[0]) == 3.0


def test_a_loss_that_is_not_finite_is_told_at_any_factor() -> None:
    import tensorflow as tf

    run = LossScale().around(lambda: tf.constant([np.nan, 1.0]))
    assert not np.isfinite(run()).all()
