"""A trained model to ONNX: the float streaming model for ONNX Runtime on computers.

ONNX keeps no variables from call to call, so each ring buffer is an input and an output: a caller starts with zeros and
gives each output back with the next stride. tf2onnx converts it, the converter that Keras uses too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from trainer.config.network import NetworkConfig
from trainer.networks import graph
from trainer.networks.models import build_stateless
from trainer.networks.runtime import start_tensorflow
from wakeword.errors import InfrastructureError
from wakeword.extras import require

OPSET = 18
"""Of ONNX 1.13, early 2023: what runs it need not be new."""


def require_onnx() -> None:
    """Raise `InfrastructureError` where what converts or checks is not installed; said before minutes of work."""
    require("an export to ONNX", "tf2onnx", "onnx", "onnxruntime", extra="onnx")


def convert_onnx(model: Any, config: NetworkConfig, slices: int, about: Mapping[str, str]) -> bytes:
    """Convert a `keras.Model` of `build_model`; inputs and outputs are those of `build_stateless`.

    Args:
        model: The model.
        config: Its shape.
        slices: Of the window that it was trained on.
        about: Keys and values that the file carries as its metadata.

    Returns the bytes of the .onnx file. Raises `ConfigError` when the model, the configuration and the window do not
    belong together, `InfrastructureError` when tf2onnx cannot convert the model or makes a file that is not valid.
    """
    tf = start_tensorflow()
    import onnx
    import tf2onnx

    stateless = build_stateless(config, slices)
    graph.copy_weights(model, stateless)
    signature = [tf.TensorSpec(given.shape, tf.float32, name=given.name) for given in stateless.inputs]
    call = tf.function(lambda *given: stateless(list(given), training=False), input_signature=signature)
    # It tells of its optimisations on the terminal.
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    try:
        converted, _ = tf2onnx.convert.from_function(call, input_signature=signature, opset=OPSET)
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise InfrastructureError(
            f"tf2onnx cannot convert the model ({_first_line(error)}); report it with the model's configuration"
        ) from error
    onnx.helper.set_model_props(converted, dict(about))
    try:
        onnx.checker.check_model(converted, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InfrastructureError(
            f"what tf2onnx made of the model is no valid ONNX ({_first_line(error)}); report it with the model's"
            " configuration"
        ) from error
    content: bytes = converted.SerializeToString()
    return content


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
