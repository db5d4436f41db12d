"""The losses against their papers' formulas; distillation: what is learned of earlier models, and that a run keeps its
teachers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example
from hypothesis import given as for_all
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.trainer.training.test_step import BATCH_SIZE, LATEST, SINGLE, batch, model_of
from trainer.config.lengths import receptive_field
from trainer.config.training_sections import TrainingSection
from trainer.data.drawn_sets import FeatureSet
from trainer.networks.scaling import dequantise
from trainer.training import loop
from trainer.training.batch_scores import BatchScores
from trainer.training.losses import Distillation, Loss, Teacher
from trainer.training.scores import ValidationScores
from trainer.training.step import TrainState
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError

SLICES = receptive_field(SINGLE, 6)
TEACHERS_ALONE = LATEST.model_copy(update={"teaching_share": 1.0})


@pytest.fixture
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `steps_not_compiled`, for one test."""
    monkeypatch.setattr("trainer.training.step.COMPILED", False)


@functools.cache
def teacher(steps: int = 60, first: int = 100) -> Teacher:
    """A model that knows the words of `batch`, and what its head leans to; no test changes it."""
    state = TrainState(model_of(SINGLE, SLICES), SINGLE, LATEST)
    state.set_learning_rate(1e-2)
    for number in range(first, first + steps):
        state.train_step(batch(SLICES, number))
    return Teacher(state.model, SINGLE)


def logits(model: Any, features: NDArray[np.int8]) -> NDArray[np.float32]:
    from trainer.networks.models import logit_model

    values: NDArray[np.float32] = logit_model(model)(dequantise(features), training=False).numpy()[:, 0]
    return values


def entropy(wanted: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    return -wanted * np.log(given) - (1 - wanted) * np.log(1 - given)


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values))


def by_the_formula(truth: float, logit: float, settings: TrainingSection) -> float:
    """One sample's loss, number by number, from what the papers write."""
    word, negative = 1 / (1 + math.exp(-logit)), 1 / (1 + math.exp(logit))
    of_word, of_negative = -math.log(word), -math.log(negative)
    if settings.loss == "focal":  # -alpha_t (1 - p_t)^gamma log p_t
        of_word *= settings.focal_alpha * (1 - word if logit < 0 else negative) ** settings.focal_gamma
        of_negative *= (1 - settings.focal_alpha) * (1 - negative if logit > 0 else word) ** settings.focal_gamma
    uniform = 1 / 2
    likely = (1 - settings.label_smoothing) * truth + settings.label_smoothing * uniform
    return likely * of_word + (1 - likely) * of_negative


def of_truth(settings: TrainingSection, truth: Any, logits: Any) -> tuple[Any, Any]:
    """The losses of samples, and the gradient of each by its logit."""
    import tensorflow as tf

    given = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(given)
        losses = Loss(settings).of_truth(tf.constant(truth, tf.float32), given)
    return losses.numpy(), tape.gradient(losses, given).numpy()


LOSSES = st.builds(
    TrainingSection,
    loss=st.just("focal"),
    focal_alpha=st.floats(0.01, 0.99),
    focal_gamma=st.floats(0, 5, allow_subnormal=False),
    label_smoothing=st.just(0.0) | st.floats(0, 0.5, allow_subnormal=False),
) | st.builds(TrainingSection, label_smoothing=st.just(0.0) | st.floats(0, 0.5, allow_subnormal=False))
SAMPLES = st.lists(
    st.tuples(st.sampled_from((0.0, 1.0)), st.floats(-30, 30, width=32, allow_subnormal=False)), min_size=1, max_size=8
)


@for_all(LOSSES, SAMPLES)
@example(TrainingSection(loss="focal", focal_alpha=0.5, focal_gamma=0.0, label_smoothing=2.0**-24), [(1.0, 7.0)])
def test_each_loss_and_its_gradient_are_those_of_the_formula(
    settings: TrainingSection, samples: list[tuple[float, float]]
) -> None:
    truth, logits = map(list, zip(*samples, strict=True))
    losses, gradients = of_truth(settings, truth, logits)
    wanted = [by_the_formula(*sample, settings) for sample in samples]
    # A smoothed label is rounded to float32, half a unit in its last place, and multiplies a loss of up to the logit.
    rounded = 2.0**-24 * max(abs(logit) for _, logit in samples) if settings.label_smoothing else 1e-12
    np.testing.assert_allclose(losses, wanted, rtol=2e-4, atol=rounded)
    step = 1e-4
    slopes = [
        (by_the_formula(label, logit + step, settings) - by_the_formula(label, logit - step, settings)) / (2 * step)
        for label, logit in samples
    ]
    np.testing.assert_allclose(gradients, slopes, rtol=1e-3, atol=1e-5)


@for_all(LOSSES, st.sampled_from((0.0, 1.0)), st.floats(-1e30, 1e30, allow_subnormal=False))
def test_no_logit_is_too_large_for_a_gradient(settings: TrainingSection, truth: float, logit: float) -> None:
    losses, gradients = of_truth(settings, [truth] * 3, [logit, 1e30, -1e30])
    assert np.isfinite(losses).all() and np.isfinite(gradients).all()
    assert (losses >= 0).all()


def test_the_losses_are_those_that_they_come_down_to() -> None:
    import tensorflow as tf

    rng = np.random.default_rng(1)
    truth, logits = (rng.random(64) > 0.5).astype(np.float32), rng.normal(0, 4, 64).astype(np.float32)
    entropies = tf.nn.sigmoid_cross_entropy_with_logits(truth, logits).numpy()
    np.testing.assert_array_equal(of_truth(TrainingSection(), truth, logits)[0], entropies, "the default is as it was")
    flat = TrainingSection(loss="focal", focal_alpha=0.5, focal_gamma=0)
    np.testing.assert_allclose(of_truth(flat, truth, logits)[0], entropies / 2, rtol=1e-5, atol=1e-9)
    focal = TrainingSection(loss="focal")
    assert (focal.focal_alpha, focal.focal_gamma) == (0.25, 2), "as Lin et al. found best"
    well_judged, half = of_truth(focal, [1.0, 1.0], [math.log(9), 0.0])[0]
    assert math.log(2) / math.log(1 / 0.9) * well_judged / half == pytest.approx((0.1 / 0.5) ** 2)
    smoothed = TrainingSection(label_smoothing=0.1)
    logit = math.log(0.95 / 0.05)
    _, gradients = of_truth(smoothed, [1.0, 1.0], [logit, 20.0])
    assert gradients[0] == pytest.approx(0, abs=1e-6) and gradients[1] > 0, "as sure as 95 %, and no surer"


CHOICES = {
    "cross-entropy": TrainingSection(weight_averaging=0),
    "focal": TrainingSection(weight_averaging=0, loss="focal"),
    "smoothed": TrainingSection(weight_averaging=0, label_smoothing=0.1),
    "focal, smoothed": TrainingSection(weight_averaging=0, loss="focal", label_smoothing=0.1),
}


@pytest.mark.parametrize("name", ["focal", "focal, smoothed"])
def test_a_step_with_another_loss_learns(name: str) -> None:
    state = TrainState(model_of(SINGLE, SLICES), SINGLE, CHOICES[name])
    state.set_learning_rate(1e-2)
    steps = [state.train_step(batch(SLICES, number)) for number in range(60)]
    first, last = BatchScores.of(steps[:4], BATCH_SIZE), BatchScores.of(steps[-8:], BATCH_SIZE)
    assert last.loss < first.loss / 2
    assert last.accuracy > 0.9 > first.accuracy


@pytest.mark.usefixtures("not_compiled")
def test_the_loss_is_a_mean_of_the_truths_and_the_teachers() -> None:
    import tensorflow as tf

    teachers = (teacher(), teacher(30, 300))
    one = batch(SLICES, 1)
    given = np.linspace(-3, 3, len(one.truth))
    features, own = tf.constant(dequantise(one.features)), tf.constant(given, tf.float32)
    mean = np.mean([logits(each.model, one.features) for each in teachers], axis=0).astype(np.float64)
    assert np.ptp(mean) > 1, "teachers that say the same of everything would prove nothing"
    assert TrainingSection().teaching_temperature == 4
    for (name, settings), temperature in zip(CHOICES.items(), (4.0, 4.0, 1.0, 10.0), strict=True):
        # Hinton et al. 2015: softened by the temperature, and once times it, so that gradients keep their size.
        of_teachers = temperature * entropy(sigmoid(mean / temperature), sigmoid(given / temperature))
        taught = settings.model_copy(update={"teaching_share": 0.25, "teaching_temperature": temperature})
        losses = Loss(taught, Distillation(teachers, "")).of_samples(features, tf.constant(one.truth), own)
        truths = np.array([by_the_formula(*sample, settings) for sample in zip(one.truth, given, strict=True)])
        np.testing.assert_allclose(losses, 0.75 * truths + 0.25 * of_teachers, rtol=1e-4, err_msg=name)
        alone = Loss(settings).of_samples(features, tf.constant(one.truth), own)
        np.testing.assert_allclose(alone, truths, rtol=1e-4, err_msg=name)


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


@pytest.mark.usefixtures("not_compiled")
def test_a_run_goes_on_with_the_same_teachers_only(tmp_path: Path) -> None:
    teachers = (teacher(3),)
    first = Distillation(teachers, "first")
    trained = train(tmp_path, first, 0.5)
    assert train(tmp_path, first, 0.5).best == trained.best
    for other, share in ((None, 0.5), (Distillation(teachers, "second"), 0.5), (first, 0.6)):
        with pytest.raises(ConfigError, match="another"):
            train(tmp_path, other, share)


@pytest.mark.usefixtures("not_compiled")
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


def test_a_teacher_that_is_not_compiled_with_the_step_teaches_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A BC-ResNet is computed beside the compiled step; what the step learns of it is what the loss says."""
    from trainer.config.architectures.bc_resnet import BcStage
    from trainer.config.network import NetworkConfig
    from trainer.networks import bc_resnet

    monkeypatch.setattr(bc_resnet, "STAGES", (BcStage(1, 8, 2, 1), BcStage(2, 12, 2, 2)))
    network = NetworkConfig(architecture="bc_resnet", bc_resnet_width=0.25)
    teachers = (Teacher(model_of(network, SLICES), network),)
    one = batch(SLICES, 1)
    loss = Loss(TEACHERS_ALONE, Distillation(teachers, ""))
    features = dequantise(one.features)
    (said,) = loss.beside(features)
    np.testing.assert_allclose(said, logits(teachers[0].model, one.features), rtol=1e-4, atol=1e-5)
    student = TrainState(model_of(SINGLE, SLICES), SINGLE, TEACHERS_ALONE, distillation=Distillation(teachers, ""))
    from trainer.networks.models import logit_model

    own = logit_model(student.model)(features, training=True)[:, 0]
    wanted = float(np.mean(one.weights * loss.of_samples(features, one.truth, own, said)))
    assert float(student.train_step(one)[0]) == pytest.approx(wanted, rel=1e-3)
