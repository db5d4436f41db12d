"""A microphone whose sound is taken as it comes: at 16 kHz, into a file that is whole at every moment, and to whoever
listens.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bench_audio.devices import FULL_SCALE, LATENCY_SECONDS, Device, open_stream, prefer_this_thread, start_stream
from bench_audio.playback.player import SILENT_SECONDS
from bench_audio.playback.resampling import Resampling, Stage
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import InfrastructureError

LARGEST = 32767
OVERDRIVEN = LARGEST << 16
"""The largest sample of 16 bits, and all beyond it that a finer converter has."""
OVERDRIVEN_RUN = 3
"""Samples in a row, as `_has_run` looks for them."""
OVERDRIVEN_EVERY = SAMPLE_RATE_HZ // 2
"""Told no more often than that: what comes meanwhile is void with it."""
HEADER_BYTES = 44
"""What Python's `wave` writes before PCM samples."""


@dataclass(frozen=True)
class CaptureFault:
    """Something that is known before the sound is at 16 kHz."""

    kind: str
    """`overflow`: it had samples that nobody took in time. `overdriven`: full scale at the device's own rate, which is
    not seen any more at 16 kHz."""
    position: int
    """Samples at 16 kHz since the listening began."""


class GrowingWav:
    """A 16 kHz mono int16 WAV file whose header is true after every block, so that a kill leaves a file that every
    program reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("wb")
            self._wav = wave.open(self._file, "wb")  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise InfrastructureError(
                f"{path}: the microphone's sound cannot be kept ({error.strerror}); free space or check the disk"
            ) from error
        self._wav.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))

    def write(self, samples: NDArray[np.int16]) -> None:
        """Append samples `[n]`. Raises `InfrastructureError` when the disk refuses."""
        try:
            self._wav.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())
            self._file.flush()
        except OSError as error:
            raise InfrastructureError(
                f"{self.path}: the microphone's sound cannot be kept ({error.strerror}); free space or check the disk"
            ) from error

    def close(self) -> None:
        """A second call does nothing."""
        with contextlib.suppress(OSError):
            self._wav.close()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Microphone:
    """One microphone, open from `start` to `close`; what it hears goes to a listener from `listen` to `ignore`, and is
    dropped otherwise.

    It stays open between streams, since some devices need more than a second to begin. `stages` change the sound, in
    order, such as a room that is computed.
    """

    def __init__(self, device: Device, *, stages: Sequence[Stage] = (), latency: float = LATENCY_SECONDS) -> None:
        self.device = device
        self._stages = list(stages)
        self._latency = latency
        self._blocks: queue.SimpleQueue[tuple[NDArray[np.int32], bool] | None] = queue.SimpleQueue()
        self._stream: Any = None
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()
        self._listener: Callable[[NDArray[np.int16]], None] | None = None
        self._faults: list[CaptureFault] = []
        self._told = self._heard = 0
        self._closing = False
        self._called = 0.0
        self._preferred = False
        self._failure: InfrastructureError | None = None

    def start(self) -> None:
        """Open the device. Raises `InfrastructureError` when it does not open."""
        self._stream = open_stream(self.device, self._take, self._ended, self._latency)
        self._called = time.monotonic()
        self._worker = threading.Thread(target=self._work, name=f"microphone {self.device.name}", daemon=True)
        self._worker.start()
        start_stream(self.device, self._stream)

    def listen(self, listener: Callable[[NDArray[np.int16]], None]) -> None:
        """From now on give each block to `listener` (int16 `[n]` at 16 kHz), in the microphone's own thread. Counts
        begin at 0.
        """
        with self._lock:
            self._listener, self._heard, self._faults, self._told = listener, 0, [], 0

    def ignore(self) -> None:
        """Give nobody anything any more; when this returns no block is under way."""
        with self._lock:
            self._listener = None

    def check(self) -> None:
        """Raise `InfrastructureError` when the device is gone, or a listener failed."""
        late = time.monotonic() - self._called
        if self._failure is None and self._stream is not None and late > SILENT_SECONDS:
            self._failure = InfrastructureError(
                f"{self.device.word} gave no sound for {late:.0f} s; plug it in, then go on with --resume"
            )
        if self._failure is not None:
            raise self._failure

    @property
    def heard(self) -> int:
        """Samples given to the listener, 16 kHz."""
        return self._heard

    @property
    def latency_seconds(self) -> float:
        """From the air to here, as far as the audio system knows."""
        return float(self._stream.latency) if self._stream is not None else 0.0

    def news(self) -> list[CaptureFault]:
        """Faults since the last call."""
        with self._lock:
            fresh = self._faults[self._told :]
            self._told = len(self._faults)
        return fresh

    def close(self) -> None:
        """Stop. A second call does nothing."""
        self._closing = True
        self.ignore()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)
        if self._worker is not None:
            self._blocks.put(None)
            self._worker.join()
            self._worker = None

    # In the audio system's thread

    def _take(self, block: NDArray[np.int32], _frames: int, _times: Any, status: Any) -> None:
        if not self._preferred:
            self._preferred = True
            prefer_this_thread()
        self._called = time.monotonic()
        self._blocks.put((block[:, 0].copy(), bool(status.input_overflow)))

    def _ended(self) -> None:
        if not self._closing and self._failure is None:
            self._failure = InfrastructureError(
                f"{self.device.word} went away (its stream has ended by itself); plug it in, then go on with --resume"
            )

    # In the worker's

    def _work(self) -> None:
        try:
            self._hear()
        except Exception as error:
            self._failure = InfrastructureError(
                f"{self.device.word}: its sound cannot be taken ({error}); go on with --resume"
            )

    def _hear(self) -> None:
        resampling = Resampling(self.device.rate, SAMPLE_RATE_HZ)
        last = np.zeros(0, np.bool_)
        while (taken := self._blocks.get()) is not None:
            block, overflow = taken
            full = np.concatenate([last, (block >= OVERDRIVEN) | (block <= -OVERDRIVEN)])
            last = full[-(OVERDRIVEN_RUN - 1) :]
            # The rooms and filters run on while nobody listens, as the air does.
            sound = resampling.process((block / FULL_SCALE).astype(np.float32))
            for stage in self._stages:
                sound = stage.process(sound)
            samples = np.clip(np.rint(sound * (LARGEST + 1)), -LARGEST - 1, LARGEST).astype(np.int16)
            with self._lock:
                if self._listener is None:
                    continue
                if overflow:
                    self._faults.append(CaptureFault("overflow", self._heard))
                if self.device.rate != SAMPLE_RATE_HZ and _has_run(full):
                    self._note_overdriven()
                try:
                    if len(samples):
                        self._listener(samples)
                except InfrastructureError as error:
                    self._failure, self._listener = error, None
                    continue
                self._heard += len(samples)

    def _note_overdriven(self) -> None:
        earlier = next((one.position for one in reversed(self._faults) if one.kind == "overdriven"), -OVERDRIVEN_EVERY)
        if self._heard - earlier >= OVERDRIVEN_EVERY:
            self._faults.append(CaptureFault("overdriven", self._heard))


def _has_run(full: NDArray[np.bool_]) -> bool:
    return bool((full[2:] & full[1:-1] & full[:-2]).any())


def read_kept(path: Path) -> NDArray[np.int16]:
    """The samples of a file that `GrowingWav` wrote, also of one that a kill cut: int16 `[n]`, read from the disk as
    they are looked at.
    """
    whole = max(path.stat().st_size - HEADER_BYTES, 0) // 2
    if not whole:
        return np.zeros(0, np.int16)
    return np.memmap(path, "<i2", "r", HEADER_BYTES, (whole,))
