"""ESP-NN by version: what each asks of the arena, and which shapes it is known to compute wrongly.

ESPHome pins a version; a firmware of another release, or one whose build took the latest, has another. Each rule is
read from ESP-NN's public sources (Apache-2.0), each error from the report that names it.

The rule of 1.2.1 agrees with what two ESP32-S3 logged when it came: "Requested: 19440" for okay_nabu and 17840 for
hey_jarvis (https://github.com/esphome/issues/issues/7242).
"""

from __future__ import annotations

from collections.abc import Iterator

from wakeword.errors import ConfigError
from wakeword.model.arena_kernels import (
    ConvolutionForm,
    EspNn,
    KnownError,
    aligned,
    conv_scratch_bytes,
    convolution_of,
    depthwise_scratch_bytes,
)
from wakeword.model.flatbuffer import TfliteModel

_TILED_ABOVE = 40 * 1024
"""Bytes of padded input from which a 3 x 3 depthwise convolution works in strips of rows."""
_TILED_16_BIT_ABOVE = 48 * 1024
_PANEL_BYTES = 24 * 1024
"""A pointwise filter that is larger is worked through in panels."""


# --- rules ------------------------------------------------------------------------------------------------------------


def conv_1_1_2(op: ConvolutionForm) -> int:
    """See `conv_scratch_bytes`."""
    return conv_scratch_bytes(op.source, op.weights, op.strides, op.padding)


def depthwise_1_1_2(op: ConvolutionForm) -> int:
    """See `depthwise_scratch_bytes`."""
    return depthwise_scratch_bytes(op.source, op.weights, op.output, op.strides, op.padding)


def conv_1_2_1(op: ConvolutionForm) -> int:
    """Scratch of a CONV_2D since 1.2: small windows are laid out one by one; else both copies of the filter are
    counted, though one is made, and the padding at the far edges.
    """
    _, height, width, channels = op.source
    filters, filter_height, filter_width, _ = op.weights
    if op.pointwise:
        padded = aligned(channels, 8)
        inputs = height * width * padded if channels % 8 else 0
        return inputs + padded * filters + (2 * 8 * padded if height * width >= 8 else 0) + 32
    row, window = filter_width * channels, filter_width * filter_height * channels
    if row < 16 <= window:
        return _windows(filters, window, 32)
    inputs = 0
    if any(op.padding):
        inputs = (width + 2 * op.padding[1]) * (height + 2 * op.padding[0]) * channels
    copies = filter_width * filter_height * aligned(channels, 16) * filters + aligned(row, 16) * filter_height * filters
    below, right = (max(0, op.output[i + 1] * op.strides[i] + op.weights[i + 1] - 1 - op.source[i + 1]) for i in (0, 1))
    edges = (width + right) * (height + below) * channels if below or right else 0
    return inputs + copies + edges + 32 + 4 * filters


def conv_main(op: ConvolutionForm) -> int:
    """Scratch of a CONV_2D in the sources of 2026-09: a pointwise filter is read where it is, and one copy of another
    filter is counted.
    """
    _, height, width, channels = op.source
    filters, filter_height, filter_width, _ = op.weights
    if (filter_height, filter_width) == (3, 3) and channels >= 16 and channels % 16 == 0 and filters >= 16:
        window = 9 * channels
        return window + filters * window + 4 * filters + 32
    if op.pointwise:
        transposed = 2 * 8 * aligned(channels, 8) if height * width >= 8 else 0
        tail = 24 * channels + 8 * filters + 64
        panel = 24 * channels + 16 * 1024 + 64 if channels * filters > _PANEL_BYTES else 0
        return max(transposed + 64, tail, panel)
    row, window = filter_width * channels, filter_width * filter_height * channels
    if row < 16 <= window:
        return _windows(filters, window, 64)
    after = tuple(
        max(0, (op.output[i + 1] - 1) * op.strides[i] + op.weights[i + 1] - op.padding[i] - op.source[i + 1])
        for i in (0, 1)
    )
    inputs = 0
    if any(op.padding) or any(after):
        inputs = (width + op.padding[1] + after[1]) * (height + op.padding[0] + after[0]) * channels
    copy = max(aligned(row, 16) * filter_height * filters, window * filters)
    return inputs + copy + 64 + 4 * filters


def _windows(filters: int, window: int, margin: int) -> int:
    """Sums, a copy of the filters and one window, each row padded to 16."""
    padded = aligned(window, 16)
    return 4 * filters + 16 + filters * padded + 16 + padded + margin


def depthwise_1_2(op: ConvolutionForm) -> int:
    """Scratch of a DEPTHWISE_CONV_2D since 1.2: filters of any size are computed in 16 bits, in tiles where that is
    large; channels that are no multiple of 8 are padded.
    """
    _, height, width, channels = op.source
    _, filter_height, filter_width, outputs = op.weights
    multiplier = outputs // channels
    filter_bytes, input_bytes = filter_width * filter_height * outputs, height * width * channels
    if multiplier == 1 and channels % 8 == 0:
        if (filter_height, filter_width) == (3, 3):
            return _depthwise_3x3(op, filter_bytes, input_bytes)
        whole = 2 * (filter_bytes + input_bytes)
        tiled = 2 * filter_bytes + 2 * width * filter_height * channels
        return (whole if whole <= _TILED_16_BIT_ABOVE else tiled) + 32
    if multiplier == 1 and channels > 3:
        padded = aligned(channels, 8)
        at = aligned(2 * filter_width * filter_height * padded, 16)
        at = aligned(at + 2 * height * width * padded, 16)
        at = aligned(at + op.output[1] * op.output[2] * padded, 16)
        return at + 12 * padded + 16
    if multiplier % 4 == 0:
        return 2 * (filter_bytes + input_bytes) + 32
    return 32


def _depthwise_3x3(op: ConvolutionForm, filter_bytes: int, input_bytes: int) -> int:
    _, height, width, channels = op.source
    if channels % 16 == 0:
        tall, wide = _around(op)
        whole = (width + wide) * (height + tall) * channels
        strip = (width + wide) * 3 * channels
        return filter_bytes + 16 + (0 if not (tall or wide) else whole if whole <= _TILED_ABOVE else strip)
    return _padded_channels(op, 64) if channels >= 12 else 2 * (filter_bytes + input_bytes) + 32


def _around(op: ConvolutionForm) -> tuple[int, int]:
    """Rows and columns that a 3 x 3 filter needs beyond the tensor."""
    if any(op.padding):
        return 2 * op.padding[0], 2 * op.padding[1]
    tall, wide = (op.output[i + 1] * op.strides[i] + 2 - op.source[i + 1] for i in (0, 1))
    return tall, wide


def _padded_channels(op: ConvolutionForm, margin: int) -> int:
    """A 3 x 3 filter, its padded input and its output, all with their channels padded to 16."""
    padded = aligned(op.source[3], 16)
    tall, wide = (
        op.source[i + 1] + 2 * op.padding[i] + max(0, op.output[i + 1] * op.strides[i] + 2 - op.source[i + 1])
        for i in (0, 1)
    )
    return 9 * padded + tall * wide * padded + op.output[1] * op.output[2] * padded + margin


def depthwise_main(op: ConvolutionForm) -> int:
    """The sources of 2026-09: a filter of k x 1 on a tensor of width 1 is computed in place where the channels are a
    multiple of 16 (sums, a window, a copy of the filter); only equal padding on all sides goes the short way.
    """
    _, height, width, channels = op.source
    _, filter_height, filter_width, outputs = op.weights
    if outputs != channels or channels % 8:
        return depthwise_1_2(op)
    if (width, filter_width, op.output[2], op.strides[1], op.padding[1]) == (1, 1, 1, 1, 0) and channels % 16 == 0:
        return 4 * channels + 2 * filter_height * channels + 64
    if (filter_height, filter_width) != (3, 3) or channels < 12:
        return depthwise_1_2(op)
    if channels % 16 or op.padding not in ((0, 0), (1, 1)):
        return _padded_channels(op, 64 + 12 * aligned(channels, 16))
    tall, wide = _around(op)
    if not (tall or wide):
        return 9 * channels + 16
    row = (width + wide) * channels
    if row * (height + tall) <= _TILED_ABOVE:
        return 9 * channels + row * (height + tall) + 16
    return 9 * channels + min(max((_TILED_ABOVE - 9 * channels - 32) // row, 3), height + tall) * row + 32


# --- errors -----------------------------------------------------------------------------------------------------------


def _lopsided(op: ConvolutionForm) -> bool:
    """Padding that is larger behind the last row or column than before the first."""
    for axis in (0, 1):
        needed = max(0, (op.output[axis + 1] - 1) * op.strides[axis] + op.weights[axis + 1] - op.source[axis + 1])
        if needed > 2 * op.padding[axis]:
            return True
    return False


_CONV_PADDING = KnownError(
    "CONV_2D",
    "its padding is larger behind than before: the last row or column is computed from what lies behind the tensor",
    "https://github.com/espressif/esp-nn/issues/31",
    _lopsided,
)
_DEPTHWISE_PADDING = KnownError(
    "DEPTHWISE_CONV_2D",
    "a 3 x 3 filter whose padding is not the same on all sides writes beyond the memory that it asked for",
    "https://github.com/espressif/esp-nn/issues/30",
    lambda op: op.weights[1:3] == (3, 3) and op.source[3] % 16 == 0 and (_lopsided(op) or len(set(op.padding)) > 1),
)

PINNED = "1.1.2"
"""What ESPHome 2026.10 builds with (esp-tflite-micro 1.3.3~1)."""
MAIN = "main"
VERSIONS = {
    version.version: version
    for version in (
        EspNn(
            PINNED,
            "pinned by ESPHome since April 2026 (https://github.com/esphome/esphome/pull/15703), 2026.10 too",
            "esp_nn_conv_esp32s3.c, esp_nn_depthwise_conv_s8_esp32s3.c of 1.1.2",
            conv_1_1_2,
            depthwise_1_1_2,
            (_CONV_PADDING, _DEPTHWISE_PADDING),
        ),
        EspNn(
            "1.2.1",
            "what builds took that pinned none, in April 2026 (https://github.com/esphome/esphome/pull/15628)",
            "the same files as they were then",
            conv_1_2_1,
            depthwise_1_2,
            (_CONV_PADDING, _DEPTHWISE_PADDING),
            "the official VAD model gives wrong probabilities with it, and nobody has published why"
            " (https://github.com/esphome/esphome/issues/15680)",
        ),
        EspNn(
            MAIN,
            "the latest sources that were read; no ESPHome has them",
            "the same files at commit 10170423, esp_nn_conv_s8_3x3_opt_esp32s3.c",
            conv_main,
            depthwise_main,
            remark="whether the shapes that 1.1.2 and 1.2.1 compute wrongly are right here was not looked at",
        ),
    )
}


def kernels_of(version: str) -> EspNn:
    """The kernels of a version. Raises `ConfigError` for one whose rules nobody here has read."""
    if version not in VERSIONS:
        raise ConfigError(f"ESP-NN {version}: its rules are not known; known are {', '.join(VERSIONS)}")
    return VERSIONS[version]


def known_errors(model: TfliteModel, version: str = PINNED) -> Iterator[tuple[int, KnownError]]:
    """Operators of the main subgraph, by their number, whose shape a version is known to compute wrongly."""
    errors = kernels_of(version).errors
    for number, operator in enumerate(model.main.operators):
        for error in errors:
            if operator.name == error.operator and error.concerns(convolution_of(model.main, operator)):
                yield number, error
