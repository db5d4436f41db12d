"""The room that a virtual board's own microphone hears: noise that never ends, and what is played into it, at the speed
of sound.

It is computed sample by sample, so that a test, or somebody who rehearses, knows what the board should say of it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import SAMPLE_RATE_HZ

BLOCK_SAMPLES = 256
FULL_SCALE = 32767
NOISE_DBFS = -62.0
"""White noise of a quiet room with a microphone of middling sensitivity, dB rms against full scale."""


class VirtualRoom:
    """A room with one microphone of two channels. A context manager: within it the room sounds.

    `channel` has the sound, the other one nothing.
    """

    def __init__(
        self,
        path: Path,
        *,
        gain_db: float = 0.0,
        channel: int = 0,
        rate: int = SAMPLE_RATE_HZ,
        noise_dbfs: float = NOISE_DBFS,
        seed: int = 0,
    ) -> None:
        """A room at the socket of a virtual board.

        Args:
            path: Of the socket, `VirtualProgram.room`.
            gain_db: Of the microphone, on what is played; what is too large then is cut off.
            channel: 0 or 1.
            rate: Samples a second that it gives, Hz, whatever the board takes them for.
            noise_dbfs: Level of the noise that it gives, dB rms against full scale.
            seed: Of the noise.
        """
        self._path, self._gain = path, 10 ** (gain_db / 20)
        self._channel, self._rate = channel, rate
        random = np.random.default_rng(seed)
        self._noise = random.normal(0, FULL_SCALE * 10 ** (noise_dbfs / 20), 20 * SAMPLE_RATE_HZ)
        self._at = 0
        self._playing = np.zeros(0)
        self._lock = threading.Lock()
        self._silent = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sound, name="virtual room", daemon=True)
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._listener.bind(str(self._path))
        self._listener.listen(1)
        self._listener.settimeout(0.1)
        self._silent.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def play(self, samples: NDArray[np.int16]) -> None:
        """Play 16 kHz mono samples `[n]` behind what is still played; returns at once."""
        sound = samples.astype(np.float64)
        if self._rate != SAMPLE_RATE_HZ:
            import soxr

            sound = soxr.resample(sound, SAMPLE_RATE_HZ, self._rate)
        with self._lock:
            self._playing = np.concatenate([self._playing, sound])
            self._silent.clear()

    def wait(self, timeout: float) -> bool:
        """Whether all that was played has been heard, within so many seconds."""
        return self._silent.wait(timeout)

    def _sound(self) -> None:
        while not self._ended.is_set():
            try:
                line, _ = self._listener.accept()
            except TimeoutError:
                continue
            with line, contextlib.suppress(OSError):
                self._heard_by(line)

    def _heard_by(self, line: socket.socket) -> None:
        line.settimeout(1.0)
        due = time.monotonic()
        while not self._ended.is_set():
            line.sendall(self._block().tobytes())
            due += BLOCK_SAMPLES / self._rate
            time.sleep(max(0.0, due - time.monotonic()))

    def _block(self) -> NDArray[np.int16]:
        """The next frames `[BLOCK_SAMPLES, 2]`."""
        block = self._noise[(self._at + np.arange(BLOCK_SAMPLES)) % len(self._noise)]
        self._at += BLOCK_SAMPLES
        with self._lock:
            part, self._playing = self._playing[:BLOCK_SAMPLES], self._playing[BLOCK_SAMPLES:]
            if not len(self._playing):
                self._silent.set()
        block[: len(part)] += self._gain * part
        frames = np.zeros((BLOCK_SAMPLES, 2), "<i2")
        frames[:, self._channel] = np.clip(np.rint(block), -FULL_SCALE, FULL_SCALE)
        return frames
