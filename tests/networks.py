"""MixedNets that behave as trained ones do, without training, and features for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig

OFFICIAL = NetworkConfig(
    first_conv_filters=32, pointwise_filters=(64, 64, 64, 64), mixconv_kernel_sizes=((5,), (7, 11), (9, 15), (23,))
)
"""The shape of ESPHome's official models."""
RESIDUAL = NetworkConfig(
    first_conv_filters=8,
    stride=1,
    pointwise_filters=(8, 10),
    mixconv_kernel_sizes=((3,), (3, 5)),
    repeat_in_block=(1, 2),
    residual_connection=(1, 1),
)
TINY = NetworkConfig(
    first_conv_filters=6,
    pointwise_filters=(6,),
    mixconv_kernel_sizes=((3, 5),),
    repeat_in_block=(1,),
    residual_connection=(1,),
    dropout_rate=0.1,
)
"""Trains in seconds."""


def speechlike(seed: int, length: int) -> NDArray[np.int8]:
    """Features that rise and fall over some 200 ms, as speech does, int8 `[length, 40]`."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.uniform(-120, 60, length // 20 + 1), 20)[:length, None]
    return np.clip(loudness + rng.normal(0, 30, (length, 40)), -128, 127).astype(np.int8)


def randomise(model: Any, seed: int) -> None:
    """Give a model of `build_model` random weights, statistics of its own activations, and logits of about -4 to 4.

    Without the statistics a deep random network hardly depends on its input, and wrong graphs would agree with right
    ones.
    """
    from keras import layers

    from trainer.networks.models import logit_model
    from trainer.networks.scaling import dequantise

    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
            shape = layer.gamma.shape
            layer.set_weights(
                [rng.uniform(0.7, 1.3, shape), rng.normal(0, 0.3, shape), np.zeros(shape), np.ones(shape)]
            )
        elif layer.weights:
            layer.set_weights([rng.normal(0, 0.1, weight.shape) for weight in layer.weights])
    logits, head = logit_model(model), model.get_layer("head")
    windows = np.stack([dequantise(speechlike(seed + index, model.input_shape[1])) for index in range(64)])
    logits(windows, training=True)
    values = logits(windows, training=False).numpy()
    kernel, bias = head.get_weights()
    head.set_weights([kernel * 2 / values.std(), (bias - values.mean()) * 2 / values.std()])
