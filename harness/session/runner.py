"""A session with a board: connect, prove that it is the right one and that it hears, play the schedule, and survive
what goes wrong.

What is under play when the board is lost is void. After a reboot a new leg begins with the next item; after a gap of
the connection alone the same leg goes on. Nothing is played twice. Everything is in the raw log when it happens; the
result is made from that alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.answers import Identity, ModelIdentity
from firmware.boards.board import Board, BoardGone, Player
from firmware.boards.ready import make_ready
from harness.collect.raw import read_raw
from harness.session.audio import leg_audio
from harness.session.connection import Connection, OpenCollector, TimeLimits
from harness.session.journal import (
    RAW_FILE,
    Part,
    PlayedLeg,
    SessionLog,
    close_killed_leg,
    is_finished,
    next_item,
    next_leg,
    played_legs,
    sound_path,
    trace_path,
)
from harness.session.plan import SessionPlan, health_check
from harness.session.schedule import PlannedLeg
from harness.session.sound import leg_sound
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import InfrastructureError, MwwError
from wakeword.files import write_atomically

if TYPE_CHECKING:
    from firmware.build import Firmware

BLOCK_SAMPLES = SAMPLE_RATE_HZ // 4
"""Played at a time; between blocks the connection is looked at."""
FLUSH_SECONDS = 30.0
LOSSES_WITHOUT_AN_ITEM = 3
"""A board that is lost so often in a row before an item has begun will not play any."""


@dataclass(frozen=True)
class Moment:
    """Where a session stands."""

    item: int
    """Items that have begun, of the whole schedule."""
    audio_seconds: float
    """Sound sent since the session began, in this run of the program."""
    detections: int


class _RebootedError(InfrastructureError):
    """The board has started anew while a leg was played."""


@dataclass(frozen=True)
class Session:
    """One run of the program over a session's folder, which may hold the raw log of earlier, killed ones."""

    plan: SessionPlan
    board: Board
    player: Player
    folder: Path
    open_collector: OpenCollector
    firmware: Firmware | None = None
    """Flashed when the board runs another model."""
    flash: bool = False
    """Flash it also when the board is blank or has firmware that is not the bench's."""
    limits: TimeLimits = field(default_factory=TimeLimits)
    watch: Callable[[Moment], None] = lambda _: None
    """Called after each block."""
    say: Callable[[str], None] = lambda _: None
    """Takes what a user should read."""

    async def run(self) -> None:
        """Do what is left to do of the plan; a finished session is left alone.

        Raises `InfrastructureError` when the session cannot be done or go on (`BoardRefused` for a wrong key or board),
        `ConfigError` for a recording that is not what was planned. All that was measured until then is in the raw log,
        and a resumed session goes on.
        """
        raw = self.folder / RAW_FILE
        earlier = read_raw(raw) if raw.is_file() else []
        if is_finished(earlier):
            self.say("the session was finished before; nothing is played")
            return
        legs = played_legs(earlier)
        async with AsyncExitStack() as opened:
            opened.push_async_callback(self.board.stop)
            await make_ready(self.board, self.firmware, flash=self.flash, say=self.say)
            log = opened.enter_context(
                SessionLog(raw, self.plan.model.wake_word, position=lambda: self.player.position)
            )
            close_killed_leg(log, legs)
            opened.push_async_callback(self.player.close)
            await self._with_the_right_model(log, legs)

    async def _with_the_right_model(self, log: SessionLog, legs: Sequence[PlayedLeg]) -> None:
        name = self.board.entry.name
        async with self._connected(log) as connection:
            identity = await connection.collector.identify()
            if self.plan.delivered or self.model_on(identity) is not None:
                if self.firmware is not None and self.board.runs(self.firmware):
                    self._note_versions(log, self.firmware)
                await _Playing(self, connection, legs).measure()
                return
        found = ", ".join(f"{model.wake_word!r} {model.sha256[:12]}" for model in identity.models) or "none"
        if self.firmware is None:
            wanted = self.plan.model.tflite_sha256[:12]
            raise InfrastructureError(
                f"board {name!r} runs the models {found}, not {wanted}; give a firmware with this model by --firmware"
            )
        self.say(f"board {name!r} runs {found}: flashing {self.firmware.name}")
        await self.board.flash(self.firmware, self.say)
        async with self._connected(log) as connection:
            if self.model_on(await connection.collector.identify()) is None:
                raise InfrastructureError(
                    f"board {name!r} does not run the model after {self.firmware.folder} was flashed; build the"
                    " firmware again"
                )
            self._note_versions(log, self.firmware)
            await _Playing(self, connection, legs).measure()

    @staticmethod
    def _note_versions(log: SessionLog, firmware: Firmware) -> None:
        """Of the firmware that the board is known to run: another build of the same model may hold other versions."""
        log.write("firmware", versions=dict(firmware.versions))

    @asynccontextmanager
    async def _connected(self, log: SessionLog) -> AsyncIterator[Connection]:
        async with self.open_collector(self.board, log) as collector:
            await collector.wait_connected(self.limits.connect)
            yield Connection(self.board, collector, log, self.limits)

    def model_on(self, identity: Identity) -> ModelIdentity | None:
        """The plan's model among those that a board runs; None where it runs others. One that is compiled in and was
        delivered too is there twice, and the one that was delivered comes last.
        """
        found = [model for model in identity.models if model.sha256 == self.plan.model.tflite_sha256]
        return next(iter(found[::-1] if self.plan.delivered else found), None)


class _Playing:
    """What is left to play of a session, over one collector."""

    def __init__(self, session: Session, connection: Connection, legs: Sequence[PlayedLeg]) -> None:
        self._session, self._plan, self._board, self._player = session, session.plan, session.board, session.player
        self._connection, self._collector, self._log = connection, connection.collector, connection.log
        self._schedule, self._name = session.plan.schedule(), session.board.entry.name
        self._number, self._item = next_leg(legs) - 1, next_item(legs)
        self._sent = self._sent_in_all = 0
        self._boot_id, self._connections = "", 0

    async def measure(self) -> None:
        """See that the board hears, then play leg after leg until every item was played."""
        await self._check_health()
        losses = 0
        while self._item < len(self._schedule.items):
            before = self._item
            complete = await self._play_leg()
            losses = 0 if complete or self._item > before else losses + 1
            if losses == LOSSES_WITHOUT_AN_ITEM:
                raise InfrastructureError(
                    f"board {self._name!r} was lost {losses} times before it had heard anything; look at its log"
                )
        self._log.write("play", event="finished")

    # Health

    async def _check_health(self) -> None:
        known = self._plan.known_positive
        leg = health_check(self._plan, self._schedule)
        if known.recording is None or leg is None:
            self._session.say(f"health check not made: {known.chosen}")
            self._log.write("note", text=f"health check not made: {known.chosen}")
            return
        async with self._stream("check"):
            before = self._log.detections
            await self._play(leg)
        await asyncio.to_thread(self._check_sound, leg)
        if self._log.detections == before:
            raise InfrastructureError(
                f"board {self._name!r} heard nothing of {known.recording.path}, which the simulation detects: nothing"
                " was measured; check microphone, loudspeaker and their wires"
            )

    def _check_sound(self, leg: PlannedLeg) -> None:
        """Of a way through the air: the microphone must have heard the alignment markers, else all that follows would
        be void.
        """
        air = self._plan.air
        if air is None or air.microphone is None:
            return
        played = played_legs(read_raw(self._session.folder / RAW_FILE))[-1]
        sound = leg_sound(self._plan, self._session.folder, played, leg, None)
        if sound is None or sound.examined is None:
            return
        if sound.examined.alignment is None:
            raise InfrastructureError(
                f"microphone {air.microphone!r} heard none of the alignment markers that {air.speaker!r} played:"
                " nothing was measured; check both, their volume and their wires"
            )
        for reason in dict.fromkeys(fault.reason for fault in sound.examined.faults):
            self._session.say(f"health check, sound: {reason}")

    # Legs

    async def _play_leg(self) -> bool:
        """Play from the next item on. False when the board was lost meanwhile; it is back then, and another leg may
        begin.
        """
        try:
            async with self._stream("measure"):
                await self._play(self._schedule.leg(self._item), measured=True)
        except (BoardGone, _RebootedError) as error:
            self._session.say(f"{error}; what it was hearing is void: it counts neither for nor against the model")
            # A virtual board is started again, a real one does that by itself.
            await self._board.start()
            await self._connection.ask(self._collector.identify)
            return False
        return True

    @asynccontextmanager
    async def _stream(self, part: Part) -> AsyncIterator[None]:
        """A fresh stream with its marker in the log, and its end, however it comes."""
        await self._player.restart_stream(sound_path(self._session.folder, self._number + 1))
        # What the board said of its last stream is all here before the marker, and the connection is one to the board
        # as it is now.
        await self._connection.ask(self._prepare)
        self._number += 1
        self._sent = 0
        self._log.write("leg", leg=self._number, part=part, first_item=self._item, boot_id=self._boot_id)
        try:
            yield
        except BaseException as error:
            self._note_sound(ended=True)
            reason = str(error) if isinstance(error, MwwError) else "interrupted"
            lost = isinstance(error, BoardGone | _RebootedError)
            self._log.write(
                "play", event="end", leg=self._number, complete=False, reason=reason, board_lost=lost, heard=self._sent
            )
            if part == "measure" and not isinstance(
                error, _RebootedError
            ):  # a board that runs again tells of its new stream
                self._keep_trace()
            raise
        self._note_sound(ended=True)
        if part == "measure":
            self._keep_trace()
        self._log.write(
            "play", event="end", leg=self._number, complete=True, reason="", board_lost=False, heard=self._sent
        )

    async def _prepare(self) -> None:
        """See that the board detects, with the model and the plan's cutoff; a start of the board forgets a cutoff that
        was set.
        """
        await self._collector.flush(self._session.limits.connect)
        # Once more, though it is a fresh stream: only so is it known to run, and the arena that its models need is said
        # when they are loaded.
        await self._collector.stop_detection()
        await self._collector.start_detection()
        identity = await self._collector.identify()
        model = self._session.model_on(identity)
        if model is None:
            raise InfrastructureError(
                f"board {self._name!r} runs another model than before; give a firmware with this model by --firmware"
            )
        if model.enabled is False:
            raise InfrastructureError(
                f"board {self._name!r}: the model {model.wake_word!r} is disabled there, so nothing would be measured;"
                " restart the board"
            )
        if model.cutoff != self._plan.model.cutoff_uint8:
            await self._collector.set_cutoff(model.model_id, self._plan.model.cutoff_uint8)
        self._boot_id, self._connections = identity.stamp.boot_id, self._log.connections

    async def _play(self, leg: PlannedLeg, *, measured: bool = False) -> None:
        """Play a leg to its end; the log says which items begin of one that is `measured`."""
        waiting = list(reversed(leg.items)) if measured else []
        for block in leg_audio(leg, block_samples=BLOCK_SAMPLES):
            while waiting and waiting[-1].start < self._sent + len(block):
                index = waiting.pop().item.index
                self._log.write("play", event="item", leg=self._number, item=index)
                self._item = index + 1
            await self._still_there()
            self._sent += len(block)
            self._sent_in_all += len(block)
            await self._player.play(block)
            self._note_sound()
            self._session.watch(Moment(self._item, self._sent_in_all / SAMPLE_RATE_HZ, self._log.detections))
        await self._player.drain()
        await self._still_there()
        await self._connection.ask(lambda: self._collector.flush(FLUSH_SECONDS))
        await self._still_there()

    async def _still_there(self) -> None:
        """Pause while the board is not connected. Raises `_RebootedError` when it has started anew,
        `InfrastructureError` when it stays away.
        """
        if self._collector.connected and self._log.connections == self._connections:
            return
        identity = await self._connection.ask(self._collector.identify)
        self._connections = self._log.connections
        if identity.stamp.boot_id != self._boot_id:
            raise _RebootedError(f"board {self._name!r} has restarted by itself")

    def _note_sound(self, *, ended: bool = False) -> None:
        """Write down what happened to the sound on its way through the air."""
        for one in self._player.news():
            self._log.write("sound", leg=self._number, **one)
        if ended and (facts := self._player.facts()):
            self._log.write("sound", leg=self._number, event="end", **facts)

    def _keep_trace(self) -> None:
        """Every probability of the leg, where the board tells them; those of a lost board are as many as
        were written."""
        try:
            probabilities = self._board.probabilities(self._plan.model.tflite_sha256)
        except MwwError as error:
            self._log.write("note", text=f"no probabilities of leg {self._number}: {error}")
            return
        if probabilities is not None:
            write_atomically(trace_path(self._session.folder, self._number), probabilities.tobytes())
