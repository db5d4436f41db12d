"""Several models that are trained at once are those that are trained alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.networks import OFFICIAL
from tests.trainer.training.test_loop import WINDOW, rising_sets
from tests.trainer.training.test_step import SINGLE, model_of
from tests.trainer.training.test_step_engine import BARE, SETTINGS
from trainer.config.lengths import receptive_field
from trainer.config.network import NetworkConfig
from trainer.data.batches import BatchSampler
from trainer.networks.layout import Layout
from wakeword.errors import ConfigError

pytest.importorskip("jax", reason="JAX is not installed; the extra jax has it")


def test_several_models_at_once_are_those_that_are_trained_alone() -> None:
    from benchmarks.several import SeveralModels, begun
    from trainer.training.vector_steps import VectorSteps

    settings = SETTINGS.model_copy(update={"eval_step_interval": 20})
    samplers = [BatchSampler(rising_sets(), WINDOW, settings.model_copy(update={"seed": seed})) for seed in (1, 2)]
    models = SeveralModels(BARE, settings, samplers, [7, 8], processes=2)
    blocks = [(block, np.asarray(sums)) for block, sums in models.train(range(50), lambda _: 1e-3)]
    models.close()
    assert [len(block) for block, _ in blocks] == [20, *[1] * 10, 20]
    for model, (sampler, seed) in enumerate(zip(samplers, (7, 8), strict=True)):
        steps, vectors = VectorSteps(BARE, WINDOW, settings), begun(BARE, WINDOW, seed, averaging=True)
        losses = []
        for step in range(50):
            vectors, sums = steps(vectors, (sampler.numbers(step), None), [1e-3])
            losses.append(float(sums[0]))
        np.testing.assert_allclose(np.concatenate([sums[model, :, 0] for _, sums in blocks]), losses, rtol=2e-2)
        np.testing.assert_allclose(models.means()[0][model], vectors.mean_trained, rtol=1e-2, atol=1e-3)
    assert losses[-1] < losses[0] / 2
    teaching = settings.model_copy(update={"teaching_share": 1.0}), [models.as_teachers()]
    taught = SeveralModels(BARE, teaching[0], samplers[:1], [9], teaching[1], processes=1)
    ((_, first),) = taught.train(range(20), lambda _: 3e-3)
    heard = np.asarray(first)[0, :, 0]
    taught.close()
    alone, vectors = VectorSteps(BARE, WINDOW, *teaching), begun(BARE, WINDOW, 9, averaging=True)
    for step in range(3):
        vectors, sums = alone(vectors, (samplers[0].numbers(step), None), [3e-3])
        assert float(heard[step]) == pytest.approx(float(sums[0]), rel=1e-3)


def test_models_of_other_features_are_refused() -> None:
    from benchmarks.several import SeveralModels

    samplers = [BatchSampler(rising_sets(clips), WINDOW, SETTINGS) for clips in (20, 21)]
    with pytest.raises(ConfigError, match="these samplers have others"):
        SeveralModels(BARE, SETTINGS, samplers, [7, 8])


@pytest.mark.parametrize("config", [OFFICIAL, SINGLE], ids=["official", "single"])
def test_models_begin_as_those_of_keras_do(config: NetworkConfig) -> None:
    from benchmarks.several import begun

    slices = receptive_field(config, 6)
    vectors = begun(config, slices, 3, averaging=False)
    values = Layout.of(config, slices).to_keras(np.asarray(vectors.trained), np.asarray(vectors.statistics))
    for variable in model_of(config, slices).variables:
        mine, keras_has = (float(np.abs(value).max()) for value in (values[variable.path], variable.numpy()))
        if math.prod(variable.shape) > 100 or not variable.path.endswith("kernel"):
            assert mine == pytest.approx(keras_has, rel=0.1), f"{variable.path}: of another range than Keras' own"
