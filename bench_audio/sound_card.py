"""A real loudspeaker and a real microphone as calibration uses them: one signal played whole while the microphone is
recorded.
"""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bench_audio.devices import FULL_SCALE, Device, open_stream, start_stream, to_int32
from bench_audio.duplex import DeviceFacts, MicrophoneRecording, Source
from wakeword.errors import InfrastructureError

_LEAD_SECONDS = 0.5
"""Recorded before anything is played: some devices begin with rubbish or silence."""
_SILENT_SECONDS = 5.0
"""An audio system that calls for so long no more is gone."""


class SoundCard:
    """A `Duplex` of two devices, which may be two sides of one, each at its own rate and with its own clock."""

    def __init__(self, speaker: Device, microphone: Device) -> None:
        self._speaker = speaker
        self._microphone = microphone

    @property
    def source(self) -> Source:
        """Sound goes out of the program and comes back."""
        return "measured"

    @property
    def speaker(self) -> DeviceFacts:
        """The loudspeaker."""
        return _facts(self._speaker)

    @property
    def microphone(self) -> DeviceFacts:
        """The microphone."""
        return _facts(self._microphone)

    def play(self, samples: NDArray[np.float32], tail_seconds: float) -> MicrophoneRecording:
        """Play and record; see `Duplex`.

        Raises `InfrastructureError` when a device does not open, or is gone for 5 s.
        """
        with _OpenMicrophone(self._microphone) as microphone:
            microphone.wait(_LEAD_SECONDS)
            return microphone.recording(_Playback(self._speaker, to_int32(samples)).play(microphone, tail_seconds))

    def record(self, seconds: float) -> MicrophoneRecording:
        """Record; see `Duplex`. Raises `InfrastructureError` as `play` does."""
        with _OpenMicrophone(self._microphone) as microphone:
            microphone.wait(_LEAD_SECONDS)
            microphone.drop()
            microphone.wait(seconds)
            return microphone.recording(())


class _OpenMicrophone:
    """The microphone while it is open."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._blocks: queue.SimpleQueue[tuple[NDArray[np.int32], bool]] = queue.SimpleQueue()
        self._kept: list[NDArray[np.int32]] = []
        self._overflows = 0
        self._stream: Any = None

    def __enter__(self) -> Self:
        self._stream = open_stream(self._device, self._take, lambda: None)
        start_stream(self._device, self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self._device.rate

    def wait(self, seconds: float) -> None:
        """Return when so much more has come in."""
        missing = round(seconds * self._device.rate)
        while missing > 0:
            missing -= self.take_block()

    def take_block(self) -> int:
        """Keep the next block; return its samples."""
        try:
            block, overflow = self._blocks.get(timeout=_SILENT_SECONDS)
        except queue.Empty:
            raise InfrastructureError(
                f"{self._device.word} gives no sound any more; see that it is plugged in, then begin again"
            ) from None
        self._kept.append(block)
        self._overflows += overflow
        return block.size

    def drop(self) -> None:
        """Drop what was recorded."""
        self._kept, self._overflows = [], 0

    def recording(self, faults: tuple[str, ...]) -> MicrophoneRecording:
        samples = (np.concatenate(self._kept) / FULL_SCALE).astype(np.float32)
        return MicrophoneRecording(samples, self._device.rate, (*faults, *["input overflow"] * self._overflows))

    def _take(self, block: NDArray[np.int32], _frames: int, _times: Any, status: Any) -> None:
        self._blocks.put((block[:, 0].copy(), bool(status.input_overflow)))


class _Playback:
    """One signal on its way out, and silence after it: what stops at once may lose what the audio system
    still holds."""

    def __init__(self, device: Device, samples: NDArray[np.int32]) -> None:
        self._device = device
        self._samples = samples
        self._position = 0
        self._underflows = 0
        self._handed = threading.Event()
        self._ended = threading.Event()

    def play(self, microphone: _OpenMicrophone, tail_seconds: float) -> tuple[str, ...]:
        """Play while `microphone` records, until `tail_seconds` after the end; return the faults that the audio system
        reported.
        """
        stream = open_stream(self._device, self._fill, self._ended.set)
        start_stream(self._device, stream)
        try:
            recorded = 0
            longest = 2 * self._samples.size / self._device.rate + _SILENT_SECONDS
            while not self._handed.is_set():
                recorded += microphone.take_block()
                if self._ended.is_set() or recorded > longest * microphone.rate:
                    raise InfrastructureError(
                        f"{self._device.word} does not take its samples any more; see that it is plugged in, then begin"
                        " again"
                    )
            microphone.wait(float(stream.latency) + tail_seconds)
        finally:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)
        return ("output underflow",) * self._underflows

    def _fill(self, block: NDArray[np.int32], frames: int, _times: Any, status: Any) -> None:
        self._underflows += bool(status.output_underflow)
        part = self._samples[self._position : self._position + frames]
        self._position += part.size
        block[: part.size, 0] = part
        block[part.size :] = 0
        if self._position == self._samples.size:
            self._handed.set()


def _facts(device: Device) -> DeviceFacts:
    return DeviceFacts(device.name, device.host_api, device.rate)
