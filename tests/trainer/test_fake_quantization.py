"""Fake quantisation is the exported model's arithmetic: its ranges, its weights, its rounding, its probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import networks
from trainer.config.lengths import receptive_field
from trainer.config.network import NetworkConfig
from trainer.export.convert import convert
from trainer.export.representative import representative_stream
from trainer.networks.scaling import dequantise
from wakeword.engines import open_engine
from wakeword.engines.fixed_point import quantise_multiplier
from wakeword.model.flatbuffer import TfliteModel, parse_model

MIXED = NetworkConfig(
    first_conv_filters=10,
    pointwise_filters=(12, 12),
    mixconv_kernel_sizes=((5,), (7, 11)),
    repeat_in_block=(1, 1),
    residual_connection=(0, 0),
)
NETWORKS = {"mixed kernels": (MIXED, 6), "residual, stride 1": (networks.RESIDUAL, 4)}
WINDOWS = 30
CLIPS = [networks.speechlike(seed, 300) for seed in range(8)]
STREAM_STEPS = 2
"""Of the output, that a single inference may differ by."""


@dataclass(frozen=True)
class Quantised:
    """One network, its export, and the fake quantisation of it."""

    config: NetworkConfig
    slices: int
    model: Any
    tflite: TfliteModel
    fake: Any


@pytest.fixture(scope="module", params=list(NETWORKS.values()), ids=list(NETWORKS))
def quantised(request: pytest.FixtureRequest) -> Quantised:
    from trainer.networks.fake_quantization import FakeQuantised
    from trainer.networks.models import build_model

    config, frames = request.param
    slices = receptive_field(config, frames)
    model = build_model(config, slices)
    networks.randomise(model, seed=4)
    tflite = parse_model(convert(model, config, slices, CLIPS, windows=WINDOWS))
    fake = FakeQuantised(model, config, representative_stream(CLIPS, config.stride, slices, windows=WINDOWS))
    fake.collect()
    return Quantised(config, slices, model, tflite, fake)


def steps_of(logits: Any) -> NDArray[np.float64]:
    """A device's uint8 output for logits."""
    steps: NDArray[np.float64] = np.rint(256 / (1 + np.exp(-logits.numpy().astype(np.float64))))
    return np.minimum(steps, 255)


def test_each_tensor_has_the_exports_scale_and_zero_point(quantised: Quantised) -> None:
    graph = quantised.tflite.main
    computed = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "FULLY_CONNECTED")
    of_file = sorted(
        {
            (round(float(np.log2(tensor.scale)), 3), tensor.zero_point)
            for op in graph.operators
            if op.name in computed
            for tensor in (graph.tensors[op.outputs[0]],)
        }
    )
    given = quantised.fake.quantisations()
    assert sorted({(round(float(np.log2(scale)), 3), zero_point) for scale, zero_point in given.values()}) == of_file
    assert len(given) == len(of_file)


def test_a_whole_stream_gives_the_exports_probabilities_and_the_float_model_does_not(quantised: Quantised) -> None:
    from trainer.inference.agreement import measure_agreement

    features = networks.speechlike(77, 1500)
    engine, _ = open_engine(quantised.tflite)
    exported = engine.run(features).astype(np.float64)
    simulated = steps_of(quantised.fake.stream(dequantise(features)))
    difference = np.abs(simulated - exported)
    floating = measure_agreement(
        quantised.tflite.content, quantised.model, quantised.config, quantised.slices, [features]
    )
    assert exported.std() > 20
    # In a random network each layer makes one level of difference larger; test_quantization_aware has a trained one.
    assert np.mean(difference > STREAM_STEPS) < 0.01
    assert difference.max() < floating.maximum * 256
    assert difference.mean() < 0.1 * floating.mean * 256


def test_a_window_of_a_stream_is_the_window_that_trains(quantised: Quantised) -> None:
    fake, slices, stride = quantised.fake, quantised.slices, quantised.config.stride
    features = dequantise(networks.speechlike(5, slices + 3 * stride))
    windows = np.stack([features[first : first + slices] for first in range(0, 3 * stride + 1, stride)])
    np.testing.assert_allclose(fake.slide(features), fake.infer(windows), atol=1e-5)


def test_gradients_are_those_of_the_float_model_but_for_rounding(quantised: Quantised) -> None:
    import tensorflow as tf

    from trainer.networks.channel_first import ChannelFirst

    plain = ChannelFirst(quantised.model, quantised.config)
    windows = dequantise(np.stack([networks.speechlike(seed, quantised.slices) for seed in range(16)]))
    gradients = []
    for logits_of in (plain.infer, quantised.fake.infer):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.nn.softplus(logits_of(windows)))
        found = tape.gradient(loss, [variable.value for variable in quantised.model.trainable_variables])
        assert all(gradient is not None for gradient in found)
        gradients.append(np.concatenate([gradient.numpy().reshape(-1) for gradient in found]))
    true, through = gradients
    assert np.dot(true, through) / np.linalg.norm(true) / np.linalg.norm(through) > 0.95
    assert 0.75 < np.linalg.norm(through) / np.linalg.norm(true) < 1.33


def test_rounding_is_the_kernels() -> None:
    from trainer.networks import fake_quantization

    rng = np.random.default_rng(2)
    accumulators = rng.integers(-60_000, 60_000, (20_000, 1))
    multipliers = rng.uniform(0.0003, 0.002, (1, 4)).astype(np.float32)
    wanted = quantise_multiplier(multipliers[0]).apply(np.broadcast_to(accumulators, (20_000, 4)))
    given = fake_quantization._requantised(accumulators.astype(np.float32), 1.0, multipliers, 1.0).numpy()
    np.testing.assert_array_equal(given, wanted)
    assert np.mean(np.floor(accumulators * multipliers + 0.5) != wanted) > 1e-4, "a single rounding does not show here"
