"""A judge's models, whichever form they have: an int8 model with its ESPHome manifest, or the float weights of a run.

Each takes the device's int8 features as they come and gives a probability for each of its strides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.device_model import load_model
from wakeword.engines import open_engine
from wakeword.errors import ConfigError
from wakeword.model.float_windows import FloatWindows, open_float_windows

MANIFEST_SUFFIX = ".json"
INT8_STEP = 1 / contract.PROBABILITY_MAX
FLOAT_STEP = 2.0**-24
"""What is next to 1 in float32."""


class StreamingModel(Protocol):
    """A model that runs over one clip from its beginning: an `Engine`, or float weights."""

    def reset(self) -> None:
        """Back to the state in which nothing was heard."""
        ...

    def run(self, features: NDArray[np.int8]) -> NDArray[Any]:
        """A probability, 0 to the member's `certain`, for each stride that these slices `[n, 40]` complete."""
        ...


@dataclass(frozen=True)
class Member:
    """One model of a judge."""

    path: Path
    """Of its manifest, or of its weights."""
    sha256: str
    """Of the model's file, or of the weights."""
    kind: Literal["int8", "float"]
    wake_word: str
    step_ms: int
    """From feature slice to slice."""
    stride: int
    window: int
    """Probabilities in a row that are averaged."""
    cutoff: float | None
    """Its own, 0-1; None where it has none."""
    certain: int
    """The value that means a probability of 1."""
    probability_step: float
    """Between two probabilities, 0-1, that it tells apart near 0 and 1."""
    open_model: Callable[[], StreamingModel]


def open_member(path: Path) -> Member:
    """A model by its manifest (.json), by the folder of a run, or by weights in it.

    Raises `ConfigError` for what cannot be read or run, `InfrastructureError` for a run where TensorFlow is missing.
    """
    if path.suffix == MANIFEST_SUFFIX and not path.is_dir():
        return _of_manifest(path)
    if path.suffix == ".tflite":
        raise ConfigError(f"{path}: is a model without its manifest; give the manifest (.json) that names it")
    if not path.exists():
        raise ConfigError(f"{path}: does not exist; give a model's manifest (.json) or the folder of a run")
    return _of_run(open_float_windows(path))


def _of_manifest(path: Path) -> Member:
    model = load_model(path)
    micro = model.manifest.micro
    open_engine(model.model)  # a model that does not run is told of here, not at the first question
    return Member(
        path=path,
        sha256=model.model.sha256,
        kind="int8",
        wake_word=model.manifest.wake_word,
        step_ms=micro.feature_step_size,
        stride=model.model.stride,
        window=micro.sliding_window_size,
        cutoff=micro.probability_cutoff,
        certain=contract.PROBABILITY_MAX,
        probability_step=INT8_STEP,
        open_model=lambda: open_engine(model.model)[0],
    )


def _of_run(windows: FloatWindows) -> Member:
    return Member(
        path=windows.weights,
        sha256=windows.sha256,
        kind="float",
        wake_word=windows.wake_word,
        step_ms=contract.STEP_MS,
        stride=windows.stride,
        window=windows.window,
        cutoff=windows.cutoff,
        certain=1,
        probability_step=FLOAT_STEP,
        open_model=lambda: FloatStream(windows),
    )


class FloatStream:
    """A float model that slides over features: it keeps what the next window begins with."""

    def __init__(self, windows: FloatWindows) -> None:
        self._windows = windows
        self.reset()

    def reset(self) -> None:
        """See `StreamingModel.reset`. Before a clip lies the silence that the device has heard before boot."""
        before = self._windows.slices - self._windows.stride
        self._kept = np.full((before, contract.FEATURE_CHANNELS), contract.INPUT_ZERO_POINT, np.int8)

    def run(self, features: NDArray[np.int8]) -> NDArray[np.float32]:
        """See `StreamingModel.run`."""
        joined = np.concatenate([self._kept, features])
        probabilities = self._windows.run(joined)
        self._kept = joined[len(probabilities) * self._windows.stride :]
        return probabilities
