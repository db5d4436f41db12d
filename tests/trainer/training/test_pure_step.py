"""The step of JAX trains the weights of the plain form, one by one and many at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.networks import OFFICIAL
from tests.trainer.training.test_step import SINGLE, UNEVEN, batch, flat, model_of, plain_step
from trainer.config.lengths import receptive_field
from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import Batch
from trainer.networks.layout import Layout
from trainer.networks.scaling import dequantise
from trainer.training.losses import Distillation, Teacher
from trainer.training.step import TrainState

pytest.importorskip("jax", reason="JAX is not installed; the extra jax has it")

LATEST = TrainingSection(weight_averaging=0)
PLAIN = UNEVEN.model_copy(update={"dropout_rate": 0.0, "l2_regularization": 0.0})


def vector_state(model: Any, config: NetworkConfig, settings: TrainingSection = LATEST, *teachers: Any) -> Any:
    from trainer.training.step_engine import taught_by
    from trainer.training.vector_state import VectorState

    slices = model.input_shape[1]
    return VectorState(model, config, settings, slices, taught_by(teachers, slices))


def numbers_of(one: Batch) -> dict[str, Any]:
    return {"features": one.features, "truth": one.truth, "weights": one.weights}


@pytest.mark.parametrize("config", [OFFICIAL, PLAIN, SINGLE], ids=["official", "uneven", "single"])
def test_the_layout_is_that_of_keras_variables(config: NetworkConfig) -> None:
    slices = receptive_field(config, 6)
    model, layout = model_of(config, slices), Layout.of(config, slices)
    assert {part.path for part in layout.trained} == {variable.path for variable in model.trainable_variables}
    assert {part.path for part in layout.statistics} == {each.path for each in model.non_trainable_variables}
    values = {variable.path: np.random.default_rng(1).random(variable.shape, np.float32) for variable in model.weights}
    back = layout.to_keras(*layout.of_keras(values))
    assert back.keys() == values.keys()
    for path, value in values.items():
        np.testing.assert_array_equal(back[path], value, path)


@pytest.mark.parametrize("config", [OFFICIAL, PLAIN, SINGLE], ids=["official", "uneven", "single"])
@pytest.mark.parametrize("unrolled", [128, 2], ids=["unrolled", "many frames"])
def test_logits_gradients_and_statistics_are_those_of_keras_layers(
    config: NetworkConfig, unrolled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jax
    import tensorflow as tf

    from trainer.networks import pure
    from trainer.networks.layout import split
    from trainer.networks.models import logit_model

    monkeypatch.setattr(pure, "MOST_FRAMES_UNROLLED", unrolled)
    slices = receptive_field(config, 6)
    one, model = batch(slices, 1), model_of(config, slices)
    for layer in model.layers:
        if "depthwise" in layer.name:
            layer.bias.assign(np.linspace(-1, 1, layer.bias.shape[0]))
    layout = Layout.of(config, slices)
    weights, statistics = layout.of_keras({variable.path: variable.numpy() for variable in model.variables})
    inputs = dequantise(one.features)

    def total(vector: Any) -> tuple[Any, Any]:
        logits, seen = pure.train_logits(split(vector, layout.trained), inputs, config)
        return (logits * one.weights).sum(), (logits, seen)

    def infer(vector: Any) -> Any:
        return pure.infer_logits(split(vector, layout.trained), split(statistics, layout.statistics), inputs, config)

    # As one program each: operation by operation they would be compiled one by one.
    (_, (logits, seen)), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(weights)
    heard = jax.jit(infer)(weights)
    assert_close(heard, logit_model(model)(inputs)[:, 0], 2e-4)
    with tf.GradientTape() as tape:
        expected = logit_model(model)(inputs, training=True)[:, 0]
        loss = tf.reduce_sum(expected * one.weights)
    wanted = tape.gradient(loss, model.trainable_variables)
    assert_close(logits, expected, 2e-5)
    floor = 1e-2 * max(float(np.abs(want).max()) for want in wanted)
    gradients = layout.to_keras(np.asarray(gradient), statistics)
    for variable, want in zip(model.trainable_variables, wanted, strict=True):
        scale = max(float(np.abs(want).max()), floor)
        assert_close(gradients[variable.path], want, 2e-4, variable.path, scale)
    for variable in model.non_trainable_variables:  # moved by a step of the layers themselves
        layer, _, name = variable.path.partition("/")
        began = 0.0 if name == "moving_mean" else 1.0
        now = (variable.numpy() - 0.99 * began) / 0.01
        assert_close(seen[layer][name == "moving_variance"], now, 2e-4, variable.path)


def assert_close(values: Any, expected: Any, tolerance: float, name: str = "", scale: float | None = None) -> None:
    wanted = np.asarray(expected, np.float64)
    np.testing.assert_allclose(
        values, wanted, rtol=0, atol=tolerance * (scale or float(np.abs(wanted).max())), err_msg=name
    )


def test_training_gives_the_weights_of_the_plain_form() -> None:
    """How near says `test_step`, of TensorFlow's step."""
    import keras

    slices = receptive_field(PLAIN, 6)
    begun = flat(model_of(PLAIN, slices))
    plain, fast = model_of(PLAIN, slices), model_of(PLAIN, slices)
    optimizer, state = keras.optimizers.Adam(3e-3), vector_state(fast, PLAIN)
    state.set_learning_rate(3e-3)
    optimizer.build(plain.trainable_variables)
    step = plain_step(plain, optimizer)
    for number in range(30):
        one = batch(slices, number)
        loss = step(one)
        assert float(state.train_step(one)[0]) == pytest.approx(loss, rel=1e-3)
    assert len(state.variables) == 2 + len(plain.variables) + 2 * len(plain.trainable_variables)  # written back
    went, apart = np.linalg.norm(flat(plain) - begun), np.linalg.norm(flat(plain) - flat(fast))
    assert apart < 1e-2 * went
    fresh = dequantise(batch(slices, 99, 64).features)
    np.testing.assert_allclose(fast(fresh).numpy(), plain(fresh).numpy(), atol=2e-3)


SETTINGS = TrainingSection(
    training_steps=(5, 5), weight_averaging=0.2, final_weight_averaging=0.5, gradient_clipping=0.5, label_smoothing=0.1
)


def test_everything_that_a_step_changes_is_that_of_tensorflows_step() -> None:
    """Moments, means, counts: a run that goes on may have either."""
    slices = receptive_field(SINGLE, 6)
    states = (
        TrainState(model_of(SINGLE, slices), SINGLE, SETTINGS),
        vector_state(model_of(SINGLE, slices), SINGLE, SETTINGS),
    )
    for number in range(8):
        given = []
        for state in states:
            state.set_learning_rate(1e-3 if number < 5 else 1e-4)
            given.append(np.asarray(state.train_step(batch(slices, number))))
        np.testing.assert_allclose(given[1], given[0], rtol=1e-3)
        if number == 3:  # what was saved of the one goes on with the other
            for theirs, mine in zip(*(state.variables for state in states), strict=True):
                assert theirs.shape == mine.shape
                theirs.assign(mine.numpy())
    for theirs, mine in zip(*(state.variables for state in states), strict=True):
        # A normalisation takes the biases of a depthwise convolution out again: rounding alone moves them.
        if not ("depthwise" in theirs.path and "bias" in theirs.path.rpartition("/")[2]):
            np.testing.assert_allclose(mine, theirs, rtol=2e-2, atol=2e-4, err_msg=theirs.path)
    with states[0].averaged() as theirs, states[1].averaged() as mine:
        np.testing.assert_allclose(flat(mine), flat(theirs), rtol=1e-2, atol=2e-4)
        mean = flat(mine)
    assert np.linalg.norm(flat(states[1].model) - mean) > 0


def test_many_steps_at_once_are_the_same_steps() -> None:
    import jax

    from benchmarks.several import begun as begun_of
    from trainer.data.drawn_ahead import stacked
    from trainer.training import pure_step

    slices = receptive_field(SINGLE, 6)
    begun, settings = begun_of(SINGLE, slices, 1, averaging=True), TrainingSection()
    step = pure_step.step_of(SINGLE, slices, settings)
    numbers = [numbers_of(batch(slices, number)) for number in range(6)]
    rates = np.array([1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4], np.float32)
    one, given = jax.device_put(begun), []
    for each, rate in zip(numbers, rates, strict=True):
        one, sums = jax.jit(step)(one, each, rate, None)
        given.append(np.asarray(sums))
    at_once, sums = pure_step.compiled(pure_step.many_steps(step))(jax.device_put(begun), stacked(numbers), rates, None)
    np.testing.assert_allclose(sums, np.stack(given), rtol=1e-4)
    for mine, theirs in zip(at_once, one, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
    assert int(at_once.steps) == 6


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_is_not_finite_changes_nothing(where: str) -> None:
    slices = receptive_field(SINGLE, 6)
    state = vector_state(model_of(SINGLE, slices), SINGLE, TrainingSection())
    state.train_step(batch(slices, 0))
    before = [variable.numpy() for variable in state.variables]
    one = batch(slices, 1)
    factor = np.float32(np.inf if where == "loss" else 1e37)
    bad = Batch(one.features, one.truth, one.weights * factor, one.clips)
    sums = np.asarray(state.train_step(bad))
    assert not np.isfinite(sums[[0, 4]]).all()
    for variable, was in zip(state.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), was, variable.path)
    assert np.isfinite(np.asarray(state.train_step(one))).all()


def test_a_student_hears_its_teachers_as_in_tensorflows_step() -> None:
    import keras

    from trainer.networks.models import build_model

    slices = receptive_field(SINGLE, 12)
    keras.utils.set_random_seed(20)
    wider = SINGLE.model_copy(update={"first_conv_filters": 9})
    teachers = [Teacher(build_model(shape, slices), shape) for shape in (SINGLE, wider, SINGLE)]
    settings = LATEST.model_copy(update={"teaching_share": 0.7, "teaching_temperature": 2.0})
    theirs = TrainState(model_of(SINGLE, slices), SINGLE, settings, distillation=Distillation(tuple(teachers), ""))
    mine = vector_state(model_of(SINGLE, slices), SINGLE, settings, *teachers)
    for number in range(4):
        given = []
        for state in (theirs, mine):
            state.set_learning_rate(1e-3)
            given.append(np.asarray(state.train_step(batch(slices, number))))
        np.testing.assert_allclose(given[1], given[0], rtol=1e-3)
