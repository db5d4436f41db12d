"""The collector: listens to one board by ESPHome's native API and records all that it says.

Raw events written here (values beside kind, t and position): `connected` {name, mac, esphome, boot_id}, when all
subscriptions are proven by an answered question · `disconnected` {reason} · `detection` {data} · `clock` {data, sent,
received, sent_position} and `identity` likewise; the last three are null where another harness had asked · `entity`
{name, type, event_type | state} · `log` {level, message} · `note` {text} · `fatal` {text, exit_code}. `data` is the
board's own map, all text.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any, Self

from aioesphomeapi.api_pb2 import SubscribeLogsResponse  # type: ignore[attr-defined]
from aioesphomeapi.core import APIConnectionError
from aioesphomeapi.model import EntityState, Event, HomeassistantServiceCall, LogLevel, UserService

from firmware.answers import CLOCK_EVENT, DETECTION_EVENT, IDENTITY_EVENT, ClockSample, Identity, parse_identity
from firmware.native_api import Target
from firmware.redaction import Redactor, without_concealed
from harness.collect.link import Link, Timing
from harness.collect.questions import Answer, ConnectionLostError, Questions
from harness.collect.raw import RawLog
from harness.collect.witnesses import RUNNING_STATE, STOPPED_STATE, AlreadyRunning, StateChanged, parse_fact
from wakeword.contract import PROBABILITY_MAX
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError, MwwError

ACTIONS = ("mww_clock", "mww_identify", "mww_set_cutoff", "mww_start", "mww_stop")
ENABLE_ACTION = "mww_enable"
"""Of firmware that is newer than the five."""
ANSWER_SECONDS = 10.0


class Collector:
    """Async context manager around the connection to one board.

    It connects in the background, subscribes again on every connect, and asks the board's clock as a heartbeat. After a
    refusal (wrong key, wrong board, no bench firmware) or a disk that refuses the raw events it stops for good: every
    later call raises that error.
    """

    def __init__(self, target: Target, raw: RawLog, timing: Timing | None = None) -> None:
        self._target, self._raw, self._timing = target, raw, timing or Timing()
        self._hide_key = Redactor([target.key])
        self._link: Link | None = None
        self._heart: asyncio.Task[None] | None = None
        self._fatal: MwwError | None = None
        self._closed = False
        self._connection = 0
        self._connected = asyncio.Event()
        self._settled = asyncio.Event()  # connected, or never again
        self._services: dict[str, UserService] = {}
        self._entities: dict[int, str] = {}
        self._questions = Questions()
        self._news = asyncio.Event()  # set, and replaced, whenever the state below may have changed
        self._detection_state: str | None = None
        self._last_trouble = ""

    @property
    def connected(self) -> bool:
        """Whether the board is there and all subscriptions are proven."""
        return self._connected.is_set()

    @property
    def fatal(self) -> MwwError | None:
        """What ended all collecting, if anything did."""
        return self._fatal

    async def __aenter__(self) -> Self:
        if self._link is not None:
            raise InfrastructureError(f"{self._target.where}: a collector is opened once; make another")
        self._link = Link(
            self._target,
            self._timing,
            on_open=self._subscribe,
            on_close=self._lost,
            on_refused=self._end_for_good,
            on_retry=self._note_trouble,
        )
        self._heart = asyncio.create_task(self._beat(), name="heartbeat")
        await self._link.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        link, heart = self._opened(), self._heart
        assert heart is not None
        heart.cancel()
        await asyncio.wait([heart])
        established = self.connected
        self._record("note", text="collector closed")
        self._closed = True
        self._connected.clear()
        self._settled.set()
        self._abandon(ConnectionLostError(f"{self._target.where}: the collector was closed before the answer"))
        await link.stop(established=established)

    # Waiting

    async def wait_connected(self, timeout: float) -> None:
        """Return when the board is connected and subscribed.

        Raises `BoardRefused` at once when the board refuses (never tried again), `InfrastructureError` after `timeout`
        seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self.connected:
                    self._check()
                    await self._settled.wait()
        except TimeoutError:
            trouble = f" (last: {self._last_trouble})" if self._last_trouble else ""
            raise InfrastructureError(
                f"{self._target.where}: no connection within {timeout:g} s{trouble}; check power, network and address"
                " of the board"
            ) from None
        self._check()

    # Questions and actions

    async def clock(self, timeout: float = ANSWER_SECONDS) -> ClockSample:
        """Ask the board's clock once; waits for a connection within the time-out.

        Raises `InfrastructureError` when no answer came or the connection was lost before it.
        """
        sample, _ = await self._ask("mww_clock", timeout)
        return sample

    async def identify(self, timeout: float = ANSWER_SECONDS) -> Identity:
        """Ask which models the board runs. Raises like `clock`."""
        _, data = await self._ask("mww_identify", timeout)
        try:
            return parse_identity(data)
        except (KeyError, ValueError) as error:
            raise BoardRefused(
                f"{self._target.where}: its identity cannot be read ({error}); build and flash the bench's firmware"
            ) from error

    async def set_cutoff(self, model_id: str, cutoff: int, timeout: float = ANSWER_SECONDS) -> None:
        """Set a model's cutoff (0-255) and read it back.

        Raises `ConfigError` when there is no such model or cutoff, `InfrastructureError` when the board did not take
        it.
        """
        if not 0 <= cutoff <= PROBABILITY_MAX:
            raise ConfigError(
                f"cutoff {cutoff} is not within 0-{PROBABILITY_MAX}; give the probability times {PROBABILITY_MAX}"
            )
        await self.wait_connected(timeout)
        await self._call("mww_set_cutoff", model=model_id, cutoff=cutoff)
        models = {model.model_id: model for model in (await self.identify(timeout)).models}
        if model_id not in models:
            raise ConfigError(
                f"{self._target.where}: has no model {model_id}, only {', '.join(models) or 'none'}; build and flash it"
                " with this model"
            )
        if models[model_id].cutoff != cutoff:
            raise InfrastructureError(
                f"{self._target.where}: has cutoff {models[model_id].cutoff} after {cutoff} was set; flash the firmware"
                " again"
            )

    async def enable_model(self, model_id: str, *, enabled: bool, timeout: float = ANSWER_SECONDS) -> None:
        """Have a model detect or not, until the board starts anew. Raises `BoardRefused` for a firmware that cannot."""
        await self.wait_connected(timeout)
        if ENABLE_ACTION not in self._services:
            raise BoardRefused(
                f"{self._target.where}: lacks the action {ENABLE_ACTION}; build its firmware again and flash it"
            )
        await self._call(ENABLE_ACTION, model=model_id, enabled=enabled)

    async def start_detection(self, timeout: float = ANSWER_SECONDS) -> None:
        """Return when detection runs. Raises `InfrastructureError` when it does not within the time-out."""
        await self._reach(RUNNING_STATE, "mww_start", timeout)

    async def stop_detection(self, timeout: float = ANSWER_SECONDS) -> None:
        """Return when detection has stopped; detections still in the board's queue are gone, so `flush` before.

        A board that had stopped before this collector connected says nothing; then an answered clock after the time-out
        is taken for it. Raises `InfrastructureError` when detection is known to run on.
        """
        await self._reach(STOPPED_STATE, "mww_stop", timeout)

    async def flush(self, timeout: float = 3 * ANSWER_SECONDS) -> None:
        """Return when every detection decided so far has arrived: two clock round trips, one after the other, on one
        connection.

        A detection waits in the board's queue for the next iteration of its main loop, so it may come after the first
        answer, but comes before the second. After a lost connection both are asked again. Raises `InfrastructureError`
        after `timeout` seconds.
        """
        end = time.monotonic() + timeout
        while True:
            connection = -1
            try:
                for _ in range(2):
                    left = max(end - time.monotonic(), 0.0)
                    await self.wait_connected(left)
                    connection = self._connection if connection < 0 else connection
                    await self.clock(min(left, ANSWER_SECONDS))
            except ConnectionLostError:
                if time.monotonic() >= end:
                    raise
                continue
            if connection == self._connection:
                return

    async def _reach(self, state: str, action: str, timeout: float) -> None:
        await self.wait_connected(timeout)
        if self._detection_state == state:
            await self.clock(timeout)
            return
        await self._call(action)
        try:
            async with asyncio.timeout(timeout):
                while self._detection_state != state:
                    self._check()
                    await self._news.wait()
        except TimeoutError:
            await self.clock(timeout)
            if state == STOPPED_STATE and self._detection_state is None:
                return
            raise InfrastructureError(
                f"{self._target.where}: detection did not become {state} within {timeout:g} s of {action} (it is"
                f" {self._detection_state}); restart the board"
            ) from None

    async def _ask(self, action: str, timeout: float) -> Answer:
        end = time.monotonic() + timeout
        await self.wait_connected(timeout)
        return await self._question(action, max(end - time.monotonic(), 0.0))

    async def _question(self, action: str, timeout: float) -> Answer:
        with self._questions.asked(self._raw.position) as question:
            try:
                await self._call(action, probe=question.probe)
                async with asyncio.timeout(timeout):
                    return await question.answer
            except TimeoutError:
                raise InfrastructureError(
                    f"{self._target.where}: {action} was not answered within {timeout:g} s; check the connection to the"
                    " board"
                ) from None

    async def _call(self, action: str, **arguments: bool | float | str) -> None:
        self._check()
        try:
            await self._opened().client.execute_service(self._services[action], dict(arguments))
        except APIConnectionError as error:
            raise ConnectionLostError(
                f"{self._target.where}: the connection was lost ({type(error).__name__}) before {action}"
            ) from error

    def _check(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        self._opened()

    def _opened(self) -> Link:
        if self._link is None or self._closed:
            raise InfrastructureError(f"{self._target.where}: the collector is not open; use it as a context manager")
        return self._link

    # The connection

    async def _subscribe(self) -> None:
        client = self._opened().client
        info, entities, services = await client.device_info_and_list_entities()
        mac = info.mac_address.replace(":", "").lower()
        if self._target.mac not in (None, mac):  # firmware before 2025.4 does not tell its MAC in the handshake
            raise BoardRefused(
                f"{self._target.where}: the board there has the MAC {mac}, not {self._target.mac}; correct boards.yaml"
            )
        self._services = {service.name: service for service in services}
        missing = [action for action in ACTIONS if action not in self._services]
        if missing:
            raise BoardRefused(
                f"{self._target.where}: lacks the action {missing[0]}; build and flash the bench's firmware"
            )
        self._entities = {entity.key: entity.name for entity in entities}
        client.subscribe_service_calls(self._on_event)
        client.subscribe_states(self._on_state)
        client.subscribe_logs(self._on_log, LogLevel.LOG_LEVEL_DEBUG, dump_config=True)
        try:
            # The board answers in order: what it tells after this answer, it tells to this connection.
            sample, _ = await self._question("mww_clock", self._timing.attempt_seconds)
        except InfrastructureError as error:
            self._check()
            raise APIConnectionError(str(error)) from error  # to be tried again
        self._record("connected", name=info.name, mac=mac, esphome=info.esphome_version, boot_id=sample.stamp.boot_id)
        self._connection += 1
        self._last_trouble = ""
        self._connected.set()
        self._settled.set()

    def _lost(self, reason: str) -> None:
        if self.connected:
            self._record("disconnected", reason=self._hide_key(reason))
            self._connected.clear()
            if self._fatal is None:
                self._settled.clear()
        self._detection_state = None
        self._abandon(ConnectionLostError(f"{self._target.where}: the connection was lost before the answer"))

    def _abandon(self, error: MwwError) -> None:
        self._questions.abandon(error)
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _end_for_good(self, error: MwwError) -> None:
        if self._fatal is None:
            self._fatal = error.with_traceback(None)
            self._record("fatal", text=str(error), exit_code=error.exit_code)
        self._connected.clear()
        self._settled.set()
        self._abandon(self._fatal)

    def _note_trouble(self, trouble: str) -> None:
        if trouble != self._last_trouble:  # one line for a board that is away for an hour
            self._last_trouble = self._hide_key(trouble)
            self._record("note", text=f"not connected: {self._last_trouble}")

    async def _beat(self) -> None:
        while True:
            await self._connected.wait()
            connection = self._connection
            try:
                await self._question("mww_clock", self._timing.stall_seconds)
            except ConnectionLostError:
                pass
            except InfrastructureError:
                if self.connected and connection == self._connection:
                    self._record(
                        "note",
                        text=f"no answer for {self._timing.stall_seconds:g} s on an open connection: connecting again",
                    )
                    self._opened().drop()
            await asyncio.sleep(self._timing.heartbeat_seconds)

    # What the board tells

    def _on_event(self, call: HomeassistantServiceCall) -> None:
        data = {key: self._hide_key(value) for key, value in call.data.items()}
        match call.service:
            case service if service == DETECTION_EVENT:
                self._record("detection", data=data)
            case service if service in (CLOCK_EVENT, IDENTITY_EVENT):
                self._on_answer("clock" if service == CLOCK_EVENT else "identity", data)
            case service:
                self._record("note", text=f"unknown event {service}", data=data)

    def _on_answer(self, kind: str, data: dict[str, str]) -> None:
        received = time.monotonic()
        question = self._questions.answered_by(data)
        if question is None:
            self._record(kind, data=data, sent=None, received=None, sent_position=None)
            return
        self._record(kind, data=data, sent=question.sent, received=received, sent_position=question.sent_position)
        question.settle(data, received)

    def _on_state(self, state: EntityState) -> None:
        if isinstance(state, Event):
            said: dict[str, Any] = {"event_type": state.event_type}
        else:
            value = getattr(state, "state", None)
            said = {
                "state": (
                    value
                    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
                    else None
                )
            }
        self._record("entity", name=self._entities.get(state.key, str(state.key)), type=type(state).__name__, **said)

    def _on_log(self, line: SubscribeLogsResponse) -> None:
        # A board conceals the name of its network.
        message = self._hide_key(without_concealed(line.message.decode(errors="replace")))
        self._record("log", level=int(line.level), message=message)
        match parse_fact(message):
            case StateChanged(_, after):
                self._detection_state = after
            case AlreadyRunning():
                self._detection_state = RUNNING_STATE
            case _:
                return
        self._tell_news()

    def _record(self, kind: str, **values: Any) -> None:
        if self._closed or (self._fatal is not None and kind != "fatal"):
            return
        try:
            self._raw.write(kind, **values)
        except MwwError as error:
            # The library logs what a callback raises and goes on; a disk that takes no more must end the session
            # instead.
            if self._fatal is None:
                self._end_for_good(error)
                self._opened().end()
