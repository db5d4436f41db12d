"""MixedNet: its lengths, its settings, and that window, recording and stream are one model."""

from __future__ import annotations

import numpy as np
import pytest

from tests import networks
from tests.networks import OFFICIAL
from trainer.config.lengths import (
    channel_groups,
    encoder_receptive_field,
    fit_slices,
    head_frames,
    receptive_field,
    window_slices,
)
from trainer.config.loader import load_config
from trainer.config.network import NetworkConfig
from trainer.networks.scaling import dequantise
from wakeword.errors import ConfigError

SINGLE_KERNELS = NetworkConfig()
NARROW = NetworkConfig(
    first_conv_filters=7,
    pointwise_filters=(9, 8),
    mixconv_kernel_sizes=((3,), (2, 5, 4)),
    repeat_in_block=(1, 1),
    residual_connection=(0, 0),
)


def shaped(*settings: str) -> NetworkConfig:
    return load_config(
        "standard", settings=["export.wake_word=computer", *(f"model.{setting}" for setting in settings)]
    ).model


def test_parses_the_settings_of_the_configuration() -> None:
    read = shaped("pointwise_filters=60,60, 60,64", "mixconv_kernel_sizes=[5],[7,11],[9,15],[23]")
    assert read.pointwise_filters == (60, 60, 60, 64)
    assert read.mixconv_kernel_sizes == ((5,), (7, 11), (9, 15), (23,))
    one_block = ("pointwise_filters=60", "mixconv_kernel_sizes=[5]", "repeat_in_block=1", "residual_connection=0")
    assert shaped(*one_block).pointwise_filters == (60,)


def test_what_is_written_is_what_was_read() -> None:
    """As text, whatever form it was given in: configurations of older runs have the same hash."""
    values = NetworkConfig(
        pointwise_filters=(64, 64, 64, 64), mixconv_kernel_sizes=((5,), (7, 11), (9, 15), (23,))
    ).model_dump()
    assert (values["pointwise_filters"], values["mixconv_kernel_sizes"]) == ("64,64,64,64", "[5],[7,11],[9,15],[23]")
    assert NetworkConfig.model_validate(values).mixconv_kernel_sizes == ((5,), (7, 11), (9, 15), (23,))


@pytest.mark.parametrize("text", ["", "60;60", "60,x", "60,true,60,60", "[5]", "1.5", "60]", "[60]],[["])
def test_refuses_a_list_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.pointwise_filters is .*whole numbers"):
        shaped(f"pointwise_filters={text}")


@pytest.mark.parametrize("text", ["", "5,9", "[5],9", "[]", "[5],[]", "[5.5]", "[5],[true],[9],[9]", "[5", "['5']"])
def test_refuses_kernels_without_brackets(text: str) -> None:
    with pytest.raises(ConfigError, match="one bracket of kernel sizes a block"):
        shaped(f"mixconv_kernel_sizes={text}")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stride=0", "model.stride is 0: it must be 1 or more"),
        ("stride=256", "model.stride is 256: it must be 255 or less"),
        ("first_conv_filters=0", "model.first_conv_filters is 0: it must be 1 or more"),
        ("first_conv_kernel_size=2", "below model.stride, which is 3"),
        ("dropout_rate=1", "model.dropout_rate is 1: it must be below 1"),
        ("l2_regularization=-0.1", "model.l2_regularization is -0.1: it must be 0 or more"),
        ("pointwise_filters=60,60,60", "has 4 entries, but model.pointwise_filters has 3"),
        ("pointwise_filters=60,60,0,60", "model.pointwise_filters.2 is 0: it must be 1 or more"),
        ("pointwise_filters=true", "whole number"),
        ("repeat_in_block=1,1,0,1", "model.repeat_in_block.2 is 0: it must be 1 or more"),
        ("residual_connection=0,2,0,0", "model.residual_connection.1 is 2: it must be one of 0, 1"),
        ("residual_connection=0,true,0,0", "is '0,true,0,0': give whole numbers with commas between"),
        ("mixconv_kernel_sizes=[5],[0],[3],[3]", "model.mixconv_kernel_sizes.1.0 is 0: it must be 1 or more"),
    ],
)
def test_refuses_a_model_that_cannot_be(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        shaped(setting)


def test_refuses_more_kernels_than_channels() -> None:
    with pytest.raises(ConfigError, match="block 1 shares 2 channels between 3 kernels"):
        shaped("first_conv_filters=2", "mixconv_kernel_sizes=[3,5,7],[9],[3],[3]")


def test_channels_are_shared_with_the_remainder_first() -> None:
    assert channel_groups(32, 2) == (16, 16)
    assert channel_groups(60, 1) == (60,)
    assert channel_groups(8, 3) == (4, 2, 2)


def test_lengths_of_the_official_model() -> None:
    assert encoder_receptive_field(OFFICIAL) == 155
    assert head_frames(OFFICIAL, 204) == 17
    assert fit_slices(OFFICIAL, 204) == receptive_field(OFFICIAL, 17) == 203
    assert window_slices(OFFICIAL, 1500) == 203


def test_every_clip_duration_gives_a_window_that_fits() -> None:
    for stride in (1, 2, 3):
        config = NetworkConfig(stride=stride)
        for milliseconds in range(300, 3000, 10):
            slices = window_slices(config, milliseconds)
            assert fit_slices(config, slices) == slices


def test_a_window_below_the_receptive_field_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"154 slices is too short .* at least 155 \(1550 ms\)"):
        fit_slices(OFFICIAL, 154)


def test_the_official_model_has_its_number_of_parameters() -> None:
    from trainer.networks.models import build_model

    assert build_model(OFFICIAL, fit_slices(OFFICIAL, 204)).count_params() == 26_049


def test_a_window_with_unread_slices_is_refused() -> None:
    from trainer.networks.models import build_model

    with pytest.raises(ConfigError, match="204 slices leaves 1 unread by this model; take 203"):
        build_model(OFFICIAL, 204)


def test_features_become_what_the_models_input_dequantises_to() -> None:
    np.testing.assert_allclose(dequantise(np.array([-128, -127, 127], np.int8)), [0.0, 26 / 255, 26.0], rtol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(SINGLE_KERNELS, id="single kernels"),
        pytest.param(OFFICIAL, id="mixed kernels"),
        pytest.param(
            NetworkConfig(residual_connection=(1, 1, 0, 1), repeat_in_block=(1, 2, 1, 1)), id="residual and repeated"
        ),
        pytest.param(
            NetworkConfig(
                residual_connection=(0, 1, 1, 0), mixconv_kernel_sizes=((5,), (7, 11), (9, 15), (23,)), stride=2
            ),
            id="stride 2",
        ),
        pytest.param(
            NetworkConfig(
                first_conv_filters=7,
                pointwise_filters=(9, 8),
                mixconv_kernel_sizes=((3,), (2, 5, 4)),
                stride=1,
                repeat_in_block=(1, 1),
                residual_connection=(1, 1),
            ),
            id="stride 1",
        ),
        pytest.param(
            NetworkConfig(
                first_conv_filters=5,
                first_conv_kernel_size=2,
                pointwise_filters=(6,),
                mixconv_kernel_sizes=((1,),),
                stride=2,
                repeat_in_block=(1,),
                residual_connection=(1,),
            ),
            id="no history at all",
        ),
    ],
)
def test_window_sliding_and_streaming_are_one_model(config: NetworkConfig) -> None:
    import tensorflow as tf

    from trainer.networks.models import build_model, reset_streaming, streaming_clone
    from trainer.networks.sliding import SlidingModel

    slices = receptive_field(config, 1 if config.context_frames == (0,) else 9)
    positions = 5
    recording = networks.speechlike(1, slices + config.stride * (positions - 1))
    features = dequantise(recording)

    model = build_model(config, slices)
    networks.randomise(model, seed=2)
    windows = np.stack(
        [features[start : start + slices] for start in range(0, positions * config.stride, config.stride)]
    )
    expected = model(windows).numpy()[:, 0]
    # Saturated probabilities would agree whatever the graphs compute.
    assert np.ptp(expected) > 0.1

    sliding = SlidingModel(config, slices)
    sliding.load(model)
    np.testing.assert_allclose(sliding.run(recording), expected, atol=1e-5)

    streaming = streaming_clone(model, config, slices)
    step = tf.function(streaming, input_signature=[tf.TensorSpec((1, config.stride, 40))])
    # Inferences end at the recording's last slice; what came before its first one does not matter.
    lead = -len(features) % config.stride
    padded = np.concatenate([np.full((lead, 40), 7, np.float32), features])
    for _ in range(2):
        streamed = [float(step(chunk[None])[0, 0]) for chunk in padded.reshape(-1, config.stride, 40)]
        np.testing.assert_allclose(streamed[-positions:], expected, atol=1e-5)
    reset_streaming(streaming)
    assert not any(np.any(layer.state.numpy()) for layer in streaming.layers if layer.name.endswith("_ring"))


def test_sliding_probabilities_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.networks import sliding
    from trainer.networks.models import build_model

    slices = receptive_field(NARROW, 4)
    model = build_model(NARROW, slices)
    networks.randomise(model, seed=3)
    whole = sliding.SlidingModel(NARROW, slices)
    whole.load(model)
    recording = np.random.default_rng(4).integers(-128, 128, (slices + 100, 40)).astype(np.int8)
    expected = whole.run(recording)
    monkeypatch.setattr(sliding, "BLOCK_POSITIONS", 7)
    np.testing.assert_allclose(whole.run(recording), expected, atol=1e-6)
    lengths = sliding.SlidingModel(NARROW, slices)  # compiled for 4, 8, 16 and 20 positions
    lengths.load(model)
    for name, value in (("SHORTEST_BLOCK", 4), ("LONGER_BY", 2), ("BLOCK_POSITIONS", 20)):
        monkeypatch.setattr(sliding, name, value)
    for positions in (len(expected), 1, 4, 5, 8, 9, 16, 17, 20, 21):
        part = recording[: slices + (positions - 1) * NARROW.stride]
        np.testing.assert_allclose(lengths.run(part), expected[:positions], atol=1e-6)
    assert len(whole.run(recording[: slices - 1])) == 0
    assert len(whole.run(recording[:slices])) == 1


def test_weights_of_another_model_are_refused() -> None:
    from trainer.networks.models import build_model, streaming_clone

    slices = receptive_field(NARROW, 4)
    with pytest.raises(ConfigError, match="differs between the two models"):
        streaming_clone(build_model(NARROW, slices), NARROW, receptive_field(NARROW, 5))
