"""Running a model over features: the reference interpreter, and an exact time-batched evaluation.

One small protocol.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError
from wakeword.model.flatbuffer import TfliteModel

EngineChoice = Literal["auto", "unrolled", "reference"]


class Engine(Protocol):
    """A model with its streaming state. Two engines of the same model give the same probabilities, bit for bit."""

    @property
    def name(self) -> str:
        """`reference` or `unrolled`, as written into results."""
        ...

    @property
    def stride(self) -> int:
        """Feature slices per inference."""
        ...

    def reset(self) -> None:
        """Back to the state after boot: variables at their zero point, no slice pending."""
        ...

    def run(self, features: NDArray[np.int8]) -> NDArray[np.uint8]:
        """Feed slices `[n, 40]` and return one probability per completed stride, `[(pending + n) // stride]`.

        Slices that do not complete a stride stay pending for the next call, as on the device.
        """
        ...


def open_engine(model: TfliteModel, choice: EngineChoice = "auto") -> tuple[Engine, str]:
    """The engine for a model, and why it is the reference where the faster one was not refused by the user.

    `auto` and `unrolled` take the unrolled engine; a graph that it does not compute exactly falls back to the
    reference, and the second value names the reason (empty otherwise). Raises `ConfigError` when the model cannot be
    loaded, or has not the types of a device's model.
    """
    taken, given = (model.main.tensors[ends[0]].type_name for ends in (model.main.inputs, model.main.outputs))
    if (taken, given) != ("INT8", "UINT8"):
        raise ConfigError(
            f"{model.source}: takes {taken} and gives {given}, and a device needs INT8 and UINT8; give a model that"
            " mww-verify passes"
        )
    from wakeword.engines.kernels import UnsupportedGraph
    from wakeword.engines.unrolled import UnrolledEngine

    if choice == "reference":
        return _reference(model), ""
    try:
        return UnrolledEngine(model), ""
    except UnsupportedGraph as reason:
        return _reference(model), f"the model has {reason}, which only the reference engine computes"


def _reference(model: TfliteModel) -> Engine:
    from wakeword.engines.reference import ReferenceEngine, arena_bytes
    from wakeword.model.arena_host import try_model

    # A damaged model can crash the interpreter, and this process with it: a child tries first.
    trial = try_model(model.content, arena_bytes(model))
    if not trial.passed:
        raise ConfigError(f"{model.source}: tflite-micro cannot run the model ({trial.detail}); run mww-verify on it")
    return ReferenceEngine(model)
