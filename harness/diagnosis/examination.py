"""One board in a diagnosis, from its start to its end: asked, played to, listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from firmware.answers import BENCH_MICROPHONE
from firmware.boards.board import Board, BufferFull
from firmware.boards.ear import BoardEar, MicrophoneMute
from harness.collect.collector import Collector
from harness.collect.raw import read_raw
from harness.collect.witnesses import ArenaProbeFailed, AudioLost, InferenceFailed, parse_fact
from harness.diagnosis.facts import EarResult, Facts, ProbeResult
from harness.diagnosis.hearing import examine_sound
from harness.diagnosis.reference import (
    Probe,
    Reference,
    detected_in,
    quietest_level,
)
from harness.ear.sounding import play_in_room, room_of
from harness.session.journal import RAW_FILE, SessionLog
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.device_model import DeviceModel
from wakeword.errors import InfrastructureError

if TYPE_CHECKING:
    from firmware.virtual.room import VirtualRoom

from harness.diagnosis.request import REHEARSALS, DiagnosisRequest

CONNECT_SECONDS = 60.0
NOISE_SECONDS = 4.0
"""Heard before anything is played: the noise floor, and the rate of the board's clock."""
SETTLE_SECONDS = 0.5
"""What a microphone gives first is often no sound."""
MOST_TRIES = 3
"""Of a probe through the air."""
BEHIND_SECONDS = 1.0
"""Heard behind what was played: a loudspeaker's delay, and the decision."""


@dataclass
class _Gathered:
    """What is gathered on the way."""

    digital: ProbeResult | None = None
    acoustic: ProbeResult | None = None
    ear: EarResult | None = None
    noise: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    simulated: int | None = None
    mute: str = ""
    left_out: dict[str, str] = field(default_factory=dict)


class Examination:
    """One board, from its start to its end."""

    def __init__(
        self,
        request: DiagnosisRequest,
        board: Board,
        candidate: DeviceModel,
        probe: Probe | None,
        reference: Reference | None,
        recordings: list[Path],
        say: Callable[[str], None],
    ) -> None:
        """What is asked for, and all that it is compared with.

        Args:
            request: What the user asked for.
            board: Not started yet.
            candidate: The model that should wake.
            probe: A recording that its simulation detects.
            reference: What its training data is like.
            recordings: Of the wake word.
            say: Takes what a user should read meanwhile.
        """
        self._request, self._board, self._candidate = request, board, candidate
        self._probe, self._reference, self._recordings, self._say = probe, reference, recordings, say
        self._asked = _Gathered()
        self._place: int | None = None
        """Of the model in the firmware; None where another one is on the board."""
        self._raw = request.output / RAW_FILE

    async def run(self) -> Facts:
        """All of it. The board goes on as it was; a program is ended."""
        self._raw.unlink(missing_ok=True)
        await self._board.start()
        try:
            log = SessionLog(self._raw, self._candidate.manifest.wake_word, position=lambda: 0)
            with log:
                async with Collector(self._board.target, log) as collector:
                    return await self._with(collector, log)
        finally:
            await self._board.stop()

    async def _with(self, collector: Collector, log: SessionLog) -> Facts:
        await collector.wait_connected(CONNECT_SECONDS)
        await self._plant(collector)
        identity = await collector.identify()
        candidate = self._candidate
        hashes = [model.sha256 for model in identity.models]
        if candidate.model.sha256 in hashes:
            self._place = hashes.index(candidate.model.sha256)
        if self._probe is None:
            self._asked.left_out["Probes"] = (
                "no recording of the wake word that the simulation detects; give one by --probe, or several by --data"
            )
        if identity.microphone != BENCH_MICROPHONE:
            self._asked.left_out["Microphone"] = (
                "its firmware does not tell what it hears, and takes no samples; build it with mww-firmware build"
                " --digital and flash that"
            )
            await self._through_the_air(collector, log)
        else:
            with room_of(self._board, REHEARSALS[self._request.rehearse] if self._request.rehearse else None) as room:
                await self._listen(collector, log, room)
            if self._asked.ear is not None and self._asked.ear.stopped:
                self._asked.left_out["Probe as samples"] = "detection does not run"
            elif self._probe is not None and self._place is not None:
                self._asked.digital = await self._as_samples(collector, log, self._probe)
        asked, manifest = self._asked, candidate.manifest.micro
        quietest = None
        if asked.ear is not None and not asked.ear.noise.empty and asked.noise.size:
            self._say("simulating the wake word at lower levels")
            known = [self._probe.path] if self._probe is not None else []
            quietest = await asyncio.to_thread(quietest_level, candidate, [*known, *self._recordings], asked.noise)
        # Once more: what arena a model needs is known when it was loaded.
        identity = await collector.identify()
        sensors, logged = _told(self._raw)
        return Facts(
            board=self._board.entry.name,
            wake_word=candidate.manifest.wake_word,
            model_sha256=candidate.model.sha256,
            cutoff=candidate.point.cutoff,
            window=candidate.point.window,
            manifest_arena=manifest.tensor_arena_size,
            cutoff_warning=candidate.point.warning,
            identity=identity,
            sensors=sensors,
            uptime_ms=None if self._board.room is not None else identity.stamp.t_ms,
            faults_logged=logged,
            reference=self._reference,
            quietest_dbfs=quietest,
            digital=asked.digital,
            acoustic=asked.acoustic,
            ear=asked.ear,
            mute=asked.mute,
            ear_simulated=asked.simulated,
            not_looked_at=asked.left_out,
        )

    async def _plant(self, collector: Collector) -> None:
        """The fault of a rehearsal that is the board's."""
        if self._request.rehearse == "disabled":
            for model in (await collector.identify()).models:
                await collector.enable_model(model.model_id, enabled=False)
        elif self._request.rehearse == "stopped":
            await collector.stop_detection()

    async def _as_samples(self, collector: Collector, log: SessionLog, probe: Probe) -> ProbeResult:
        """The probe over the network, in place of the microphone."""
        self._say(f"playing {probe.path.name} to the board as samples")
        player = self._board.feed()
        assert player is not None
        before, trouble, too_slow = log.detections, "", False
        try:
            await player.play(probe.sound)
            await player.drain()
            await collector.flush(CONNECT_SECONDS)
        except InfrastructureError as error:
            trouble, too_slow = str(error), isinstance(error, BufferFull)
        finally:
            heard = self._board.probabilities(self._candidate.model.sha256)
            await player.close()
        peak = None if heard is None else int(heard.max(initial=0))
        return ProbeResult(log.detections > before, peak, probe.peak, trouble, too_slow)

    async def _listen(self, collector: Collector, log: SessionLog, room: VirtualRoom | None) -> None:
        blocks: list[NDArray[np.int16]] = []
        try:
            self._say("listening to what the board's microphone hears: be quiet")
            async with BoardEar(self._board.microphone_address(), blocks.append) as ear:
                await ear.hear(round(NOISE_SECONDS * SAMPLE_RATE_HZ))
                starts = [ear.samples]
                before = log.detections
                played = await self._sounded(room, ear)
                await ear.hear(ear.samples + round(BEHIND_SECONDS * SAMPLE_RATE_HZ))
                await collector.flush(CONNECT_SECONDS)
                # One miss is no fault: a model that hears 95 of 100 misses one of twenty.
                while played and log.detections == before and len(starts) < MOST_TRIES and self._may_detect(ear):
                    starts.append(ear.samples)
                    await self._sounded(room, ear)
                    await ear.hear(ear.samples + round(BEHIND_SECONDS * SAMPLE_RATE_HZ))
                    await collector.flush(CONNECT_SECONDS)
                facts = ear.facts
                own = self._place
                peak = int(ear.probabilities(own).max(initial=0)) if own is not None else None
        except MicrophoneMute as error:
            self._asked.mute = str(error)
            return
        heard = np.concatenate(blocks)
        noise, sound = heard[round(SETTLE_SECONDS * SAMPLE_RATE_HZ) : starts[0]], heard[starts[0] :]
        self._asked.noise = noise
        seconds = self._probe.speech_seconds if played and self._probe is not None else None
        seconds = None if seconds is None else len(starts) * seconds
        self._asked.ear = EarResult(facts, examine_sound(noise), examine_sound(sound, noise, seconds), played)
        if own is not None:
            probabilities, found = await asyncio.to_thread(detected_in, self._candidate, heard)
            self._asked.simulated = tries_with(found, starts)
            expected = self._probe.peak if played and self._probe is not None else int(probabilities.max(initial=0))
            self._asked.acoustic = ProbeResult(log.detections > before, peak, expected, tries=len(starts))

    def _may_detect(self, ear: BoardEar) -> bool:
        """Whether playing the probe once more can tell anything."""
        return self._place is not None and not ear.facts.unheard and self._request.rehearse != "disabled"

    async def _sounded(self, room: VirtualRoom | None, ear: BoardEar) -> bool:
        """Play the probe, or wait for a voice. Whether it was played."""
        probe = self._probe
        if probe is not None and await self._played(room, probe):
            return True
        seconds = self._request.listen_seconds
        self._say(f"say {self._candidate.manifest.wake_word!r} now, where you usually stand: {seconds:g} s")
        await ear.hear(ear.samples + round(seconds * SAMPLE_RATE_HZ))
        return False

    async def _played(self, room: VirtualRoom | None, probe: Probe) -> bool:
        """Whether the probe was played in the board's room; False without a loudspeaker."""
        self._say(f"playing {probe.path.name} in the board's room")
        if await play_in_room(self._board, room, probe.sound, self._request.speaker):
            return True
        self._asked.left_out["Probe through the air"] = "no loudspeaker; name one by --speaker, or in boards.yaml"
        return False

    async def _through_the_air(self, collector: Collector, log: SessionLog) -> None:
        """The probe to a board that tells its detections alone."""
        if self._probe is None:
            return
        before = log.detections
        if await self._played(None, self._probe):
            await asyncio.sleep(BEHIND_SECONDS)
            await collector.flush(CONNECT_SECONDS)
            self._asked.acoustic = ProbeResult(log.detections > before, None, self._probe.peak)


def tries_with(found: Sequence[int], starts: Sequence[int]) -> int:
    """In how many tries something lies that was found behind so many samples; each begins at one of `starts`, and ends
    where the next one begins.
    """
    return len({np.searchsorted(starts, at, side="left") for at in found} - {0})


def _told(raw: Path) -> tuple[dict[str, float], tuple[str, ...]]:
    """The board's sensors with their latest values, and what its log said of faults."""
    sensors: dict[str, float] = {}
    faults: dict[str, None] = {}
    for event in read_raw(raw):
        if event.kind == "entity" and isinstance(value := event.values.get("state"), int | float):
            sensors[str(event.values["name"])] = float(value)
        elif event.kind == "log":
            match parse_fact(str(event.values["message"])):
                case AudioLost(reason):
                    faults[f"audio lost, {reason}"] = None
                case InferenceFailed(message):
                    faults[message] = None
                case ArenaProbeFailed():
                    faults["the size of a model's arena could not be found"] = None
    return sensors, tuple(faults)
