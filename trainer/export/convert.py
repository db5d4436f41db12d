"""A trained model to the int8 .tflite file that a device runs, or to a float32 one for computers.

The streaming clone is exported with a static batch (a dynamic one leaves SHAPE and EXPAND_DIMS in the graph), and the
converter quantises the ring buffers too: with float variables the model would hold DEQUANTIZE, which no device
registers, and boot into a crash.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.export.representative import WINDOWS, representative_chunks
from trainer.networks.models import streaming_clone
from trainer.networks.runtime import start_tensorflow
from wakeword import contract
from wakeword.errors import InfrastructureError
from wakeword.native_output import stderr_on_failure

Chunks = Callable[[], Iterable[NDArray[np.float32]]]
SAVED_MODEL = "streaming"
"""Name of the float streaming model's folder beside the exported files."""


def convert(
    model: Any,
    config: NetworkConfig,
    slices: int,
    clips: Sequence[NDArray[np.int8]],
    *,
    folder: Path | None = None,
    seed: int = 0,
    windows: int = WINDOWS,
) -> bytes:
    """Convert a model to int8.

    Args:
        model: A `keras.Model` of `build_model`.
        config: Its shape.
        slices: Of the window that it was trained on.
        clips: Training features, int8 `[n, 40]` each, on which the ranges of activations are measured.
        folder: Where the float streaming model is kept, as a SavedModel in `streaming`; nothing of that name lies
        there. None: it is not kept.
        seed: Of the windows that are drawn from the clips.
        windows: How many are drawn.

    Returns:
        The bytes of the .tflite file: input int8 `[1, stride, 40]`, scale 26/255, zero point -128; output uint8
        `[1, 1]`, scale 1/256, zero point 0.

    Raises `ConfigError` when the model, the configuration and the window do not belong together or the clips are too
    short, `InfrastructureError` when TensorFlow cannot convert the model.
    """
    return _converted(
        model, config, slices, folder, partial(representative_chunks, clips, config.stride, slices, seed, windows)
    )


def convert_float(model: Any, config: NetworkConfig, slices: int, *, folder: Path | None = None) -> bytes:
    """Convert a `keras.Model` of `build_model` without quantising it: input float32 `[1, stride, 40]` from 0.0 to 26.0,
    output float32 `[1, 1]`.

    No device runs it. `folder` and errors are those of `convert`.
    """
    return _converted(model, config, slices, folder, None)


def _converted(model: Any, config: NetworkConfig, slices: int, folder: Path | None, chunks: Chunks | None) -> bytes:
    start_tensorflow()
    streaming = streaming_clone(model, config, slices)
    with tempfile.TemporaryDirectory(prefix="streaming_") as temporary:
        saved = (folder or Path(temporary)) / SAVED_MODEL
        _save(streaming, config.stride, saved)
        return _convert_saved(saved, chunks)


def _save(streaming: Any, stride: int, path: Path) -> None:
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(streaming)
    archive.add_endpoint("serve", streaming.call, [tf.TensorSpec((1, stride, contract.FEATURE_CHANNELS), tf.float32)])
    archive.write_out(str(path), verbose=False)


def _convert_saved(saved: Path, chunks: Chunks | None) -> bytes:
    """A SavedModel quantised to int8 by the ranges that `chunks` give, or as it is."""
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    if chunks is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_variable_quantization = True
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type, converter.inference_output_type = tf.int8, tf.uint8
        converter.representative_dataset = lambda: ([chunk] for chunk in chunks())
    try:
        with stderr_on_failure():
            content: bytes = converter.convert()
    except (ConverterError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InfrastructureError(
            f"TensorFlow cannot convert the streaming model ({reason[0]}); report it with the model's configuration"
        ) from error
    return content
