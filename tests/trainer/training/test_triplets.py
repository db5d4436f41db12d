"""The triplet loss against its papers, triplet by triplet, and what a phase of it does to an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainer.training.test_loop import NET, WINDOW, rising_sets
from tests.trainer.training.test_step import LATEST, SINGLE, batch, model_of
from trainer.config.lengths import receptive_field
from trainer.config.loader import load_config
from trainer.config.training_sections import TrainingSection
from trainer.networks.scaling import dequantise
from trainer.training import loop
from trainer.training.scores import ValidationScores
from trainer.training.step import TrainState
from trainer.training.training_run import TrainingRun
from trainer.training.triplets import triplet_loss
from wakeword.errors import ConfigError

type Mining = Literal["semi_hard", "hard"]
SLICES = receptive_field(SINGLE, 6)


def by_the_papers(embeddings: NDArray[Any], truth: NDArray[Any], margin: float, mining: Mining) -> float:
    """Triplet by triplet, in Python."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)

    def apart(one: int, other: int) -> float:
        return float(np.sum((unit[one] - unit[other]) ** 2))

    words, others = (np.flatnonzero(truth == label).tolist() for label in (1, 0))
    losses: list[float] = []
    for anchor in words if others else ():
        pairs = [(positive, apart(anchor, positive)) for positive in words if positive != anchor]
        away = [apart(anchor, negative) for negative in others]
        if mining == "hard" and pairs:
            losses.append(max(0.0, max(near for _, near in pairs) - min(away) + margin))
        if mining == "semi_hard":
            for _, near in pairs:
                farther = [distance for distance in away if distance > near]
                losses.append(max(0.0, near - (min(farther) if farther else max(away)) + margin))
    return float(np.mean(losses)) if losses else 0.0


@pytest.mark.parametrize("mining", ["semi_hard", "hard"])
def test_the_loss_is_that_of_the_papers(mining: Mining) -> None:
    rng = np.random.default_rng(5)
    seen = set()
    for words, others, margin in ((3, 5, 0.2), (1, 4, 0.2), (4, 1, 1.0), (5, 5, 2.0), (0, 3, 0.2), (3, 0, 0.2)):
        embeddings = rng.normal(0.4, 1, (words + others, 4)).astype(np.float32)
        truth = rng.permutation([1.0] * words + [0.0] * others).astype(np.float32)
        given = float(triplet_loss(embeddings, truth, margin, mining))
        assert given == pytest.approx(by_the_papers(embeddings, truth, margin, mining), abs=1e-5)
        seen.add(given > 0)
    assert seen == {True, False}


@pytest.mark.parametrize("mining", ["semi_hard", "hard"])
def test_its_gradient_is_finite_also_for_embeddings_that_are_alike_or_zero(mining: Mining) -> None:
    import tensorflow as tf

    for embeddings in (np.zeros((6, 4)), np.ones((6, 4)), np.eye(6, 4)):
        given = tf.constant(embeddings, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss = triplet_loss(given, tf.constant([1.0, 1, 1, 0, 0, 0]), 0.2, mining)
        assert np.isfinite(loss) and np.isfinite(tape.gradient(loss, given)).all()


def violations(state: TrainState) -> float:
    """Share of the triplets of unheard windows whose negative is not farther by the margin than the positive."""
    from trainer.networks.arithmetic import arithmetic_of

    one = batch(SLICES, 999, 48)
    _, embeddings = arithmetic_of(state.model, SINGLE).train_embedded(dequantise(one.features))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    distances = 2 - 2 * np.asarray(unit) @ np.asarray(unit).T
    words, others = np.flatnonzero(one.truth == 1), np.flatnonzero(one.truth == 0)
    return float(
        np.mean(
            [
                distances[anchor, positive] + 0.2 > distances[anchor, negative]
                for anchor in words
                for positive in words
                if positive != anchor
                for negative in others
            ]
        )
    )


def test_steps_with_it_bring_wake_words_together_and_apart_from_all_else() -> None:
    shares = {}
    for weight in (0.0, 5.0):
        settings = LATEST.model_copy(update={"triplet_weight": (weight,)})
        state = TrainState(model_of(SINGLE, SLICES), SINGLE, settings)
        state.set_learning_rate(3e-3)
        for number in range(40):
            state.train_step(batch(SLICES, number))
        shares[weight] = violations(state)
    assert shares[5.0] < shares[0.0] / 2, shares


def test_it_counts_in_the_phases_that_it_has_a_weight_in(steps_not_compiled: None, tmp_path: Path) -> None:  # noqa: ARG001
    """The first phase trains as without it, bit for bit; the second is another one."""
    weights: dict[tuple[float, ...], list[Any]] = {}
    for given in ((0.0, 0.0), (0.0, 1.0)):
        settings = TrainingSection(
            training_steps=(4, 4), learning_rates=(1e-3, 1e-3), batch_size=8, eval_step_interval=4, triplet_weight=given
        )
        kept = weights[given] = []

        def evaluate(model: Any, kept: list[Any] = kept) -> ValidationScores:
            kept.append(model.get_layer("first_conv").kernel.numpy())
            return ValidationScores(1.0, 0.0, 1.0)

        loop.train(TrainingRun(NET, WINDOW, rising_sets(8), settings, tmp_path / str(given), evaluate))
    without, with_it = weights.values()
    np.testing.assert_allclose(without[0], with_it[0], atol=1e-6)
    assert np.abs(without[1] - with_it[1]).max() > 1e-4


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("triplet_weight=[0.1,0.2,0.3]", "training.triplet_weight has 3"),
        ("triplet_weight=[-1,0]", "training.triplet_weight.0 is -1: it must be 0 or more"),
        ("triplet_margin=0.5", "training.triplet_margin is 0.5, and training.triplet_weight is 0 in all phases"),
        ("triplet_mining=hard", "training.triplet_mining is hard, and training.triplet_weight is 0"),
    ],
)
def test_keys_that_do_not_fit_are_refused(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config("standard", (), ["export.wake_word=Computer", f"training.{setting}"])


def test_one_weight_is_that_of_all_phases() -> None:
    settings = ["export.wake_word=Computer", "training.triplet_weight=[0.5]", "training.triplet_mining=hard"]
    assert load_config("standard", (), settings).training.triplet_weight == (0.5, 0.5)
