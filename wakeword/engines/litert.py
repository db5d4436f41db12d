"""The LiteRT engine: what a Raspberry Pi and other computers run, whose probabilities are not a device's.

LiteRT's kernels (XNNPACK's, where they cover an operator) round otherwise than TFLM's reference kernels do. An ESPHome
device runs neither, so what this engine gives says nothing of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.errors import ConfigError
from wakeword.extras import require
from wakeword.model.flatbuffer import TfliteModel
from wakeword.native_output import stderr_on_failure

NAME = "litert"


class LiteRtEngine:
    """A model in LiteRT with its defaults, in one thread."""

    name = NAME

    def __init__(self, model: TfliteModel) -> None:
        """Load the model. Raises `ConfigError` when LiteRT refuses it, `InfrastructureError` without LiteRT."""
        require("the engine litert", "ai_edge_litert")
        self._model, self._stride = model, model.stride
        self.reset()

    @property
    def stride(self) -> int:
        """Feature slices per inference."""
        return self._stride

    def reset(self) -> None:
        """Back to the state after boot."""
        # LiteRT's own `reset_all_variables` leaves the variables of these models as they are.
        self._interpreter = _loaded(self._model)
        (taken,), (given,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output = taken["index"], given["index"]
        self._pending = np.zeros((0, contract.FEATURE_CHANNELS), np.int8)

    def run(self, features: NDArray[np.int8]) -> NDArray[np.uint8]:
        """See `Engine.run`."""
        rows = np.concatenate([self._pending, features])
        inferences = len(rows) // self._stride
        self._pending = rows[inferences * self._stride :]
        inputs = rows[: inferences * self._stride].reshape(inferences, 1, self._stride, contract.FEATURE_CHANNELS)
        probabilities = np.empty(inferences, np.uint8)
        for index in range(inferences):
            self._interpreter.set_tensor(self._input, inputs[index])
            self._interpreter.invoke()
            probabilities[index] = self._interpreter.get_tensor(self._output)[0, 0]
        return probabilities


def engine_words(engine: str) -> str:
    """What a simulation's figures must say of its engine, in words that follow a comma; empty for an exact one."""
    return "with LiteRT's kernels" if engine == NAME else ""


def _loaded(model: TfliteModel) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    failed: Exception | None = None
    # It says on the terminal which delegate it made, whether it then takes the model or not.
    with stderr_on_failure():
        try:
            interpreter = Interpreter(model_content=model.content, num_threads=1)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            failed = error
    if failed is not None:
        reason = str(failed).strip().splitlines() or [type(failed).__name__]
        raise ConfigError(
            f"{model.source}: LiteRT cannot load the model ({reason[0]}); run mww-verify on it"
        ) from failed
    return interpreter
