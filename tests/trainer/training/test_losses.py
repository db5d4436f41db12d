"""The loss, distillation: what is learned of earlier models, and that a run keeps its teachers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainer.training.test_step import LATEST, SINGLE, batch, model_of
from trainer.config.lengths import receptive_field
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import FeatureSet
from trainer.mixednet.scaling import dequantise
from trainer.training import loop
from trainer.training.losses import TEMPERATURE, Distillation, Loss, Teacher
from trainer.training.scores import ValidationScores
from trainer.training.step import TrainState
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError

SLICES = receptive_field(SINGLE, 6)
TEACHERS_ALONE = LATEST.model_copy(update={"teaching_share": 1.0})


def teacher(steps: int = 60, first: int = 100) -> Teacher:
    """A model that knows the words of `batch`, and what its head leans to."""
    state = TrainState(model_of(SINGLE, SLICES), SINGLE, LATEST)
    state.set_learning_rate(1e-2)
    for number in range(first, first + steps):
        state.train_step(batch(SLICES, number))
    return Teacher(state.model, SINGLE)


def logits(model: Any, features: NDArray[np.int8]) -> NDArray[np.float32]:
    from trainer.mixednet.models import logit_model

    values: NDArray[np.float32] = logit_model(model)(dequantise(features), training=False).numpy()[:, 0]
    return values


def entropy(wanted: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    return -wanted * np.log(given) - (1 - wanted) * np.log(1 - given)


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values))


def test_the_loss_is_a_mean_of_the_truths_and_the_teachers() -> None:
    import tensorflow as tf

    teachers = (teacher(), teacher(30, 300))
    one = batch(SLICES, 1)
    given = np.linspace(-3, 3, len(one.truth))
    features, own = tf.constant(dequantise(one.features)), tf.constant(given, tf.float32)
    losses = Loss(LATEST.model_copy(update={"teaching_share": 0.25}), Distillation(teachers, "")).of_samples(
        features, tf.constant(one.truth), own
    )
    mean = np.mean([logits(each.model, one.features) for each in teachers], axis=0).astype(np.float64)
    assert np.ptp(mean) > 1, "teachers that say the same of everything would prove nothing"
    of_teachers = TEMPERATURE * entropy(sigmoid(mean / TEMPERATURE), sigmoid(given / TEMPERATURE))
    np.testing.assert_allclose(
        losses, 0.75 * entropy(one.truth.astype(np.float64), sigmoid(given)) + 0.25 * of_teachers, rtol=1e-4
    )
    alone = Loss(LATEST).of_samples(features, tf.constant(one.truth), own)
    np.testing.assert_allclose(alone, entropy(one.truth.astype(np.float64), sigmoid(given)), rtol=1e-5)


def test_a_student_comes_to_say_what_its_teachers_say_whatever_the_labels_are() -> None:
    teachers = (teacher(),)
    before = [np.array(weight) for weight in teachers[0].model.get_weights()]
    student = TrainState(model_of(SINGLE, SLICES), SINGLE, TEACHERS_ALONE, distillation=Distillation(teachers, ""))
    student.set_learning_rate(1e-2)
    fresh = batch(SLICES, 999, 64).features
    wanted = logits(teachers[0].model, fresh)
    apart = [float(np.abs(logits(student.model, fresh) - wanted).mean())]
    for number in range(150):
        one = batch(SLICES, number)
        student.train_step(replace(one, truth=1 - one.truth))
    apart.append(float(np.abs(logits(student.model, fresh) - wanted).mean()))
    assert apart[1] < apart[0] / 2
    assert np.mean((logits(student.model, fresh) > 0) == (wanted > 0)) > 0.9
    for weight, was in zip(teachers[0].model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, was)


def sets() -> list[FeatureSet]:
    rng = np.random.default_rng(3)
    clips = [rng.integers(-100, 100, (40, 40)).astype(np.int8) for _ in range(8)]
    return [FeatureSet("words", True, clips[:4]), FeatureSet("negatives", False, clips[4:])]


def train(
    folder: Path,
    distillation: Distillation | None,
    share: float,
    evaluate: Callable[[Any], ValidationScores] = lambda _: ValidationScores(1.0, 0.0, 1.0),
) -> loop.TrainingResult:
    even = dict.fromkeys(("positive_class_weight", "negative_class_weight"), (1.0,))
    settings = TrainingSection(
        training_steps=(6,), learning_rates=(1e-2,), batch_size=4, eval_step_interval=2, teaching_share=share, **even
    )
    network = SINGLE.model_copy(update={"dropout_rate": 0.3})
    return loop.train(TrainingRun(network, SLICES, sets(), settings, folder, evaluate, distillation=distillation))


def test_a_run_goes_on_with_the_same_teachers_only(tmp_path: Path) -> None:
    teachers = (teacher(3),)
    first = Distillation(teachers, "first")
    trained = train(tmp_path, first, 0.5)
    assert train(tmp_path, first, 0.5).best == trained.best
    for other, share in ((None, 0.5), (Distillation(teachers, "second"), 0.5), (first, 0.6)):
        with pytest.raises(ConfigError, match="another"):
            train(tmp_path, other, share)


def test_a_killed_run_with_teachers_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    teachers = (teacher(3), teacher(5, 300))
    whole = train(tmp_path / "whole", Distillation(teachers, ""), 0.7)
    calls = 0

    def killed(_: Any) -> ValidationScores:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise SystemExit
        return ValidationScores(1.0, 0.0, 1.0)

    with pytest.raises(SystemExit):
        train(tmp_path / "killed", Distillation(teachers, ""), 0.7, killed)
    model_of(SINGLE, SLICES)  # models that are built in between change no random number
    gone_on = train(tmp_path / "killed", Distillation(teachers, ""), 0.7)
    assert gone_on.best == whole.best
    for weight, other in zip(gone_on.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_teachers_are_heard_in_sixteen_bits_too() -> None:
    student = TrainState(model_of(SINGLE, SLICES), SINGLE, TEACHERS_ALONE, "bfloat16", Distillation((teacher(3),), ""))
    losses = [float(student.train_step(batch(SLICES, 1))[0]) for _ in range(2)]
    assert np.isfinite(losses).all()
