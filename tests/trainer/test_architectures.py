"""Every architecture: window, recording and stream are one network, its export keeps the contract, and its int8 file
computes in the simulation what tflite-micro computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest

from tests import networks
from trainer.config.lengths import receptive_field, window_slices
from trainer.config.loader import load_config
from trainer.config.network import NetworkConfig, architecture_names
from trainer.networks.scaling import dequantise
from wakeword.engines.reference import ReferenceEngine
from wakeword.engines.unrolled import UnrolledEngine
from wakeword.errors import ConfigError
from wakeword.model.flatbuffer import parse_model
from wakeword.model.verify import verify_model
from wakeword.operators import foreign_operators

DNN = NetworkConfig(architecture="dnn", dnn_frame_units=6, dnn_units=(10, 8), dropout_rate=0.1)
CNN = NetworkConfig(
    architecture="cnn", cnn_filters=(5, 4), cnn_kernels=((8, 8), (3, 4)), cnn_linear_units=6, cnn_units=(8,)
)
TINY_CONV = NetworkConfig(architecture="tiny_conv", tiny_conv_filters=4, stride=2)
BC_RESNET = NetworkConfig(architecture="bc_resnet", bc_resnet_width=0.25)
MIXEDNET = networks.TINY.model_copy(update={"residual_connection": (0,)})
ON_DEVICES = {"mixednet": MIXEDNET, "dnn": DNN, "cnn": CNN, "tiny_conv": TINY_CONV}
FRAMES, POSITIONS = 7, 5


@dataclass(frozen=True)
class Network:
    """One network with random weights, and what it says of the windows of a recording."""

    config: NetworkConfig
    slices: int
    model: Any
    recording: Any
    windows: Any
    expected: Any


def network(config: NetworkConfig, slices: int) -> Network:
    from trainer.networks.models import build_model

    recording = networks.speechlike(1, slices + config.stride * (POSITIONS - 1))
    features = dequantise(recording)
    model = build_model(config, slices)
    networks.randomise(model, seed=2)
    windows = np.stack(
        [features[start : start + slices] for start in range(0, POSITIONS * config.stride, config.stride)]
    )
    expected = model(windows).numpy()[:, 0]
    assert np.ptp(expected) > 0.1, "saturated probabilities would agree whatever the graphs compute"
    return Network(config, slices, model, recording, windows, expected)


@pytest.fixture(scope="module", params=list(ON_DEVICES.values()), ids=list(ON_DEVICES))
def one(request: pytest.FixtureRequest) -> Network:
    return network(request.param, receptive_field(request.param, FRAMES))


def test_every_architecture_is_registered_and_tested() -> None:
    field = NetworkConfig.model_fields["architecture"]
    assert sorted(get_args(field.annotation)) == architecture_names() == sorted([*ON_DEVICES, "bc_resnet"])
    assert {config.architecture for config in ON_DEVICES.values()} == set(ON_DEVICES)
    assert not any(config.of.off_devices for config in ON_DEVICES.values())


def test_window_recording_and_stream_are_one_network(one: Network) -> None:
    import tensorflow as tf

    from trainer.networks.models import reset_streaming, streaming_clone
    from trainer.networks.sliding import SlidingModel

    sliding = SlidingModel(one.config, one.slices)
    sliding.load(one.model)
    np.testing.assert_allclose(sliding.run(one.recording), one.expected, atol=1e-5)

    features, stride = dequantise(one.recording), one.config.stride
    streaming = streaming_clone(one.model, one.config, one.slices)
    step = tf.function(streaming, input_signature=[tf.TensorSpec((1, stride, 40))])
    # Inferences end at the recording's last slice; what came before its first one does not matter.
    lead = -len(features) % stride
    padded = np.concatenate([np.full((lead, 40), 7, np.float32), features])
    for _ in range(2):
        streamed = [float(step(chunk[None])[0, 0]) for chunk in padded.reshape(-1, stride, 40)]
        np.testing.assert_allclose(streamed[-POSITIONS:], one.expected, atol=1e-5)
    reset_streaming(streaming)
    rings = [layer.state.numpy() for layer in streaming.layers if layer.name.endswith("_ring")]
    assert rings and not any(map(np.any, rings))


def test_the_step_trains_the_layers_that_the_graph_has(one: Network) -> None:
    """The same logits as Keras's graph, in training and outside, and a gradient for every kernel."""
    check_arithmetic(one)


def check_arithmetic(one: Network) -> None:
    import tensorflow as tf

    from trainer.networks.arithmetic import arithmetic_of
    from trainer.networks.models import logit_model

    arithmetic, windows = arithmetic_of(one.model, one.config), tf.constant(one.windows)
    np.testing.assert_allclose(tf.sigmoid(arithmetic.infer(windows)), one.expected, atol=1e-5)
    kept = one.model.get_weights()
    trained, embedded = arithmetic.train_embedded(windows)
    assert (trained.shape, embedded.shape[0], len(embedded.shape)) == ((POSITIONS,), POSITIONS, 2)
    assert float(tf.reduce_max(tf.math.reduce_std(embedded, axis=0))) > 0
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(arithmetic.train(windows))
    variables = one.model.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        # A normalisation takes the biases of what is before it out again.
        if variable.path.endswith("kernel"):
            assert gradient is not None and float(tf.reduce_max(tf.abs(gradient))) > 0, variable.path
    if not one.config.dropout_rate:
        moved = one.model.get_weights()
        one.model.set_weights(kept)
        wanted = logit_model(one.model)(one.windows, training=True).numpy()[:, 0]
        one.model.set_weights(kept)
        np.testing.assert_allclose(arithmetic.train(windows), wanted, rtol=1e-3, atol=1e-4)
        one.model.set_weights(moved)
    one.model.set_weights(kept)


def test_the_export_keeps_the_contract_and_its_sizes_are_those_of_the_analysis(one: Network) -> None:
    from trainer.analysis.layers import layer_costs
    from trainer.export.convert import convert
    from wakeword.model.arena_esp32s3 import state_sizes

    clips = [networks.speechlike(seed, 200) for seed in range(4)]
    content = convert(one.model, one.config, one.slices, clips, windows=20)
    model = parse_model(content)
    report = verify_model(model)
    assert report.passed, [check for check in report.checks if not check.passed]
    assert report.arena_bytes is not None and report.arena_bytes > 0
    layers = layer_costs(one.config, one.slices)
    assert sum(layer.parameters for layer in layers) == one.model.count_params()
    assert sum(layer.state_bytes for layer in layers) == sum(state_sizes(model).values())
    assert sum(layer.weight_bytes for layer in layers) < len(content)

    # The simulation has its own arithmetic for the graph, and it is tflite-micro's.
    features = np.concatenate([networks.speechlike(9, 150), *clips])
    unrolled, reference = UnrolledEngine(model), ReferenceEngine(model)
    given = reference.run(features)
    assert np.ptp(given.astype(int)) > 25
    np.testing.assert_array_equal(unrolled.run(features), given)
    from trainer.inference.agreement import measure_agreement

    agreement = measure_agreement(content, one.model, one.config, one.slices, [features])
    assert agreement.mean < 0.05


def test_a_bc_resnet_hears_windows_and_recordings_alike_and_is_not_exported() -> None:
    from trainer.export.convert import convert
    from trainer.networks.sliding import SlidingModel

    one = network(BC_RESNET, window_slices(BC_RESNET, 500))
    assert one.slices == 50, "it reads any length"
    sliding = SlidingModel(one.config, one.slices)
    sliding.load(one.model)
    np.testing.assert_allclose(sliding.run(one.recording), one.expected, atol=1e-5)
    check_arithmetic(one)
    with pytest.raises(ConfigError, match=r"bc_resnet, which cannot be exported: .*no streaming form"):
        convert(one.model, one.config, one.slices, [one.recording], windows=2)


def test_a_bc_resnet_has_the_size_of_the_papers() -> None:
    """Kim et al. 2021, table 3: 9.2 thousand parameters at a width of 1, 321 thousand at 8, with 12 classes in place of
    our one, so a little more than ours without the statistics of normalisations.
    """
    from trainer.networks.models import build_model

    for width, thousands in ((1, 9.2), (8, 321)):
        config = NetworkConfig(architecture="bc_resnet", bc_resnet_width=width)
        model = build_model(config, 100)
        ours = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
        twelve = ours + 11 * (32 * width + 1)
        assert twelve / 1000 == pytest.approx(thousands, rel=0.05)


def shaped(*settings: str) -> NetworkConfig:
    return load_config(
        "standard", settings=["export.wake_word=computer", *(f"model.{setting}" for setting in settings)]
    ).model


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("dnn_units=32",), "model.dnn_units is given, and model.architecture mixednet has no use for it; give --set"),
        (("architecture=dnn", "pointwise_filters=8,8,8,8"), "model.pointwise_filters is given, .*architecture dnn"),
        (("architecture=cnn", "cnn_filters=8"), "model.cnn_kernels: give one bracket a convolution"),
        (("architecture=cnn", "cnn_kernels=[20,8],[4]"), "model.cnn_kernels: give one bracket a convolution"),
        (("architecture=cnn", "cnn_kernels=[20,8],[4,20]"), "convolution 2 gets 11 columns of mel bins, too few"),
        (("architecture=cnn", "cnn_kernels=[2,8],[4,4]"), "reads 2 slices, below model.stride, which is 3"),
        (("architecture=tiny_conv", "tiny_conv_kernel=[10,41]"), "convolution 1 gets 40 columns"),
        (("architecture=tiny_conv", "tiny_conv_kernel=[10],[8]"), "one bracket of slices and mel bins"),
        (("architecture=transformer",), "model.architecture is 'transformer': it must be one of"),
    ],
)
def test_refuses_a_network_that_cannot_be(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        shaped(*settings)


def test_keys_of_an_architecture_are_taken_with_it() -> None:
    assert shaped("architecture=dnn", "dnn_units=32,16", "dropout_rate=0.2").dnn_units == (32, 16)
    assert shaped("architecture=cnn").cnn_kernels == ((20, 8), (4, 4)), "of a preset, the MixedNet's keys are left out"
    assert shaped("architecture=mixednet").mixconv_kernel_sizes == shaped().mixconv_kernel_sizes


def test_a_recurrent_cell_is_refused_for_the_operators_that_it_would_need() -> None:
    """The reason is checked by conversion: a device registers none of what recurrent cells become."""
    import keras
    import tensorflow as tf

    with pytest.raises(ConfigError) as refused:
        shaped("architecture=crnn")
    assert "crnn" in str(refused.value)
    for layer, operators in ((keras.layers.LSTM, {"TANH", "SPLIT"}), (keras.layers.GRU, {"TANH", "SPLIT", "SUB"})):
        model = keras.Sequential([keras.Input((2, 40), batch_size=1), layer(4, unroll=True)])
        call = tf.function(model, input_signature=[tf.TensorSpec((1, 2, 40), tf.float32)], autograph=False)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function()], model)
        assert operators <= foreign_operators(parse_model(converter.convert())).keys()
        assert all(operator in str(refused.value) for operator in operators)
