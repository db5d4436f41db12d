"""A device that hears block by block: the frontend, engine and detector of the simulated board, slice by slice.

What `mww-simulate --mode stream` gives for a whole recording, this gives while it is heard, since each part keeps its
state from block to block. The noise of a microphone that a simulation may add (`--noise-floor`) is not added: what is
heard here comes from a microphone, which brings its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.detector import Detection, Detector
from wakeword.device_model import DeviceModel
from wakeword.engines import open_engine
from wakeword.frontend import open_frontend


@dataclass(frozen=True)
class Heard:
    """What a device made of one block. `averages[i]` belongs to `probabilities[i]`."""

    first_inference: int
    """Number of the first of these inferences since boot, from 0."""
    probabilities: NDArray[np.uint8]
    averages: NDArray[np.float64]
    """What the device compares with the cutoff, on its scale of 0 to 255: the sum of the window over its size."""
    detections: tuple[Detection, ...]
    hold_off: int
    """Slices below the cutoff that must pass before a detection is possible, at the end of the block."""


class LiveDevice:
    """One device since boot."""

    def __init__(self, model: DeviceModel) -> None:
        """Raises `ConfigError` where the model cannot be run."""
        self.model = model
        self.step_ms = model.manifest.micro.feature_step_size
        self._engine, _ = open_engine(model.model)
        self._frontend = open_frontend(self.step_ms)
        self._detector = Detector(model.point.cutoff, model.point.window)
        self._slices, self._inferences = 0, 0

    @property
    def engine(self) -> str:
        """Which engine computes; all of TFLM's arithmetic, bit for bit."""
        return self._engine.name

    @property
    def stride(self) -> int:
        """Slices an inference."""
        return self._engine.stride

    def seconds_of(self, inference: int) -> float:
        """Sound that was heard at an inference, by its number since boot."""
        return contract.slice_end_seconds((inference + 1) * self.stride - 1, self.step_ms)

    def hear(self, samples: NDArray[np.int16]) -> Heard:
        """Take the next 16 kHz samples, int16 `[n]`."""
        features = contract.quantise(self._frontend.process(samples))
        probabilities = self._engine.run(features)
        averages = np.zeros(len(probabilities))
        detections: list[Detection] = []
        done = 0
        for _ in range(len(features)):
            self._slices += 1
            probability = None
            if self._slices % self.stride == 0:
                probability = int(probabilities[done])
                done += 1
            detection = self._detector.step(probability)
            if detection is not None:
                detections.append(replace(detection, step_ms=self.step_ms))
            if probability is not None:
                # A detection empties the window; what was compared is the average that it tells.
                compared = self._detector.total / self.model.point.window
                averages[done - 1] = compared if detection is None else detection.average
        assert done == len(probabilities)
        heard = Heard(self._inferences, probabilities, averages, tuple(detections), self._detector.hold_off)
        self._inferences += done
        return heard
