"""The reference engine: tflite-micro's own interpreter, one invocation a stride."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.errors import ConfigError
from wakeword.model.flatbuffer import TfliteModel

ARENA_BYTES_PER_MODEL_BYTE = 10
SMALLEST_ARENA_BYTES = 1 << 18


def arena_bytes(model: TfliteModel) -> int:
    """An arena on this machine that is larger than any such model needs."""
    return max(ARENA_BYTES_PER_MODEL_BYTE * len(model.content), SMALLEST_ARENA_BYTES)


class ReferenceEngine:
    """A model in tflite-micro. It defines what a right probability is; the interpreter holds the GIL."""

    name = "reference"

    def __init__(self, model: TfliteModel) -> None:
        """Load the model. Raises `ConfigError` when the interpreter refuses it."""
        from tflite_micro import runtime

        try:
            self._interpreter = runtime.Interpreter.from_bytes(model.content, arena_size=arena_bytes(model))
        except (RuntimeError, ValueError) as error:
            raise ConfigError(
                f"{model.source}: tflite-micro cannot load the model ({error}); run mww-verify on it"
            ) from error
        self._stride = model.stride
        self._pending = np.zeros((0, contract.FEATURE_CHANNELS), np.int8)

    @property
    def stride(self) -> int:
        """Feature slices per inference."""
        return self._stride

    def reset(self) -> None:
        """Back to the state after boot."""
        self._interpreter.reset()
        self._pending = self._pending[:0]

    def run(self, features: NDArray[np.int8]) -> NDArray[np.uint8]:
        """See `Engine.run`."""
        rows = np.concatenate([self._pending, features])
        inferences = len(rows) // self._stride
        self._pending = rows[inferences * self._stride :]
        inputs = np.ascontiguousarray(rows[: inferences * self._stride]).reshape(
            inferences, 1, self._stride, contract.FEATURE_CHANNELS
        )
        probabilities = np.empty(inferences, np.uint8)
        for index in range(inferences):
            self._interpreter.set_input(inputs[index], 0)
            self._interpreter.invoke()
            probabilities[index] = self._interpreter.get_output(0)[0, 0]
        return probabilities
