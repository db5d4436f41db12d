"""The connection to a board: encrypted, to this board alone, and tried again soon after every loss.

aioesphomeapi's `ReconnectLogic` does the connecting. What a bench needs beyond it is here: its pauses grow to a minute,
a handshake or a TCP connect may take a minute each, and it tries again even where the key is wrong. So a failed attempt
is followed by the next one after `retry_seconds` (`notify_device_seen` is the public way to say "now"), an attempt that
hangs is cut off, and a refusal ends everything.

No multicast socket is opened for an IP address; only a host name ending in `.local` makes aioesphomeapi ask by mDNS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aioesphomeapi.client import APIClient
from aioesphomeapi.core import APIConnectionError
from aioesphomeapi.model import ConnectionClosedEvent
from aioesphomeapi.reconnect_logic import ReconnectLogic

from firmware.native_api import Target, explain_refusal
from wakeword.errors import MwwError


@dataclass(frozen=True)
class Timing:
    """All time limits, in seconds."""

    heartbeat_seconds: float = 1.0
    """Pause between an answer of the board's clock and the next question."""
    stall_seconds: float = 10.0
    """An open connection on which a heartbeat is not answered for so long is dropped and made again."""
    retry_seconds: float = 2.0
    """Pause before connecting again."""
    attempt_seconds: float = 15.0
    """An attempt to connect, or the subscribing after it, that takes longer is given up."""
    close_seconds: float = 3.0
    """For saying good-bye to the board."""


class Link:
    """Keeps a connection to one board; must be made inside a running event loop.

    Args:
        target: The board.
        timing: Pauses and time-outs.
        on_open: Subscribes on every new connection; whatever it raises drops the connection again (a `MwwError` for
        good).
        on_close: Told why an established connection ended.
        on_refused: Told why there will never be one.
        on_retry: Told why an attempt failed.
    """

    def __init__(
        self,
        target: Target,
        timing: Timing,
        *,
        on_open: Callable[[], Awaitable[None]],
        on_close: Callable[[str], None],
        on_refused: Callable[[MwwError], None],
        on_retry: Callable[[str], None],
    ) -> None:
        self.client = APIClient(
            target.address,
            target.port,
            noise_psk=target.key,
            expected_name=target.name,
            expected_mac=target.mac,
            client_info="mww-bench",
            provide_time=False,
        )
        self._target, self._timing = target, timing
        self._on_open, self._on_close, self._on_refused, self._on_retry = on_open, on_close, on_refused, on_retry
        self._logic = ReconnectLogic(
            client=self.client,
            on_connect=self._connected,
            on_disconnect=self._disconnected,
            on_connect_error=self._failed,
            name=target.name,
            zeroconf_wake=False,
        )
        self.client.add_connection_closed_callback(self._closed)
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._after(self._timing.attempt_seconds, self._give_up_attempt)
        await self._logic.start()

    def drop(self) -> None:
        """Drop the connection, or the attempt under way; it is made again."""
        self.client.force_disconnect()

    def end(self) -> None:
        """Never connect again; may be called from any callback. `stop` must still follow."""
        self._ended = True
        self._cancel_timer()
        self._logic.stop_callback()

    async def stop(self, *, established: bool) -> None:
        """Say good-bye and close; takes `close_seconds` at most, also when the board does not answer."""
        self._ended = True
        self._cancel_timer()
        if not established:
            self.client.force_disconnect()  # an attempt holds the library's lock, for a minute if nobody answers
        try:
            async with asyncio.timeout(self._timing.close_seconds):
                await self._logic.stop()
                await self.client.disconnect()
        except TimeoutError:
            pass
        finally:
            self.client.force_disconnect()

    async def _connected(self) -> None:
        # An exception out of this callback would end the library's task, and with it all reconnecting.
        self._cancel_timer()
        try:
            async with asyncio.timeout(self._timing.attempt_seconds):
                await self._on_open()
        except TimeoutError:
            self._on_retry(f"subscribing took longer than {self._timing.attempt_seconds:g} s")
            self.drop()
        except APIConnectionError as error:
            self._on_retry(f"{type(error).__name__}: {error}")
            self.drop()
        except MwwError as error:
            self._on_refused(error)
            self.end()

    def _closed(self, event: ConnectionClosedEvent) -> None:
        if not self._ended:
            self._on_close(f"{type(event.error).__name__}: {event.error}" if event.error is not None else "closed")

    async def _disconnected(self, _expected: bool) -> None:
        self._after(self._timing.retry_seconds, self._try_now)

    async def _failed(self, error: Exception) -> None:
        if self._ended:
            return
        refusal = explain_refusal(error, self._target)
        if refusal is None:
            self._on_retry(f"{type(error).__name__}: {error}")
            self._after(self._timing.retry_seconds, self._try_now)
        else:
            self._on_refused(refusal)
            self.end()

    def _try_now(self) -> None:
        self._after(self._timing.attempt_seconds, self._give_up_attempt)
        self._logic.notify_device_seen()

    def _give_up_attempt(self) -> None:
        self._after(self._timing.retry_seconds, self._try_now)
        self.drop()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._cancel_timer()
        if not self._ended:
            self._timer = asyncio.get_running_loop().call_later(seconds, action)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
