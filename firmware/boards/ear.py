"""What a board's own microphone hears, told over the network by a firmware that was built with `--digital`: the very
samples that its detection hears, numbered as its detections are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from firmware.boards.board import BoardGone
from firmware.boards.microphone_link import LISTEN, Delivered, EarBlock, MicrophoneAddress, Progress
from firmware.boards.open_link import OpenLink, probabilities
from wakeword.errors import InfrastructureError

MUTE_SECONDS = 5.0
"""A microphone that gives nothing for so long gives nothing."""
ALIVE_SECONDS = 2.5
"""A board that is listened to says something every second; one that said nothing for so long is not reached."""
SETTLE_MS = 1000
"""A driver that starts gives what it has at once; the rate is counted from then on."""
SHORTEST_RATE_MS = 2000
MOST_TIMES = 4096
"""Of the board's clock that are kept, however long it is listened to."""


class MicrophoneMute(InfrastructureError):
    """The board is there, and its microphone gives no samples."""


@dataclass(frozen=True)
class EarFacts:
    """How the sound came."""

    samples: int
    """That arrived here."""
    lost: int
    """That the board threw away because the network did not take what it told: the sound has gaps."""
    slow: int
    """That it threw away because detection was too slow: gaps too."""
    unheard: int
    """That detection did not get: it did not run."""
    rate: float | None
    """Samples a second by the board's clock; None where it was not heard for long enough."""


@dataclass(frozen=True)
class BlockFacts:
    """How far the sound was when a block of it came."""

    samples: int
    """That had arrived here with it."""
    came: int
    """That the microphone had given, those that were thrown away included."""
    lost: int
    """Of them thrown away, for either reason."""


class BoardEar:
    """An async context manager: within it, the board's detection hears its own microphone, and `take` every block of
    it, int16 `[samples]`, in order.
    """

    def __init__(self, address: MicrophoneAddress, take: Callable[[NDArray[np.int16]], None]) -> None:
        self._address, self._take = address, take
        self._link: OpenLink | None = None
        self._progress = Progress()
        self._samples = self._lost = self._slow = self._came = 0
        self._clock: list[tuple[int, int]] = []
        self._spacing_ms = 10

    async def __aenter__(self) -> Self:
        self._link = await OpenLink.to(self._address, self._told)
        self._link.link.send(LISTEN)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._link is not None:
            await self._link.close()

    @property
    def position(self) -> int:
        """Samples that detection has decided on."""
        return self._progress.decided

    @property
    def samples(self) -> int:
        """That arrived here."""
        return self._samples

    @property
    def facts(self) -> EarFacts:
        """So far."""
        return EarFacts(self._samples, self._lost, self._slow, self._progress.refused, self._rate())

    @property
    def block(self) -> BlockFacts:
        """Of the latest block; `take` may ask for it."""
        return BlockFacts(self._samples, self._came, self._lost + self._slow)

    def probabilities(self, model: int) -> NDArray[np.uint8]:
        """Every probability that the board has told, of the model that the firmware names at this place: uint8
        `[inferences]`.
        """
        return probabilities({} if self._link is None else self._link.traces, model)

    async def hear(self, samples: int) -> None:
        """Return when so many samples have arrived and were decided on, as far as detection runs.

        Raises `MicrophoneMute` where the board is there and its microphone never gave anything, `BoardGone` where
        nothing more comes, and what `take` raised.
        """
        await self._until(lambda: self._samples >= samples)
        # Detection is behind by what its ring buffer holds; where it does not run, it is told so at once.
        await self._until(lambda: self._progress.decided + self._progress.refused >= samples)

    async def _until(self, reached: Callable[[], bool]) -> None:
        assert self._link is not None, "within the context only"
        before, since = self._samples, time.monotonic()
        while not reached():
            if self._link.failed is not None:
                raise self._link.failed
            if self._link.gone:
                raise BoardGone(f"board {self._address.name!r}: {self._link.gone}")
            if self._samples != before:
                before, since = self._samples, time.monotonic()
            if (left := since + MUTE_SECONDS - time.monotonic()) <= 0:
                raise self._silence(time.monotonic() - self._link.told_at)
            await self._link.news(left)

    def _silence(self, unheard: float) -> InfrastructureError:
        """Why nothing comes; the board has said nothing at all for so many seconds."""
        board = f"board {self._address.name!r}"
        if unheard > ALIVE_SECONDS:
            return BoardGone(f"{board}: nothing came from it for {MUTE_SECONDS:g} s; check its network and its power")
        if self._samples:
            return BoardGone(
                f"{board}: it answers, but no sound came for {MUTE_SECONDS:g} s: its detection hangs, or its microphone"
                " stopped; look at its log"
            )
        return MicrophoneMute(f"{board}: its microphone gives no samples; check its wires, and the pins of its target")

    def _told(self, told: Progress | EarBlock | Delivered) -> None:
        if isinstance(told, EarBlock):
            self._hear(told)
        elif isinstance(told, Progress):
            self._progress = told

    def _hear(self, told: EarBlock) -> None:
        samples = np.frombuffer(told.samples, "<i2").astype(np.int16)
        self._samples += len(samples)
        self._lost, self._slow, self._came = told.lost, told.slow, told.came
        if not self._clock or (told.came_at_ms - self._clock[-1][0]) % (1 << 32) >= self._spacing_ms:
            self._clock.append((told.came_at_ms, told.came))
        if len(self._clock) > MOST_TIMES:
            self._clock, self._spacing_ms = self._clock[::2], 2 * self._spacing_ms
        self._take(samples)

    def _rate(self) -> float | None:
        if not self._clock:
            return None
        start = self._clock[0][0]
        points = [((at - start) % (1 << 32), came) for at, came in self._clock]
        settled = np.array([point for point in points if point[0] >= SETTLE_MS], np.float64)
        if len(settled) < 2 or settled[-1, 0] - settled[0, 0] < SHORTEST_RATE_MS:
            return None
        return float(np.polyfit(settled[:, 0] / 1000, settled[:, 1], 1)[0])
