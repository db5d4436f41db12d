"""An iteration's training: where it begins, and which weights it ends with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainer.tuning.conftest import WEIGHTS
from trainer.config.loader import CONFIG_NAME, load_config
from trainer.data.drawn_sets import FeatureSet
from trainer.inference.models import FloatModel
from trainer.training.loop import run_steps
from trainer.tuning import fine_tuning
from trainer.tuning.fine_tuning import FineTuner
from trainer.tuning.policy import TuningRecipe

pytestmark = pytest.mark.usefixtures("steps_not_compiled")

STEPS = 45
RECIPE = TuningRecipe(3e-3, 2.0, 2.0, 0.5)


@pytest.fixture(scope="module")
def tuner(tiny_run: Path) -> FineTuner:
    rng = np.random.default_rng(3)
    sets = [
        FeatureSet(name, truth, [rng.integers(-100, 100, (80, 40)).astype(np.int8) for _ in range(8)])
        for name, truth in (("words", True), ("negatives", False))
    ]
    config = load_config(str(tiny_run / CONFIG_NAME))
    return FineTuner(config, sets, STEPS, FloatModel(config.model, config.slices))


def tuned(tuner: FineTuner, run: Path, number: int) -> list[NDArray[np.float32]]:
    tuner.train(run / WEIGHTS, "", 128, RECIPE, number, lambda *_: None)
    return [weight.copy() for weight in tuner.model.get_weights()]


def test_an_iteration_ends_with_the_mean_of_moments_of_its_second_half(
    tuner: FineTuner, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after: list[list[NDArray[np.float32]]] = []

    def watched(state: Any, *rest: Any) -> Iterator[Any]:
        for sums in run_steps(state, *rest):
            after.append([weight.copy() for weight in state.model.get_weights()])
            yield sums

    monkeypatch.setattr(fine_tuning, "run_steps", watched)
    weights = tuned(tuner, tiny_run, 1)
    assert len(after) == STEPS
    moments = [after[step - 1] for step in (25, 35, 45)]
    for weight, *values in zip(weights, *moments, strict=True):
        np.testing.assert_array_equal(weight, (np.sum(values, 0, np.float64) / 3).astype(np.float32))
    assert moved(weights, after[-1]) == moved(after[-2], after[-1]) > len(weights) // 2


def test_each_iteration_begins_anew_and_has_batches_of_its_own(tuner: FineTuner, tiny_run: Path) -> None:
    first, second, again = (tuned(tuner, tiny_run, number) for number in (1, 2, 1))
    assert moved(first, again) == 0
    assert moved(first, second) > len(first) // 2


def moved(before: list[NDArray[np.float32]], after: list[NDArray[np.float32]]) -> int:
    """How many weights differ, statistics included. Biases that a normalisation takes out again never do."""
    return sum(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))
