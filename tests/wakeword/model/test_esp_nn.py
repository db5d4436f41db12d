"""ESP-NN by version: rules against what boards logged, errors against the forms that are named in their reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model_builder import ModelBuilder
from wakeword.errors import ConfigError
from wakeword.model.arena_esp32s3 import estimate_arena
from wakeword.model.arena_kernels import ConvolutionForm
from wakeword.model.esp_nn import (
    MAIN,
    PINNED,
    VERSIONS,
    conv_1_2_1,
    conv_main,
    depthwise_1_2,
    depthwise_main,
    kernels_of,
    known_errors,
)
from wakeword.model.flatbuffer import TfliteModel, parse_model, read_model
from wakeword.model.verify import _kernels


def test_what_an_esp32_s3_logged_with_1_2_1(official_models: Path) -> None:
    """ "Requested: 17840, available: 10876" in https://github.com/esphome/issues/issues/7242, of an arena of 22860."""
    estimate = estimate_arena(read_model(official_models / "hey_jarvis.tflite"), "1.2.1")
    assert estimate.head == 17_840
    assert estimate.tail == pytest.approx(22_860 - 10_876, rel=0.04)


def test_the_same_of_the_okay_nabu_of_then(corpus: Path) -> None:
    """ "Requested: 19440, available 11876", of an arena of 26080."""
    path = corpus.parent / "models" / "v2" / "okay_nabu.tflite"
    if not path.is_file():
        pytest.skip(f"the model of 2024-10 is not at {path}; users do not have it")
    estimate = estimate_arena(read_model(path), "1.2.1")
    assert estimate.head == 19_440
    assert estimate.tail == pytest.approx(26_080 - 11_876, rel=0.04)


@pytest.mark.parametrize("version", [PINNED, MAIN])
def test_manifests_are_made_for_the_others(official_models: Path, version: str) -> None:
    estimate = estimate_arena(read_model(official_models / "alexa.tflite"), version)
    assert estimate.total == pytest.approx(22_348, rel=0.01)


def test_a_version_that_nobody_has_read_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ESP-NN 9\.9: its rules are not known; known are 1\.1\.2, 1\.2\.1, main"):
        kernels_of("9.9")


def form(
    *shapes: tuple[int, ...], strides: tuple[int, int] = (1, 1), padding: tuple[int, int] = (0, 0)
) -> ConvolutionForm:
    source, weights, output = shapes
    return ConvolutionForm(source, weights, output, strides, padding)


def test_scratch_of_convolutions() -> None:
    tall = form((1, 5, 1, 40), (30, 5, 1, 40), (1, 1, 1, 30), strides=(3, 1))
    # Both copies; and the edges: an output of 1 at a stride of 3 reaches two rows beyond, by that rule.
    assert conv_1_2_1(tall) == 5 * 48 * 30 + 48 * 5 * 30 + 7 * 40 + 32 + 4 * 30
    assert conv_main(tall) == 48 * 5 * 30 + 64 + 4 * 30
    point = form((1, 1, 1, 60), (60, 1, 1, 60), (1, 1, 1, 60))
    assert conv_1_2_1(point) == 64 + 64 * 60 + 32
    assert conv_main(point) == 24 * 60 + 8 * 60 + 64
    small = form((1, 9, 1, 8), (16, 9, 1, 8), (1, 1, 1, 16))
    assert conv_1_2_1(small) == 64 + 16 + 16 * 80 + 16 + 80 + 32
    assert conv_main(small) == 64 + 16 + 16 * 80 + 16 + 80 + 64
    square = form((1, 8, 8, 16), (16, 3, 3, 16), (1, 6, 6, 16))
    assert conv_main(square) == 144 + 16 * 144 + 64 + 32
    large = form((1, 1, 1, 256), (256, 1, 1, 256), (1, 1, 1, 256))
    assert conv_main(large) == 24 * 256 + 16 * 1024 + 64


def test_scratch_of_depthwise_convolutions() -> None:
    tall = form((1, 9, 1, 64), (1, 9, 1, 64), (1, 1, 1, 64))
    assert depthwise_1_2(tall) == 2 * (576 + 576) + 32
    assert depthwise_main(tall) == 4 * 64 + 2 * 9 * 64 + 64
    odd = form((1, 9, 1, 24), (1, 9, 1, 24), (1, 1, 1, 24))
    assert depthwise_main(odd) == depthwise_1_2(odd) == 2 * (216 + 216) + 32
    square = form((1, 5, 5, 16), (1, 3, 3, 16), (1, 3, 3, 16))
    assert depthwise_1_2(square) == 144 + 16
    padded = form((1, 5, 5, 24), (1, 3, 3, 24), (1, 5, 5, 24), padding=(1, 1))
    assert depthwise_1_2(padded) == 9 * 32 + 9 * 9 * 32 + 25 * 32 + 64
    assert depthwise_main(padded) == depthwise_1_2(padded) + 12 * 32
    uneven = form((1, 8, 8, 16), (1, 3, 3, 16), (1, 4, 4, 16), strides=(2, 2), padding=(0, 1))
    assert depthwise_main(uneven) == 144 + (8 + 2) * (8 + 2 + 2) * 16 + 16 * 16 + 64 + 12 * 16
    large = form((1, 60, 60, 16), (1, 3, 3, 16), (1, 60, 60, 16), padding=(1, 1))
    assert depthwise_1_2(large) == 144 + 16 + 62 * 3 * 16
    assert depthwise_main(large) == 144 + (40 * 1024 - 144 - 32) // (62 * 16) * 62 * 16 + 32
    few = form((1, 4, 1, 5), (1, 4, 1, 5), (1, 1, 1, 5))
    assert depthwise_1_2(few) == 144 + 12 * 8 + 16


def convolution(
    kind: str, source: tuple[int, ...], weights: tuple[int, ...], output: tuple[int, ...], stride: int
) -> TfliteModel:
    builder = ModelBuilder()
    tensors = [
        builder.tensor(name, "INT8", shape, scales=1.0)
        for name, shape in (("source", source), ("weights", weights), ("output", output))
    ]
    options = {"strideH": stride, "strideW": stride, "padding": 0}
    builder.operator(kind, tensors[:2], tensors[2:], options)
    builder.interface(tensors[:1], tensors[2:])
    return parse_model(builder.build())


@pytest.mark.parametrize(
    ("kind", "weights", "stride", "wrong"),
    [
        ("CONV_2D", (8, 3, 3, 16), 2, "issues/31"),  # SAME over an even extent: one row behind, none before
        ("CONV_2D", (8, 3, 3, 16), 1, None),  # one on each side
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 16), 2, "issues/30"),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 16), 1, None),
    ],
)
def test_a_form_that_is_computed_wrongly_is_named(
    kind: str, weights: tuple[int, ...], stride: int, wrong: str | None
) -> None:
    channels = weights[0] if kind == "CONV_2D" else 16
    side = 8 // stride
    model = convolution(kind, (1, 8, 8, 16), weights, (1, side, side, channels), stride)
    found = [error.source for _, error in known_errors(model)]
    assert [source.endswith(wrong) for source in found] == [True] if wrong else found == []
    assert list(known_errors(model, MAIN)) == []
    # mww-verify says it of the version that ESPHome pins.
    warned = list(_kernels(model))
    assert [check.status for check in warned] == ["warning"] * len(found)
    assert all(source in check.detail for source, check in zip(found, warned, strict=True))


def test_official_models_have_none_of_them(official_models: Path) -> None:
    for path in official_models.glob("*.tflite"):
        for version in VERSIONS:
            assert list(known_errors(read_model(path), version)) == []
