"""A session with a board: connect, prove that it is the right one and that it hears, play the schedule, and survive what goes wrong.

What is under play when the board is lost is void. After a reboot a new leg begins with the next item; after a gap of the connection alone the
same leg goes on. Nothing is played twice. Everything is in the raw log when it happens; the result is made from that alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.answers import Identity
from harness.boards.board import Board, BoardGone, HasTrace, KeepsSound, Player
from harness.boards.ready import make_ready
from harness.collect.raw import RawEvent, read_raw
from harness.session.audio import leg_audio
from harness.session.journal import RAW_FILE, Part, SessionLog, close_killed_leg, is_finished, next_item, next_leg, played_legs, sound_path, trace_path
from harness.session.listening import CollectorLike, OpenCollector
from harness.session.patience import Patience, ask_patiently
from harness.session.plan import SessionPlan, health_check
from harness.session.schedule import Leg, PlacedItem, Schedule
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


class Session:
    """One run of the program over a session's folder, which may hold the raw log of earlier, killed ones."""

    def __init__(
        self,
        plan: SessionPlan,
        board: Board,
        folder: Path,
        open_collector: OpenCollector,
        *,
        firmware: Firmware | None = None,
        flash: bool = False,
        patience: Patience | None = None,
        watch: Callable[[Moment], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`firmware` is flashed when the board runs another model; with `flash` also when it is blank or has firmware that is not the bench's.

        `watch` is called after each block, `say` with what a user should read.
        """
        self._plan, self._board, self._folder, self._firmware, self._flash = plan, board, folder, firmware, flash
        self._schedule: Schedule = plan.schedule()
        self._open_collector = open_collector
        self._patience = patience or Patience()
        self._watch, self._say = watch, say
        self._number, self._item = -1, 0
        self._sent = self._sent_in_all = 0
        self._boot_id, self._connections = "", 0
        self._player: Player
        self._log: SessionLog

    async def run(self) -> None:
        """Do what is left to do of the plan; a finished session is left alone.

        Raises `InfrastructureError` when the session cannot be done or go on (`BoardRefused` for a wrong key or board), `ConfigError` for a recording
        that is not what was planned. All that was measured until then is in the raw log, and a resumed session goes on.
        """
        earlier = self._earlier_events()
        if is_finished(earlier):
            self._say("the session was finished before; nothing is played")
            return
        legs = played_legs(earlier)
        self._number, self._item = next_leg(legs) - 1, next_item(legs)
        try:
            await make_ready(self._board, self._firmware, flash=self._flash, say=self._say)
            self._player = self._board.player()
            with SessionLog(self._folder / RAW_FILE, self._plan.model.wake_word, position=lambda: self._player.position) as self._log:
                close_killed_leg(self._log, legs)
                try:
                    await self._with_the_right_model()
                finally:
                    await self._player.close()
        finally:
            await self._board.stop()

    def _earlier_events(self) -> list[RawEvent]:
        path = self._folder / RAW_FILE
        return read_raw(path) if path.is_file() else []

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[CollectorLike]:
        async with self._open_collector(self._board, self._log, lambda: self._player.position) as collector:
            await collector.wait_connected(self._patience.connect)
            yield collector

    async def _with_the_right_model(self) -> None:
        async with self._connected() as collector:
            identity = await collector.identify()
            if self._runs_model(identity):
                await self._measure(collector)
                return
        found = ", ".join(f"{model.wake_word!r} {model.sha256[:12]}" for model in identity.models) or "none"
        if self._firmware is None:
            raise InfrastructureError(
                f"board {self._name!r} runs the models {found}, not {self._plan.model.tflite_sha256[:12]}; give a firmware with this model by --firmware"
            )
        self._say(f"board {self._name!r} runs {found}: flashing {self._firmware.name}")
        await self._board.flash(self._firmware)
        async with self._connected() as collector:
            if not self._runs_model(await collector.identify()):
                raise InfrastructureError(f"board {self._name!r} does not run the model after {self._firmware.folder} was flashed; build the firmware again")
            await self._measure(collector)

    def _runs_model(self, identity: Identity) -> bool:
        return any(model.sha256 == self._plan.model.tflite_sha256 for model in identity.models)

    @property
    def _name(self) -> str:
        return self._board.entry.name

    async def _measure(self, collector: CollectorLike) -> None:
        await self._check_health(collector)
        losses = 0
        while self._item < len(self._schedule.items):
            before = self._item
            complete = await self._play_leg(collector)
            losses = 0 if complete or self._item > before else losses + 1
            if losses == LOSSES_WITHOUT_AN_ITEM:
                raise InfrastructureError(f"board {self._name!r} was lost {losses} times before it had heard anything; look at its log")
        self._log.write("play", event="finished")

    # Health

    async def _check_health(self, collector: CollectorLike) -> None:
        known = self._plan.known_positive
        if known.recording is None:
            self._say(f"health check not made: {known.chosen}")
            self._log.write("note", text=f"health check not made: {known.chosen}")
            return
        leg = health_check(self._plan, self._schedule)
        assert leg is not None
        async with self._stream(collector, "check"):
            before = self._log.detections
            await self._play(collector, leg, lambda _: None)
        await asyncio.to_thread(self._check_sound, leg)
        if self._log.detections == before:
            raise InfrastructureError(
                f"board {self._name!r} heard nothing of {known.recording.path}, which the simulation detects: nothing was measured; "
                "check microphone, loudspeaker and their wires"
            )

    def _check_sound(self, leg: Leg) -> None:
        """Of a way through the air: the microphone must have heard the alignment markers, else all that follows would be void."""
        if self._plan.air is None or self._plan.air.microphone is None:
            return
        sound = leg_sound(self._plan, self._folder, played_legs(read_raw(self._folder / RAW_FILE))[-1], leg, None)
        if sound is None or sound.examined is None:
            return
        if sound.examined.alignment is None:
            raise InfrastructureError(
                f"microphone {self._plan.air.microphone!r} heard none of the alignment markers that {self._plan.air.speaker!r} played: nothing was measured; "
                "check both, their volume and their wires"
            )
        for reason in dict.fromkeys(fault.reason for fault in sound.examined.faults):
            self._say(f"health check, sound: {reason}")

    # Legs

    async def _play_leg(self, collector: CollectorLike) -> bool:
        """Play from the next item on. False when the board was lost meanwhile; it is back then, and another leg may begin."""

        def begin(item: PlacedItem) -> None:
            self._log.write("play", event="item", leg=self._number, item=item.item.index)
            self._item = item.item.index + 1

        try:
            async with self._stream(collector, "measure"):
                await self._play(collector, self._schedule.leg(self._item), begin)
        except (BoardGone, _RebootedError) as error:
            self._say(f"{error}; what it was hearing is void: it counts neither for nor against the model")
            await self._recover(collector)
            return False
        return True

    @asynccontextmanager
    async def _stream(self, collector: CollectorLike, part: Part) -> AsyncIterator[None]:
        """A fresh stream with its marker in the log, and its end, however it comes."""
        if isinstance(self._player, KeepsSound):
            self._player.keep(sound_path(self._folder, self._number + 1))
        await self._player.restart_stream()
        # What the board said of its last stream is all here before the marker, and the connection is one to the board as it is now.
        await self._persist(collector, lambda: self._prepare(collector))
        self._number += 1
        number, self._sent = self._number, 0
        self._log.write("leg", leg=number, part=part, first_item=self._item, boot_id=self._boot_id)
        try:
            yield
        except BaseException as error:
            self._note_sound(number, ended=True)
            reason = str(error) if isinstance(error, MwwError) else "interrupted"
            lost = isinstance(error, BoardGone | _RebootedError)
            self._log.write("play", event="end", leg=number, complete=False, reason=reason, board_lost=lost, heard=self._sent)
            if part == "measure" and not isinstance(error, _RebootedError):  # a board that runs again tells of its new stream
                self._keep_trace(number)
            raise
        self._note_sound(number, ended=True)
        if part == "measure":
            self._keep_trace(number)
        self._log.write("play", event="end", leg=number, complete=True, reason="", board_lost=False, heard=self._sent)

    async def _prepare(self, collector: CollectorLike) -> None:
        """See that the board detects, with the model and the plan's cutoff; a start of the board forgets a cutoff that was set."""
        await collector.flush(self._patience.connect)
        # Once more, though it is a fresh stream: only so is it known to run, and the arena that its models need is said when they are loaded.
        await collector.stop_detection()
        await collector.start_detection()
        identity = await collector.identify()
        model = next((model for model in identity.models if model.sha256 == self._plan.model.tflite_sha256), None)
        if model is None:
            raise InfrastructureError(f"board {self._name!r} runs another model than before; give a firmware with this model by --firmware")
        if model.cutoff != self._plan.model.cutoff_uint8:
            await collector.set_cutoff(model.model_id, self._plan.model.cutoff_uint8)
        self._boot_id, self._connections = identity.stamp.boot_id, self._log.connections

    async def _play(self, collector: CollectorLike, leg: Leg, begin: Callable[[PlacedItem], None]) -> None:
        waiting = list(reversed(leg.items))
        for block in leg_audio(leg, block_samples=BLOCK_SAMPLES):
            while waiting and waiting[-1].start < self._sent + len(block):
                begin(waiting.pop())
            await self._still_there(collector)
            self._sent += len(block)
            self._sent_in_all += len(block)
            await self._player.play(block)
            self._note_sound(self._number)
            self._watch(Moment(self._item, self._sent_in_all / SAMPLE_RATE_HZ, self._log.detections))
        await self._player.drain()
        await self._still_there(collector)
        await self._persist(collector, lambda: collector.flush(FLUSH_SECONDS))
        await self._still_there(collector)

    # Losses

    async def _still_there(self, collector: CollectorLike) -> None:
        """Pause while the board is not connected. Raises `_RebootedError` when it has started anew, `InfrastructureError` when it stays away."""
        if collector.connected and self._log.connections == self._connections:
            return
        identity = await self._persist(collector, collector.identify)
        self._connections = self._log.connections
        if identity.stamp.boot_id != self._boot_id:
            raise _RebootedError(f"board {self._name!r} has restarted by itself")

    async def _recover(self, collector: CollectorLike) -> None:
        """Have the board back after it was lost: a virtual one is started again, a real one does that by itself."""
        await self._board.start()
        await self._persist(collector, collector.identify)

    async def _persist[T](self, collector: CollectorLike, question: Callable[[], Awaitable[T]]) -> T:
        return await ask_patiently(collector, self._board, self._log, self._patience, question)

    def _note_sound(self, number: int, *, ended: bool = False) -> None:
        """Write down what happened to the sound on its way through the air."""
        if not isinstance(self._player, KeepsSound):
            return
        for one in self._player.news():
            self._log.write("sound", leg=number, **one)
        if ended:
            self._log.write("sound", leg=number, event="end", **self._player.facts())

    def _keep_trace(self, number: int) -> None:
        """Every probability of the leg, where the board tells them; those of a lost board are as many as were written."""
        if not isinstance(self._board, HasTrace):
            return
        try:
            probabilities = self._board.probabilities(self._plan.model.tflite_sha256)
        except MwwError as error:
            self._log.write("note", text=f"no probabilities of leg {number}: {error}")
            return
        write_atomically(trace_path(self._folder, number), probabilities.tobytes())
