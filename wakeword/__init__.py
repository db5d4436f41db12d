"""The ground floor: what every wake-word device does, in software. From Python:
`wakeword.simulate("alexa.json", "evening.flac")`; see docs/python.md.

The names in `__all__` are public and are kept; they are imported when they are first used, so that commands start at
once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wakeword.api import curve, detections, features, probabilities, simulate
    from wakeword.detector import Detection
    from wakeword.device_model import DeviceModel, load_model
    from wakeword.scoring.det import DetCurve
    from wakeword.simulation.board import Simulation
    from wakeword.simulation.streams import SimulatedStream

__all__ = [
    "DetCurve",
    "Detection",
    "DeviceModel",
    "SimulatedStream",
    "Simulation",
    "curve",
    "detections",
    "features",
    "load_model",
    "probabilities",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("wakeword.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
