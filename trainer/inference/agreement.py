"""How far an exported model is from the float model that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.networks.models import NEXT, reset_streaming, streaming_clone
from trainer.networks.scaling import dequantise
from wakeword import contract
from wakeword.errors import ConfigError
from wakeword.model.flatbuffer import parse_model
from wakeword.model.float_model import Agreement

ARENA_BYTES = 512 * 1024
"""Plenty for tflite-micro on a 64-bit host; says nothing about a device."""
OUTPUT_STEPS = 256
Strides = Sequence[NDArray[np.int8]]
"""Of each recording the device's features, a stride an inference: int8 `[n, stride, 40]`."""


def measure_agreement(
    content: bytes, model: Any, config: NetworkConfig, slices: int, recordings: Sequence[NDArray[np.int8]]
) -> Agreement:
    """Run an exported model, int8 or float32, in tflite-micro, and the float streaming clone of `model`, over the same
    recordings.

    Recordings are device features, int8 `[n, 40]` each; both models start each of them from their state after boot.
    Raises `ConfigError` when there is not one whole inference, the model cannot be loaded or takes another stride, or
    the float model has diverged.
    """
    exported = parse_model(content, "the exported model")
    if exported.stride != config.stride:
        raise ConfigError(
            f"the exported model takes {exported.stride} slices an inference and the float model {config.stride}; give"
            " the checkpoint it came from"
        )
    floating = exported.main.tensors[exported.main.inputs[0]].type_name == "FLOAT32"
    return _agreement(
        lambda strides: _exported_probabilities(content, strides, floating), model, config, slices, recordings
    )


def measure_onnx_agreement(
    content: bytes, model: Any, config: NetworkConfig, slices: int, recordings: Sequence[NDArray[np.int8]]
) -> Agreement:
    """As `measure_agreement` does, of the model of an .onnx file in ONNX Runtime. Raises what that does."""
    return _agreement(lambda strides: _onnx_probabilities(content, strides), model, config, slices, recordings)


def _agreement(
    approximately: Callable[[Strides], Sequence[NDArray[Any]]],
    model: Any,
    config: NetworkConfig,
    slices: int,
    recordings: Sequence[NDArray[np.int8]],
) -> Agreement:
    strides = [
        recording[: len(recording) // config.stride * config.stride].reshape(
            -1, config.stride, contract.FEATURE_CHANNELS
        )
        for recording in recordings
    ]
    strides = [chunks for chunks in strides if len(chunks)]
    if not strides:
        raise ConfigError(
            f"no recording has the {config.stride} feature slices of one inference to compare the models on; give"
            " longer recordings"
        )
    exact, approximate = _keras_probabilities(model, config, slices, strides), approximately(strides)
    difference = np.abs(np.concatenate(exact) - np.concatenate(approximate))
    if not np.isfinite(difference).all():
        raise ConfigError(
            "the float model gives no number for some recordings: its training has diverged; train again with lower"
            " training.learning_rates"
        )
    return Agreement(mean=float(difference.mean()), maximum=float(difference.max()), inferences=len(difference))


def _exported_probabilities(content: bytes, recordings: Strides, floating: bool) -> list[NDArray[np.float64]]:
    from tflite_micro import runtime

    try:
        interpreter = runtime.Interpreter.from_bytes(content, arena_size=ARENA_BYTES)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"tflite-micro cannot load the exported model ({error}); export it again") from error
    result = []
    for chunks in recordings:
        interpreter.reset()
        outputs = np.empty(len(chunks), np.float64)
        for index, chunk in enumerate(dequantise(chunks) if floating else chunks):
            interpreter.set_input(chunk[None], 0)
            interpreter.invoke()
            outputs[index] = interpreter.get_output(0)[0, 0]
        result.append(outputs if floating else outputs / OUTPUT_STEPS)
    return result


def _onnx_probabilities(content: bytes, recordings: Strides) -> list[NDArray[np.float64]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # An inference is too little work to share.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    rings = {ring.name: ring.shape for ring in session.get_inputs() if f"{ring.name}{NEXT}" in names}
    result = []
    for chunks in recordings:
        state = {name: np.zeros(shape, np.float32) for name, shape in rings.items()}
        outputs = np.empty(len(chunks), np.float64)
        for index, chunk in enumerate(dequantise(chunks)):
            given = dict(zip(names, session.run(names, {"features": chunk[None], **state}), strict=True))
            outputs[index] = given["probability"][0, 0]
            state = {name: given[f"{name}{NEXT}"] for name in rings}
        result.append(outputs)
    return result


def _keras_probabilities(
    model: Any, config: NetworkConfig, slices: int, recordings: Strides
) -> list[NDArray[np.float32]]:
    import tensorflow as tf

    streaming = streaming_clone(model, config, slices)

    # One call a recording: TensorFlow's overhead a call is many times the arithmetic of one inference.
    def stream(chunks: Any) -> Any:
        count = tf.shape(chunks)[0]

        def step(index: Any, outputs: Any) -> tuple[Any, Any]:
            return index + 1, outputs.write(index, streaming(chunks[index : index + 1], training=False)[0, 0])

        outputs = tf.TensorArray(tf.float32, count)
        return tf.while_loop(lambda index, _: index < count, step, (0, outputs), parallel_iterations=1)[1].stack()

    run = tf.function(
        stream, input_signature=[tf.TensorSpec((None, config.stride, contract.FEATURE_CHANNELS), tf.float32)]
    )
    result = []
    for chunks in recordings:
        reset_streaming(streaming)
        result.append(run(dequantise(chunks)).numpy())
    return result
