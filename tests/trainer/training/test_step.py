"""The fast step computes what Keras' plain layers compute, and trains the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.networks import OFFICIAL
from trainer.config.lengths import receptive_field
from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import Batch
from trainer.networks.scaling import dequantise
from trainer.training.batch_scores import BatchScores
from trainer.training.step import TrainState

UNEVEN = NetworkConfig(
    first_conv_filters=7,
    stride=2,
    pointwise_filters=(9, 8),
    mixconv_kernel_sizes=((3,), (2, 5, 4)),
    repeat_in_block=(1, 2),
    residual_connection=(1, 1),
    dropout_rate=0.3,
    l2_regularization=1e-2,
)
SINGLE = NetworkConfig(
    first_conv_filters=5,
    first_conv_kernel_size=3,
    pointwise_filters=(6,),
    mixconv_kernel_sizes=((1,),),
    repeat_in_block=(1,),
    residual_connection=(1,),
)
LATEST = TrainingSection(weight_averaging=0)
"""No running mean: the weights that a step leaves."""
BATCH_SIZE = 16


def batch(slices: int, seed: int, size: int = BATCH_SIZE) -> Batch:
    rng = np.random.default_rng(seed)
    truth = (rng.random(size) > 0.5).astype(np.float32)
    features = rng.integers(-128, 128, (size, slices, 40)).astype(np.int8)
    features[truth == 1, -10:, ::2] = 100
    return Batch(features, truth, rng.uniform(0.5, 20, size).astype(np.float32), np.zeros(size, np.int64))


def model_of(config: NetworkConfig, slices: int) -> Any:
    import keras

    from trainer.networks.models import build_model

    keras.utils.set_random_seed(4)
    return build_model(config, slices)


def plain_step(model: Any, optimizer: Any) -> Callable[[Batch], float]:
    """A training step of Keras' own layers, by TensorFlow's own convolutions."""
    import tensorflow as tf

    from trainer.networks.models import logit_model

    logits_of = logit_model(model)

    def step(one: Batch) -> float:
        with tf.GradientTape() as tape:
            logits = logits_of(dequantise(one.features), training=True)[:, 0]
            loss = tf.reduce_mean(one.weights * tf.nn.sigmoid_cross_entropy_with_logits(one.truth, logits)) + sum(
                model.losses
            )
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return float(loss)

    return step


@pytest.mark.parametrize(
    ("config", "unrolled"),
    [
        pytest.param(OFFICIAL, 128, id="official"),
        pytest.param(UNEVEN, 128, id="uneven"),
        pytest.param(UNEVEN, 8, id="as many frames as are not unrolled"),
        pytest.param(SINGLE, 128, id="single"),
    ],
)
def test_logits_gradients_and_statistics_are_those_of_keras_layers(
    config: NetworkConfig, unrolled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    from trainer.networks import depthwise
    from trainer.networks.channel_first import ChannelFirst, dequantised
    from trainer.networks.models import logit_model

    monkeypatch.setattr(depthwise, "MOST_FRAMES_UNROLLED", unrolled)
    slices = receptive_field(config, 6)
    one = batch(slices, 1)
    plain, fast = model_of(config, slices), model_of(config, slices)
    for model in (plain, fast):
        for layer in model.layers:
            if "depthwise" in layer.name:
                layer.bias.assign(np.linspace(-1, 1, layer.bias.shape[0]))
    with tf.GradientTape() as tape:
        expected = logit_model(plain)(dequantise(one.features), training=True)[:, 0]
        total = tf.reduce_sum(expected * one.weights)
    wanted = tape.gradient(total, plain.trainable_variables)
    with tf.GradientTape() as tape:
        logits = ChannelFirst(fast, config).train(dequantised(tf.constant(one.features)))
        total = tf.reduce_sum(logits * one.weights)
    gradients = tape.gradient(
        total,
        [variable.value for variable in fast.trainable_variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    # The same sums in another order: float32 rounding of some thousand terms, relative to the largest value of the
    # tensor. A depthwise bias has no gradient but rounding, since the normalisation takes it out again; it is held
    # against the largest of all gradients.
    assert_close(logits, expected, 2e-5)
    floor = 1e-2 * max(float(np.abs(want).max()) for want in wanted)
    for variable, gradient, want in zip(fast.trainable_variables, gradients, wanted, strict=True):
        assert_close(gradient, want, 2e-4, variable.path, scale=max(float(np.abs(want).max()), floor))
    for statistic, want in zip(fast.non_trainable_variables, plain.non_trainable_variables, strict=True):
        assert_close(statistic.value, want.value, 1e-5, statistic.path)
    # By the running statistics, as a teacher hears: nothing is dropped out, and nothing moves.
    before = fast.get_weights()
    assert_close(
        ChannelFirst(fast, config).infer(dequantised(tf.constant(one.features))),
        logit_model(plain)(dequantise(one.features))[:, 0],
        2e-4,
    )
    for weight, was in zip(fast.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, was)


def assert_close(values: Any, expected: Any, tolerance: float, name: str = "", scale: float | None = None) -> None:
    wanted = np.asarray(expected.numpy(), np.float64)
    np.testing.assert_allclose(
        values.numpy(), wanted, rtol=0, atol=tolerance * (scale or float(np.abs(wanted).max())), err_msg=name
    )


def test_training_gives_the_weights_of_the_plain_form() -> None:
    """Adam divides by the gradient's own size, so the rounding of a gradient near zero moves a weight by up to the
    learning rate. What is trained is therefore compared by distance: the two runs end a hundred times closer to each
    other than either has gone. Depthwise biases, which the normalisation takes out again, have no gradient but
    rounding; that they change nothing is seen in the probabilities."""
    import keras

    config = UNEVEN.model_copy(
        update={"dropout_rate": 0.0}
    )  # XLA draws other random numbers; that the same ones are dropped is tested above
    slices = receptive_field(config, 6)
    begun = flat(model_of(config, slices))
    plain, fast = model_of(config, slices), model_of(config, slices)
    optimizer, state = keras.optimizers.Adam(3e-3), TrainState(fast, config, LATEST)
    state.set_learning_rate(3e-3)
    optimizer.build(plain.trainable_variables)
    step = plain_step(plain, optimizer)
    for number in range(30):
        one = batch(slices, number)
        loss = step(one)
        assert float(state.train_step(one)[0]) == pytest.approx(loss, rel=1e-3)
    went, apart = np.linalg.norm(flat(plain) - begun), np.linalg.norm(flat(plain) - flat(fast))
    assert apart < 1e-2 * went
    fresh = dequantise(batch(slices, 99, 64).features)
    np.testing.assert_allclose(fast(fresh).numpy(), plain(fresh).numpy(), atol=2e-3)


def flat(model: Any) -> NDArray[np.float32]:
    """The trained weights, without depthwise biases."""
    return np.concatenate(
        [
            weight.numpy().ravel()
            for weight in model.trainable_variables
            if not ("depthwise" in weight.path and weight.path.endswith("bias"))
        ]
    )


def test_a_step_counts_what_accuracy_recall_and_precision_are_made_of() -> None:
    config = UNEVEN.model_copy(update={"dropout_rate": 0.0, "l2_regularization": 0.0})
    slices = receptive_field(config, 6)
    state = TrainState(model_of(config, slices), config, LATEST)
    state.set_learning_rate(1e-9)  # the model stays as it is
    one = batch(slices, 1, 64)
    from trainer.networks.models import logit_model

    accepted = logit_model(state.model)(dequantise(one.features), training=True).numpy()[:, 0] > 0
    scores = BatchScores.of([state.train_step(one), state.train_step(one)], 64)
    truth = one.truth == 1
    assert 0 < accepted.sum() < 64
    assert scores.steps == 2
    assert scores.accuracy == pytest.approx(np.mean(accepted == truth))
    assert scores.recall == pytest.approx(np.mean(accepted[truth]))
    assert scores.precision == pytest.approx(np.mean(truth[accepted]))
    assert (scores + scores).recall == scores.recall
    assert np.isnan(BatchScores().loss)


def test_sixteen_bits_train_toward_the_same_loss() -> None:
    slices = receptive_field(SINGLE, 6)
    ends = []
    for dtype in ("float32", "bfloat16"):
        state = TrainState(model_of(SINGLE, slices), SINGLE, LATEST, dtype)
        state.set_learning_rate(1e-2)
        losses = [float(state.train_step(batch(slices, number))[0]) for number in range(40)]
        ends.append((np.mean(losses[:4]), np.mean(losses[-8:])))
        assert {variable.dtype for variable in state.model.trainable_variables} == {"float32"}
    (_, full), (start, half) = ends
    assert half < start / 2
    assert half == pytest.approx(full, rel=0.25)


def test_the_mean_of_the_weights_follows_them_and_training_does_not_see_it() -> None:
    config, kept = SINGLE.model_copy(update={"dropout_rate": 0.2}), 0.8
    slices = receptive_field(config, 6)
    without, state = (
        TrainState(model_of(config, slices), config, TrainingSection(weight_averaging=averaging))
        for averaging in (0, kept)
    )
    assert len(state.variables) > len(without.variables)

    def weights() -> list[NDArray[np.float32]]:
        return [np.array(weight) for weight in state.model.get_weights()]

    means = weights()
    for number in range(12):
        for one in (without, state):
            one.set_learning_rate(1e-2)
            one.train_step(batch(slices, number))
        share = min(kept, (number + 2) / (number + 11))  # the optimizer has counted this step
        means = [share * mean + (1 - share) * weight for mean, weight in zip(means, weights(), strict=True)]
        latest = weights()
        with pytest.raises(RuntimeError, match="inside"), state.averaged() as model:
            for weight, mean in zip(model.get_weights(), means, strict=True):
                np.testing.assert_allclose(weight, mean, rtol=1e-4, atol=1e-6)
            raise RuntimeError("inside")
        for weight, was in zip(weights(), latest, strict=True):
            np.testing.assert_array_equal(weight, was)
    latest = without.model.get_weights()
    with without.averaged() as model:
        for weight, was in zip(model.get_weights(), latest, strict=True):
            np.testing.assert_array_equal(weight, was)
        model.set_weights([weight / 2 for weight in latest])
    for weight, was in zip(without.model.get_weights(), latest, strict=True):
        np.testing.assert_array_equal(weight, was, "what is evaluated may be scaled; what is trained is not")
    # The mean is beside the training: with and without one the same weights are trained, but for what another
    # compilation rounds.
    assert np.linalg.norm(flat(state.model) - flat(without.model)) < 1e-3 * np.linalg.norm(flat(without.model))


def test_the_mean_has_a_final_phase() -> None:
    slices = receptive_field(SINGLE, 6)
    settings = TrainingSection(
        training_steps=(5, 5), weight_averaging=0.2, final_weight_averaging=0.5, final_averaging_from=None
    )
    assert settings.final_averaging_begins == 5
    state = TrainState(model_of(SINGLE, slices), SINGLE, settings)
    state.set_learning_rate(1e-2)
    means = [np.array(weight) for weight in state.model.get_weights()]
    for number in range(10):
        state.train_step(batch(slices, number))
        # The optimizer has counted this step; a young mean forgets sooner.
        share = min(0.2 if number < 5 else 0.5, (number + 2) / (number + 11))
        means = [
            share * mean + (1 - share) * weight for mean, weight in zip(means, state.model.get_weights(), strict=True)
        ]
    with state.averaged() as model:
        for weight, mean in zip(model.get_weights(), means, strict=True):
            np.testing.assert_allclose(weight, mean, rtol=1e-4, atol=1e-6)
