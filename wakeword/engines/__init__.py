"""Running a model over features: the reference interpreter, an exact time-batched evaluation, and LiteRT.

One small protocol.
"""

from __future__ import annotations

import functools
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError
from wakeword.model.flatbuffer import TfliteModel

EngineChoice = Literal["auto", "unrolled", "reference", "litert"]


class Engine(Protocol):
    """A model with its streaming state. `unrolled` and `reference` give the same probabilities, bit for bit; `litert`
    gives those of another device.
    """

    @property
    def name(self) -> str:
        """`reference`, `unrolled` or `litert`, as written into results."""
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
    loaded, or has not the types of a device's model, `InfrastructureError` where LiteRT is asked for and missing.
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
    if choice == "litert":
        from wakeword.engines.litert import LiteRtEngine

        _try(model)
        return LiteRtEngine(model), ""
    try:
        return UnrolledEngine(model), ""
    except UnsupportedGraph as reason:
        return _reference(model), f"the model has {reason}, which only the reference engine computes"


def _reference(model: TfliteModel) -> Engine:
    from wakeword.engines.reference import ReferenceEngine

    _try(model)
    return ReferenceEngine(model)


def _try(model: TfliteModel) -> None:
    """A damaged model can crash an interpreter, and this process with it: a child tries first."""
    from wakeword.engines.reference import arena_bytes

    _refuse_what_crashes(model.content, arena_bytes(model), model.source)


@functools.lru_cache(maxsize=8)
def _refuse_what_crashes(content: bytes, arena: int, source: str) -> None:
    """What passed once is not tried again."""
    from wakeword.model.arena_host import try_model

    trial = try_model(content, arena)
    if not trial.passed:
        raise ConfigError(f"{source}: tflite-micro cannot run the model ({trial.detail}); run mww-verify on it")
