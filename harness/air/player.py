"""Sound to a board through the air: a loudspeaker plays the schedule, and a microphone hears what comes of it.

A virtual board hears with that microphone: what arrives is handed to it as it arrives, in real time, and is kept, so
that the simulation can hear the very same. A real board hears with its own; a microphone beside it is the reference for
alignment and integrity.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firmware.boards.board import Board, BoardGone, Player
from harness.air.settings import AirSettings, find_devices, inverse_filter, no_loudspeaker
from wakeword.contract import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from bench_audio.playback.capture import CaptureFault, GrowingWav, Microphone
    from bench_audio.playback.player import PlaybackFault, Speaker
    from bench_audio.playback.resampling import Stage

SETTLE_SECONDS = 0.5
"""Heard after the last sample has left the queue and all known latencies are over; the guard time that ends a leg is
longer."""


class AirPlayer:
    """A `Player` through the air.

    `feed` takes what the microphone hears right to the board; None for a board that hears with a microphone of its own.
    Where a device goes away the session ends: `InfrastructureError`.
    """

    def __init__(self, settings: AirSettings, feed: Player | None = None, stages: Sequence[Stage] = ()) -> None:
        self._settings, self._feed = settings, feed
        self._stages = [*stages, *_room(settings)]
        self._speaker: Speaker | None = None
        self._microphone: Microphone | None = None
        self._path: Path | None = None
        self._recording: GrowingWav | None = None
        self._blocks: asyncio.Queue[NDArray[np.int16]] = asyncio.Queue()
        self._pump: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._listening = False

    @property
    def position(self) -> int:
        """Samples that a virtual board has decided on, of what its microphone heard; for a real one, that have left the
        loudspeaker.
        """
        if self._feed is not None:
            return self._feed.position
        return self._speaker.position if self._speaker is not None else 0

    def news(self) -> list[dict[str, Any]]:
        """See `Player.news`."""
        told: list[dict[str, Any]] = []
        if self._speaker is not None:
            told += [_fault("speaker", one, samples=one.samples) for one in self._speaker.news()]
            moment = self._speaker.moment
            if moment is not None:
                told.append({"event": "moment", "heard_at": moment.t, "at": moment.position})
        if self._microphone is not None:
            told += [_fault("microphone", one, samples=0) for one in self._microphone.news()]
        return told

    def facts(self) -> dict[str, Any]:
        """See `Player.facts`."""
        if self._speaker is None:
            return {}
        peak = self._speaker.true_peak_dbfs
        facts: dict[str, Any] = {
            "speaker": self._speaker.device.name,
            "speaker_rate": self._speaker.device.rate,
            "true_peak_dbfs": round(peak, 2) if np.isfinite(peak) else None,
        }
        if self._microphone is not None:
            facts |= {"microphone": self._microphone.device.name, "microphone_rate": self._microphone.device.rate}
        return facts

    async def restart_stream(self, keep: Path | None = None) -> None:
        """See `Player.restart_stream`. The board hears from the first `play` on: what it heard while detection is made
        ready would be no part of a stream.
        """
        self._path = keep
        await self._end_stream()
        await self._begin()
        if self._feed is not None:
            await self._feed.restart_stream()

    async def play(self, samples: NDArray[np.int16]) -> None:
        """See `Player.play`. Raises `InfrastructureError` when a device is gone."""
        if self._speaker is None:
            await self._begin()
        assert self._speaker is not None
        if not self._listening:
            self._listen()
        self._check()
        await asyncio.to_thread(self._speaker.write, samples)
        self._check()

    async def drain(self) -> None:
        """See `Player.drain`: all was played, has arrived, and was decided on."""
        if self._speaker is None or not self._listening:
            return
        await asyncio.to_thread(self._speaker.finish)
        rest = self._speaker.latency_seconds + SETTLE_SECONDS
        if self._microphone is None:
            await asyncio.sleep(rest)
            return
        until = self._microphone.heard + round((rest + self._microphone.latency_seconds) * SAMPLE_RATE_HZ)
        while self._microphone.heard < until:
            self._check()
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._arrived.wait()
        await asyncio.to_thread(self._microphone.ignore)
        await self._all_fed()
        if self._feed is not None:
            await self._feed.drain()

    async def close(self) -> None:
        """See `Player.close`."""
        await self._end_stream()
        speaker, self._speaker, microphone, self._microphone = self._speaker, None, self._microphone, None
        for device in (speaker, microphone):
            if device is not None:
                await asyncio.to_thread(device.close)
        if self._feed is not None:
            await self._feed.close()

    async def _begin(self) -> None:
        await asyncio.to_thread(self._open)
        assert self._speaker is not None
        self._speaker.begin()
        self._listening = False

    def _open(self) -> None:
        from bench_audio.devices import look_again
        from bench_audio.playback.capture import Microphone
        from bench_audio.playback.player import Speaker

        if self._speaker is not None:
            return
        look_again()
        out, microphone = find_devices(self._settings)
        if microphone is not None:
            self._microphone = Microphone(microphone, stages=self._stages)
            self._microphone.start()
        equalizer = inverse_filter(self._settings)
        self._speaker = Speaker(
            out, gain_db=self._settings.gain_db, filter_taps=None if equalizer is None else equalizer.taps
        )
        self._speaker.start()

    def _listen(self) -> None:
        self._listening = True
        if self._microphone is None:
            return
        from bench_audio.playback.capture import GrowingWav

        self._recording = GrowingWav(self._path) if self._path is not None else None
        self._pump = asyncio.create_task(self._feed_blocks(), name="microphone")
        self._microphone.listen(self._take(asyncio.get_running_loop(), self._recording))

    def _take(
        self, loop: asyncio.AbstractEventLoop, recording: GrowingWav | None
    ) -> Callable[[NDArray[np.int16]], None]:
        def listener(samples: NDArray[np.int16]) -> None:
            if recording is not None:
                recording.write(samples)
            loop.call_soon_threadsafe(self._blocks.put_nowait, samples)

        return listener

    async def _feed_blocks(self) -> None:
        while True:
            samples = await self._blocks.get()
            try:
                if self._feed is not None:
                    await self._feed.play(samples)
            finally:
                self._blocks.task_done()
                self._arrived.set()

    async def _all_fed(self) -> None:
        """Everything that the microphone gave is with the board, or the board is gone."""
        if self._pump is None:
            return
        await asyncio.sleep(0)  # what the microphone's thread has handed over is in the queue then
        fed = asyncio.create_task(self._blocks.join())
        await asyncio.wait([fed, self._pump], return_when=asyncio.FIRST_COMPLETED)
        fed.cancel()
        self._check()

    def _check(self) -> None:
        if self._microphone is not None:
            self._microphone.check()
        if self._pump is not None and self._pump.done():
            self._pump.result()

    async def _end_stream(self) -> None:
        if self._microphone is not None:
            await asyncio.to_thread(self._microphone.ignore)
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            # A board that went away was told of where it was played to.
            with contextlib.suppress(asyncio.CancelledError, BoardGone):
                await pump
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()
        self._blocks = asyncio.Queue()


def open_player(board: Board, settings: AirSettings | None) -> Player:
    """The way of the sound to a board: through the air, or without settings for it straight to a board that is fed.
    Raises `ConfigError` for another board.
    """
    feed = board.feed()
    if settings is not None:
        return AirPlayer(settings, feed)
    if feed is None:
        raise no_loudspeaker(board.entry)
    return feed


def _fault(side: str, fault: PlaybackFault | CaptureFault, *, samples: int) -> dict[str, Any]:
    return {"event": "fault", "side": side, "what": fault.kind, "at": fault.position, "samples": samples}


def _room(settings: AirSettings) -> list[Stage]:
    if settings.room is None:
        return []
    from bench_audio.synthetic_room import ConvolutionStage, Room

    return [
        ConvolutionStage(
            Room(settings.room.rt60_seconds, settings.room.seed, noise_dbfs=settings.room.noise_dbfs), SAMPLE_RATE_HZ
        )
    ]
