"""The weights of a model in a file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from trainer.config.network import NetworkConfig
from trainer.networks.models import build_model
from trainer.networks.runtime import start_tensorflow
from wakeword.errors import ConfigError
from wakeword.files import partial_file

BEST_WEIGHTS = "best_weights.weights.h5"
CHECKPOINTS, QUANTIZATION_AWARE = "checkpoints", "quantization_aware"
"""Folders of a run: of its training in float, and of the fine-tuning after it; each has its best weights."""
WEIGHTS_SUFFIX = ".weights.h5"
"""Keras accepts no other path."""


def save_weights(model: Any, path: Path) -> None:
    """Write a model's weights, whole or not at all. Keras accepts no path that does not end in `.weights.h5`."""
    with partial_file(path) as temporary:
        staged = temporary.with_name(temporary.name + WEIGHTS_SUFFIX)
        try:
            model.save_weights(staged)
            staged.replace(temporary)
        finally:
            staged.unlink(missing_ok=True)


def open_weights(network: NetworkConfig, slices: int, path: Path) -> Any:
    """A `keras.Model` of `build_model` with the weights of a file. Raises `ConfigError` as `load_weights` does."""
    start_tensorflow()
    model = build_model(network, slices)
    load_weights(model, path)
    return model


def load_weights(model: Any, path: Path) -> None:
    """Read a model's weights. Raises `ConfigError` when the file is missing, damaged, or of another model."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such checkpoint; train a model first or give another path")
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that it finds nothing for and leaves them untrained.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"{path}: not the weights of this model ({reason}); use the configuration that it was trained with"
        ) from error
