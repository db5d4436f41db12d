"""One microphone at one page: what comes in, what a device makes of it, and the recording of it since boot."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.live.device import Heard, LiveDevice
from studio.live.incoming import SILENT_DBFS, IncomingSound, Level
from studio.live.kept import KeptSound
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.detector import Detection
from wakeword.device_model import DeviceModel
from wakeword.errors import ConfigError

MOST_SECONDS = 3600.0
"""A recording is bounded: after so long the device boots anew and the recording with it. So what is kept is always the
whole stream since boot, which a simulation hears as the device did."""


AVERAGES_KEPT = 8192
"""Inferences of which the averages are kept: about two minutes of a model with one every 20 ms."""


@dataclass(frozen=True)
class Update:
    """What a block brought."""

    seconds: float
    """Sound since boot."""
    level: Level
    heard: Heard | None
    """None without a model."""
    booted: bool
    """Whether the device booted anew before this block, since the recording was full."""


class LiveListening:
    """A device, or none, and the recording of what it heard. Not for several threads at once."""

    def __init__(
        self,
        model: DeviceModel | None,
        sample_rate: int,
        folder: Path | None = None,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        """The recording is kept on the disk of `folder`, see `KeptSound`. Raises `ConfigError` for a sample rate that
        no browser has, and for a model that cannot be run.
        """
        self._folder = folder
        self._incoming = IncomingSound(sample_rate)
        self._model, self._most = model, round(most_seconds * SAMPLE_RATE_HZ)
        self.finished, self._stopped = False, False
        self._boot()

    @property
    def sample_rate(self) -> int:
        """Of the browser's microphone."""
        return self._incoming.sample_rate

    def _boot(self) -> None:
        self.device = None if self._model is None else LiveDevice(self._model)
        self.kept = KeptSound(self._folder)
        self.detections: list[Detection] = []
        self._averages: deque[tuple[float, float]] = deque(maxlen=AVERAGES_KEPT)

    def hear(self, block: bytes) -> Update:
        """Take the browser's next samples, little-endian float32. Raises `ConfigError` as `IncomingSound.take` does,
        and `OSError` when the disk is full, after which nothing more is heard.
        """
        if self.finished:
            raise ConfigError("this listening was stopped; start another one")
        samples, level = self._incoming.take(block)
        booted = self.kept.samples + len(samples) > self._most
        if booted:
            self.kept.close()
            self._boot()
        return self._take(samples, level, booted=booted)

    def finish(self) -> Update:
        """Stop: what the resampler still held is heard too, and the recording is whole. After a full disk nothing
        follows what was kept. Raises `ConfigError` for a second stop.
        """
        if self._stopped:
            raise ConfigError("this listening was stopped already; start another one")
        rest = np.zeros(0, np.int16) if self.finished else self._incoming.finish()
        self.finished = self._stopped = True
        return self._take(rest, Level(SILENT_DBFS, 0.0), booted=False)

    def _take(self, samples: NDArray[np.int16], level: Level, *, booted: bool) -> Update:
        try:
            if len(samples):
                self.kept.add(samples)
        except OSError:
            # What is kept would no longer be what the device heard.
            self.finished = True
            raise
        heard = None if self.device is None else self.device.hear(samples)
        if heard is not None:
            self.detections += heard.detections
            assert self.device is not None
            for place, average in enumerate(heard.averages.tolist(), heard.first_inference):
                self._averages.append((self.device.seconds_of(place), average))
        return Update(self.kept.seconds, level, heard, booted)

    def verdict(self, since: float) -> tuple[bool | None, float | None]:
        """Whether anything was detected since a moment, and the highest average since then (0 to 255); None without a
        model. It reaches back `AVERAGES_KEPT` inferences.
        """
        if self.device is None:
            return None, None
        detected = any(one.seconds >= since for one in self.detections)
        compared = [average for seconds, average in self._averages if seconds >= since]
        compared += [float(one.average) for one in self.detections if one.seconds >= since]
        return detected, max(compared, default=0.0)

    def around(self, second: float, before: float, after: float) -> NDArray[np.int16]:
        """What was heard around a moment since boot, int16 `[n]`. Raises `ConfigError` where that is nothing."""
        sound = self.kept.read(round((second - before) * SAMPLE_RATE_HZ), round((second + after) * SAMPLE_RATE_HZ))
        if not len(sound):
            raise ConfigError(f"nothing was heard around {second:.1f} s; listen first")
        return sound

    def close(self) -> None:
        """Forget what was heard."""
        self.kept.close()
