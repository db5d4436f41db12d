"""Audio to features: the device's own microfrontend, and the int8 values that its model sees.

Two implementations give the same bits: the C library of pymicro-features, slice by slice, for sound that comes piece by
piece, and `wakeword.microfrontend`, hundreds of slices at once, for recordings.
"""

from __future__ import annotations

from array import array
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.microfrontend import MICROFRONTEND_ID, Microfrontend

FRONTEND_ID = "pymicro-features-2.0.2"
"""Names the frontend's arithmetic in cache keys and results, whichever implementation computed it; the version is
pinned in pyproject.toml.
"""


class AnyFrontend(Protocol):
    """The recursive frontend of one stream, at whatever step."""

    def process(self, samples: NDArray[np.int16]) -> NDArray[np.uint16]:
        """Feed 16 kHz mono samples `[n]` and return the slices that they complete, uint16 `[slices, 40]`."""
        ...


def open_frontend(step_ms: int) -> AnyFrontend:
    """A frontend for a stream that comes in pieces of less than a second: the device's C library at its 10 ms, the same
    arithmetic in NumPy at another step.
    """
    return Frontend() if step_ms == contract.STEP_MS else open_recording_frontend(step_ms)


def open_recording_frontend(step_ms: int = contract.STEP_MS, threads: int = 1) -> Microfrontend:
    """A frontend for a stream that is recorded: the larger its pieces, the faster."""
    return Microfrontend(contract.step_samples(step_ms), threads)


def frontend_id(step_ms: int) -> str:
    """Names the arithmetic and the step of `open_frontend` in cache keys."""
    if step_ms == contract.STEP_MS:
        return FRONTEND_ID
    return f"{MICROFRONTEND_ID} {step_ms} ms"


_STEPS_BEFORE_A_SLICE = contract.WINDOW_SAMPLES // contract.STEP_SAMPLES - 1
"""Steps that fill the first window without completing it."""


class Frontend:
    """The recursive frontend of one stream. Features depend on everything since the stream began.

    Digital silence leaves the noise estimate where a reset put it, at zero, and its features are zero. So of the zeros
    that a stream begins with only those that fill the first window are computed; the values are the same, which a test
    shows.
    """

    def __init__(self) -> None:
        from pymicro_features import MicroFrontend

        self._frontend = MicroFrontend()
        self.reset()

    def reset(self) -> None:
        """Begin a new stream: forget the noise estimate and the samples of an unfinished window."""
        self._frontend.reset()
        self._pending = np.zeros(0, np.int16)
        self._silent_steps, self._heard_sound = 0, False

    def process(self, samples: NDArray[np.int16]) -> NDArray[np.uint16]:
        """Feed 16 kHz mono samples `[n]` and return the slices that they complete, uint16 `[slices, 40]`."""
        joined = np.concatenate([self._pending, samples.astype(np.int16, copy=False)])
        steps = joined[: len(joined) - len(joined) % contract.STEP_SAMPLES].reshape(-1, contract.STEP_SAMPLES)
        self._pending = joined[steps.size :].copy()
        silent = self._silence_before_sound(steps)
        needed = min(silent, max(0, _STEPS_BEFORE_A_SLICE - self._silent_steps))
        self._silent_steps += silent
        computed = self._compute(np.concatenate([steps[:needed], steps[silent:]]))
        return np.concatenate([np.zeros((silent - needed, contract.FEATURE_CHANNELS), np.uint16), computed])

    def _silence_before_sound(self, steps: NDArray[np.int16]) -> int:
        """How many of the first steps continue the silence that the stream began with."""
        if self._heard_sound:
            return 0
        sound = steps.any(axis=1)
        self._heard_sound = bool(sound.any())
        return int(sound.argmax()) if self._heard_sound else len(steps)

    def _compute(self, steps: NDArray[np.int16]) -> NDArray[np.uint16]:
        # The reader takes at most one step of samples a call, so steps are fed one by one.
        data, size = steps.tobytes(), contract.STEP_SAMPLES * steps.itemsize
        process_samples = self._frontend.process_samples
        values = array("f")
        for start in range(0, len(data), size):
            values.extend(process_samples(data[start : start + size]).features)
        features = np.frombuffer(values, np.float32).reshape(-1, contract.FEATURE_CHANNELS)
        return np.rint(features / np.float32(contract.FLOAT_FEATURE_SCALE)).astype(np.uint16)


def compute_features(samples: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Features of one whole stream from silence: int16 `[n]` to uint16 `[contract.slice_count(n), 40]`."""
    return open_recording_frontend().process(samples)


def device_features(samples: NDArray[np.int16], step_ms: int = contract.STEP_MS) -> NDArray[np.int8]:
    """What the model sees on the device for one whole stream: int8 `[contract.slice_count(n, step_ms), 40]`."""
    return contract.quantise(open_recording_frontend(step_ms).process(samples))
