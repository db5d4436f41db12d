"""The temperature brings wake words into the steps of the device's output, and changes nothing else of a model."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests import networks
from tests.trainer.training.test_validation import FRAMES, network
from trainer.config.lengths import receptive_field
from trainer.inference.temperature import WORD_LOG_ODDS, divide_logits, word_temperature
from trainer.networks.scaling import dequantise

peaks = st.lists(st.floats(-20, 17), min_size=1, max_size=40).map(np.array)


@given(peaks)
def test_half_of_the_words_come_to_lie_within_the_scale(levels: np.ndarray) -> None:
    temperature = word_temperature(levels)
    assert temperature >= 1
    assert np.median(levels / temperature) <= WORD_LOG_ODDS + 1e-9


@given(peaks)
def test_a_model_that_is_unsure_is_not_made_surer(levels: np.ndarray) -> None:
    assert word_temperature(np.minimum(levels, WORD_LOG_ODDS)) == 1


def test_without_words_nothing_is_divided() -> None:
    assert word_temperature(np.zeros(0)) == 1


def test_the_logit_is_divided_and_nothing_else() -> None:
    from trainer.networks.models import build_model, logit_model

    config = network(3)
    slices = receptive_field(config, FRAMES)
    model = build_model(config, slices)
    networks.randomise(model, seed=2)
    windows = dequantise(np.stack([networks.speechlike(seed, slices) for seed in range(6)]))
    logits, kept = logit_model(model), {layer.name: layer.get_weights() for layer in model.layers}
    undivided = np.asarray(logits(windows))
    divide_logits(model, 2.5)
    np.testing.assert_allclose(np.asarray(logits(windows)), undivided / 2.5, rtol=1e-4, atol=1e-6)
    changed = {
        layer.name
        for layer in model.layers
        for weight, before in zip(layer.get_weights(), kept[layer.name], strict=True)
        if not np.array_equal(weight, before)
    }
    assert changed == {"head"}
