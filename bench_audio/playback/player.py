"""A loudspeaker that plays a stream without a gap from a queue, and says when there was one.

The audio system calls for samples when it needs them, in a thread of its own; what it calls does nothing but copy.
Positions are samples of the stream at 16 kHz, whatever the device's rate.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench_audio.devices import LATENCY_SECONDS, Device, open_stream, prefer_this_thread, start_stream, to_int32
from bench_audio.playback.resampling import FilterStage, Resampling
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import InfrastructureError

AHEAD_SECONDS = 2.0
"""Queued before a stream begins, and kept: the program may be late by so much."""
SILENT_SECONDS = 5.0
"""An audio system that asks for nothing for so long is gone."""
TRUE_PEAK_OVERSAMPLING = 4
"""ITU-R BS.1770-5, annex 2, at 48 kHz and below."""


@dataclass(frozen=True)
class PlaybackFault:
    """Something that the player itself noticed."""

    kind: str
    """`starved`: the queue was empty, and silence was played. `underflow`: the audio system says that it was late.
    `clipped`: beyond full scale."""
    position: int
    """Samples of the stream, 16 kHz."""
    samples: int
    """Of the stream, 16 kHz; 0 where nobody can say how many."""


@dataclass(frozen=True)
class PlaybackMoment:
    """When a sample leaves the loudspeaker."""

    t: float
    """`time.monotonic` seconds."""
    position: int
    """Samples of the stream, 16 kHz."""


class Speaker:
    """One loudspeaker. `gain_db` is applied to all that is played; not above what the loudest recording allows.

    Calls from several threads are allowed. After `close` nothing works any more.
    """

    def __init__(
        self,
        device: Device,
        *,
        gain_db: float = 0.0,
        filter_taps: NDArray[np.float64] | None = None,
        latency: float = LATENCY_SECONDS,
    ) -> None:
        """`filter_taps` at the device's rate are what all is played through: the inverse filter of a calibration."""
        self.device = device
        self._filter_taps = filter_taps
        self._gain = np.float32(10 ** (gain_db / 20))
        self._latency = latency
        self._ratio = device.rate / SAMPLE_RATE_HZ
        self._change = threading.Condition()
        self._stream: Any = None
        self._closing = False
        self._gone = ""
        self._called = 0.0
        self._preferred = False
        self._reset()

    def _reset(self) -> None:
        self._queue: deque[NDArray[np.int32]] = deque()
        self._queued = self._handed = self._written = 0
        self._flowing = self._finished = False
        self._resampling = Resampling(SAMPLE_RATE_HZ, self.device.rate)
        self._filter = None if self._filter_taps is None else FilterStage(self._filter_taps)
        self._peak = 0.0
        self._last = np.zeros(0, np.float32)
        self._faults: list[PlaybackFault] = []
        self._told = self._silent = 0
        self._moment: PlaybackMoment | None = None

    # The stream

    def start(self) -> None:
        """Open the device; it plays silence until a stream is written. Raises `InfrastructureError` when it does not
        open.
        """
        self._stream = open_stream(self.device, self._fill, self._ended, self._latency)
        self._called = time.monotonic()
        start_stream(self.device, self._stream)

    def begin(self) -> None:
        """Forget what is queued and begin a stream at position 0."""
        with self._change:
            self._reset()

    def write(self, samples: NDArray[np.int16]) -> None:
        """Queue 16 kHz mono samples `[n]`; returns when no more than `AHEAD_SECONDS` wait. Raises `InfrastructureError`
        when the device is gone.
        """
        self._append(self._resampling.process(samples.astype(np.float32) * (self._gain / np.float32(32768))))
        self._written += len(samples)
        self._wait(lambda: self._queued <= AHEAD_SECONDS * self.device.rate)

    def finish(self) -> None:
        """Return when all that was written has been handed to the audio system. Raises `InfrastructureError` when the
        device is gone.
        """
        self._append(self._resampling.process(np.zeros(0, np.float32), last=True))
        with self._change:
            self._finished = self._flowing = True
        self._wait(lambda: self._queued == 0)

    def close(self) -> None:
        """Stop at once. A second call does nothing."""
        with self._change:
            self._closing = True
            stream, self._stream = self._stream, None
            self._change.notify_all()
        if stream is not None:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)

    # What is known of it

    @property
    def position(self) -> int:
        """Samples of the stream that have certainly left the loudspeaker."""
        return max(round((self._handed - self._buffered * self.device.rate) / self._ratio), 0)

    @property
    def latency_seconds(self) -> float:
        """From handing samples over to hearing them, as far as the audio system knows."""
        return self._buffered

    @property
    def true_peak_dbfs(self) -> float:
        """Of the stream so far, four times oversampled; above 0 the converter's filter may clip."""
        return 20 * math.log10(self._peak) if self._peak > 0 else -math.inf

    @property
    def moment(self) -> PlaybackMoment | None:
        """The latest known pair of time and position; None before the stream flows."""
        return self._moment

    def news(self) -> list[PlaybackFault]:
        """Faults since the last call."""
        with self._change:
            fresh = self._faults[self._told :]
            self._told = len(self._faults)
        return fresh

    # In the audio system's thread

    def _fill(self, out: NDArray[np.int32], frames: int, times: Any, status: Any) -> None:
        if not self._preferred:
            self._preferred = True
            prefer_this_thread()
        now = time.monotonic()
        with self._change:
            self._called = now
            filled = self._take(out[:, 0])
            out[filled:, 0] = 0
            if not self._flowing:
                return
            if status.output_underflow:
                self._faults.append(PlaybackFault("underflow", round(self._handed / self._ratio), 0))
            if filled and self._silent:
                # It is known how long a pause was when it is over.
                self._faults.append(
                    PlaybackFault("starved", round(self._handed / self._ratio), round(self._silent / self._ratio))
                )
                self._silent = 0
            if not self._finished:
                self._silent += frames - filled
            if filled:
                delay = times.outputBufferDacTime - times.currentTime
                self._moment = PlaybackMoment(
                    now + (delay if 0 < delay < 2 else self._buffered), round(self._handed / self._ratio)
                )
            self._handed += filled
            self._change.notify_all()

    def _take(self, out: NDArray[np.int32]) -> int:
        filled = 0
        while self._flowing and self._queue and filled < len(out):
            block = self._queue[0]
            part = block[: len(out) - filled]
            out[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) == len(block):
                self._queue.popleft()
            else:
                self._queue[0] = block[len(part) :]
        self._queued -= filled
        return filled

    def _ended(self) -> None:
        with self._change:
            if not self._closing:
                self._gone = "its stream has ended by itself"
            self._change.notify_all()

    # In the caller's

    def _append(self, samples: NDArray[np.float32]) -> None:
        if not len(samples):
            return
        if self._filter is not None:
            samples = self._filter.process(samples)
        self._measure(samples)
        block = to_int32(samples)
        with self._change:
            self._queue.append(block)
            self._queued += len(block)
            if self._queued >= AHEAD_SECONDS * self.device.rate:
                self._flowing = True

    def _measure(self, samples: NDArray[np.float32]) -> None:
        from scipy.signal import resample_poly

        beyond = np.flatnonzero(np.abs(samples) > 1.0)
        if len(beyond):
            at = (self._handed + self._queued + int(beyond[0])) / self._ratio
            with self._change:
                self._faults.append(
                    PlaybackFault("clipped", round(at), math.ceil((int(beyond[-1] - beyond[0]) + 1) / self._ratio))
                )
        # With the end of the block before it, so that no peak hides between two.
        joined = np.concatenate([self._last, samples])
        self._peak = max(self._peak, float(np.abs(resample_poly(joined, TRUE_PEAK_OVERSAMPLING, 1)).max()))
        self._last = samples[-64:]

    @property
    def _buffered(self) -> float:
        stream = self._stream
        return float(stream.latency) if stream is not None else 0.0

    def _wait(self, reached: Callable[[], bool]) -> None:
        with self._change:
            while True:
                if self._closing:
                    raise InfrastructureError(f"{self.device.word} was closed while it played")
                if reached():
                    return
                late = time.monotonic() - self._called
                if not self._gone and late > SILENT_SECONDS:
                    self._gone = f"it has taken no sound for {late:.0f} s"
                if self._gone:
                    raise InfrastructureError(
                        f"{self.device.word} went away ({self._gone}); plug it in, then go on with --resume"
                    )
                self._change.wait(1.0)
